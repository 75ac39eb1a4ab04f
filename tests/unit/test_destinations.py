"""Destinations in the settings: each kind with its defaults, and helpful about what is wrong."""

from pathlib import Path

import pytest
import yaml

from app.destinations import (
    DicomDestination,
    DicomWebDestination,
    FhirDestination,
    Hl7Destination,
    WebhookDestination,
)
from app.documents import Document, DocumentKind
from app.errors import Rejected
from app.settings import Settings, load

KINDS = {
    DicomDestination: {"name": "pacs", "host": "pacs.local", "port": 104, "ae_title": "PACS"},
    DicomWebDestination: {"name": "archive", "kind": "dicomweb", "url": "https://archive.local/dicom-web"},
    FhirDestination: {"name": "records", "kind": "fhir", "url": "https://records.local/fhir"},
    Hl7Destination: {"name": "his", "kind": "hl7", "host": "his.local", "port": 2575},
    WebhookDestination: {"name": "desk", "kind": "webhook", "url": "https://desk.local/in?code=7"},
}
WEB = dict(KINDS[WebhookDestination])


def settings_of(folder: Path, *destinations: dict[str, object]) -> Settings:
    path = folder / "vigil.yaml"
    path.write_text(yaml.safe_dump({"destinations": list(destinations)}), encoding="utf-8")
    return load(path, {})


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="two are called 'desk'; give each a name of its own"):
        settings_of(tmp_path, WEB, {**WEB, "url": "https://desk.local/second"})


def test_a_destination_that_gets_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="documents"):
        settings_of(tmp_path, {**WEB, "documents": []})


def test_each_kind_is_told_by_its_name(tmp_path: Path) -> None:
    found = settings_of(tmp_path, *KINDS.values()).destinations
    assert [type(each) for each in found] == list(KINDS)
    dicom = (DocumentKind.SR, DocumentKind.KEY_IMAGE, DocumentKind.SEG)
    assert [each.documents for each in found] == [
        dicom,
        dicom,
        (DocumentKind.FHIR,),
        (DocumentKind.HL7,),
        (DocumentKind.JSON,),
    ]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({**WEB, "kind": "webhok"}, "destinations.0.kind: unknown 'webhok', did you mean 'webhook'?"),
        ({"name": "x", "kind": "dicomweb"}, "destinations.0.url: Field required"),
        ({"name": "x"}, "destinations.0.host: Field required"),
        ({**WEB, "urgent": True}, "unknown key 'destinations.0.urgent', did you mean 'urgent_only'?"),
        ({**WEB, "tls": {"cafile": "x"}}, "unknown key 'destinations.0.tls.cafile', did you mean 'ca_file'?"),
        ({**WEB, "url": "desk.local/in"}, "destinations.0.url: Input should be a valid URL"),
        ({**WEB, "url": "ftp://desk.local"}, "destinations.0.url: URL scheme should be 'http' or 'https'"),
        ({**WEB, "url": "https://a:b@desk.local"}, "no name or password in the url; put them into token_file"),
        ({**WEB, "url": "http://desk.local", "tls": {}}, "tls needs a url that begins with https"),
        ({**KINDS[FhirDestination], "url": "https://x.local/fhir?a=b"}, "the url ends in ? or #"),
        ({**WEB, "url": "https://x.local/#in"}, "the url ends in ? or #"),
        ({**WEB, "tls": {"key_file": "x"}}, "certificate_file and key_file belong together; give both or neither"),
        (
            {**KINDS[DicomDestination], "documents": ["sr", "json"]},
            "destination 'pacs' cannot take json; of this kind it takes: sr, key_image, seg, presentation, pdf",
        ),
        (
            {**KINDS[Hl7Destination], "documents": ["sr"]},
            "destination 'his' cannot take sr; of this kind it takes: hl7",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(tmp_path: Path, wrong: dict[str, object], words: str) -> None:
    with pytest.raises(Rejected) as caught:
        settings_of(tmp_path, wrong)
    assert words in str(caught.value), caught.value


def test_a_password_in_a_url_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        settings_of(tmp_path, {**WEB, "url": "https://user:passw0rd@desk.local/in"})
    assert "passw0rd" not in str(caught.value)


@pytest.mark.parametrize("urgent", [False, True])
@pytest.mark.parametrize("urgent_only", [False, True])
@pytest.mark.parametrize("kind", [DocumentKind.JSON, DocumentKind.FHIR])
@pytest.mark.parametrize("problem", ["", "ValueError at json_report.py:1"])
def test_a_destination_wants_what_was_made_of_its_kinds(
    urgent: bool, urgent_only: bool, kind: DocumentKind, problem: str
) -> None:
    hook = WebhookDestination.model_validate({**WEB, "urgent_only": urgent_only})
    document = Document(kind, "head", Path("x.json"), problem=problem, urgent=urgent)
    wanted = kind is DocumentKind.JSON and not problem and (urgent or not urgent_only)
    assert hook.wants(document) == wanted


def test_the_examples_of_the_deployed_file_are_understood(root: Path, tmp_path: Path) -> None:
    """Each as it stands there, without the comment sign."""
    lines = (root / "deploy" / "vigil.yaml").read_text(encoding="utf-8").splitlines()
    start = lines.index("# destinations:")
    example = [line.removeprefix("# ") for line in lines[start:] if line.startswith("# ")]
    (tmp_path / "vigil.yaml").write_text("\n".join(example), encoding="utf-8")
    found = load(tmp_path / "vigil.yaml", {}).destinations
    assert {type(each) for each in found} == set(KINDS)
