"""FHIR R4: the golden document, and what the gate (tests/integration/report/test_gate_text.py) does not come by."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, config

from app.findings import Algorithm, Outcome, Predecessor, Presence, Report
from app.report.fhir import fhir_bundle
from app.report.source import Source, read_source
from tests.unit.report.factory import MADE_AT, PHANTOM, make_report, make_study
from tests.unit.report.radiographs import CHEST, chest_report, chest_study
from tests.unit.report.texts import resources
from tests.unit.report.volumes import lesion_report

WORDS = st.text(max_size=200)


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return read_source(chest_report(), chest_study(tmp_path_factory.mktemp("chest"), rows=60, columns=50))


def told(report: Report, source: Source, **options: Any) -> dict[str, Any]:
    """Resources by kind, the last of each; read by `fhir.resources` first."""
    content = fhir_bundle(report, source, MADE_AT, **options)
    resources(content)
    entries = json.loads(content)["entry"]
    return {entry["resource"]["resourceType"]: entry["resource"] for entry in entries}


def about(source: Source, **values: str) -> Source:
    identity = Dataset()
    for keyword, value in values.items():
        identity.add(DataElement(keyword, "UT", value, validation_mode=config.IGNORE))
    return replace(source, identity=identity)


def test_reads_as_the_golden_document(chest: Source, root: Path) -> None:
    """REGEN_GOLDEN=1 writes the golden document anew; look at the difference before committing it."""
    golden = root / "tests" / "golden" / "report_chest.fhir.json"
    encoded = fhir_bundle(chest_report(), chest, MADE_AT)
    if os.environ.get("REGEN_GOLDEN"):
        golden.write_bytes(encoded)
    assert encoded == golden.read_bytes()


def test_names_the_patient_by_the_identifier_of_who_gave_it(chest: Source) -> None:
    named = told(chest_report(), about(chest, PatientID="P 1", IssuerOfPatientID="St. Mary", PatientName="Doe^Jane"))
    subject = named["DiagnosticReport"]["subject"]
    assert (subject["identifier"]["value"], subject["identifier"]["assigner"]) == ("P 1", {"display": "St. Mary"})
    by_oid = told(chest_report(), about(chest, PatientID="1", IssuerOfPatientID="1.2.40"))
    assert by_oid["Observation"]["subject"]["identifier"]["system"] == "urn:oid:1.2.40"


def test_invents_no_patient_and_no_order(chest: Source) -> None:
    document = told(chest_report(), about(chest))["DiagnosticReport"]
    assert {"subject", "basedOn", "effectiveDateTime"} & set(document) == set()
    assert told(chest_report(), about(chest, PatientName="山田^太郎"))["DiagnosticReport"]["subject"] == {
        "type": "Patient",
        "display": "太郎 山田",
    }


def test_a_cleared_algorithm_carries_no_research_mark(chest: Source) -> None:
    cleared = replace(CHEST, status="cleared", training_data="CheXpert")
    encoded = fhir_bundle(chest_report(algorithm=cleared), chest, MADE_AT).decode()
    assert ("RESEARCH" in encoded, "HRESCH" in encoded) == (False, False)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.SUCCEEDED, "unknown"),
        (Outcome.PARTIAL, "error"),
        (Outcome.FAILED, "error"),
        (Outcome.NOT_ATTEMPTED, "not-performed"),
    ],
)
def test_says_why_there_is_no_answer(outcome: Outcome, code: str, study: Any) -> None:
    report = make_report(Presence.UNDETERMINED, outcome=outcome)
    absent = told(report, read_source(report, study))["Observation"]["dataAbsentReason"]
    assert [each["code"] for each in absent["coding"]] == [code, "373068000"]


def test_names_the_segment_only_where_there_is_one(study: Any, tmp_path: Path) -> None:
    report = lesion_report(study, tmp_path)
    source = read_source(report, study)

    def segments(**options: Any) -> list[str]:
        components = told(report, source, **options)["Observation"]["component"]
        return [each["valueString"] for each in components if each["code"]["coding"][0]["code"] == "121191"]

    assert segments() == []
    assert [each.rpartition(", ")[2] for each in segments(outlined={"brain_metastasis"})] == ["segment 2"]


def test_another_hour_makes_the_same_names(chest: Source) -> None:
    def names(bundle: bytes) -> list[tuple[str, str]]:
        return [(each["fullUrl"], each["request"]["ifNoneExist"]) for each in json.loads(bundle)["entry"]]

    later = MADE_AT.replace(hour=23)
    assert names(fhir_bundle(chest_report(), chest, MADE_AT)) == names(fhir_bundle(chest_report(), chest, later))


def test_points_back_to_what_it_replaces(chest: Source) -> None:
    earlier = chest_report(revision="0" * 16)
    predecessor = Predecessor(earlier.revision, earlier.series_uid, earlier.stack, earlier.algorithm.version)
    first = told(earlier, chest)["DiagnosticReport"]["identifier"][0]
    (pointer,) = told(chest_report(replaces=(predecessor,)), chest)["DiagnosticReport"]["extension"]
    assert pointer["valueReference"]["identifier"] == first
    assert "extension" not in told(earlier, chest)["DiagnosticReport"]


def test_other_weights_are_another_device(chest: Source) -> None:
    other = replace(CHEST, weights_sha256="00" * 32)
    devices = [told(chest_report(algorithm=each), chest)["Device"]["identifier"] for each in (CHEST, other)]
    assert devices[0] != devices[1]


def _everywhere(words: str, other: str) -> Report:
    algorithm = Algorithm(words or "x", words or "x", "ab" * 32, other, "research", other)
    return chest_report(algorithm=algorithm, notes=(words, other))


@given(WORDS, WORDS, WORDS)
def test_any_text_makes_a_bundle_that_can_be_read(chest: Source, words: str, other: str, name: str) -> None:
    report = _everywhere(words, other)
    source = about(chest, PatientName=name, PatientID=name, AccessionNumber=words, IssuerOfPatientID=other)
    content = fhir_bundle(report, source, MADE_AT)
    read = resources(content)
    narrative = [each.text.div for each in read.values() if each.text]
    assert len(narrative) == 1
    fromstring(narrative[0])
    assert not any(ord(character) < 32 and character != "\n" for character in content.decode())


def test_refuses_a_number_that_json_has_not(study: Any) -> None:
    report = lesion_report(study, study.series[0].instances[0].path.parent / "out")
    (finding,) = report.findings
    endless = replace(finding, lesions=(replace(finding.lesions[0], volume_mm3=float("inf")),))
    with pytest.raises(ValueError, match="not JSON compliant"):
        fhir_bundle(replace(report, findings=(endless,)), read_source(report, study), MADE_AT)


@pytest.mark.parametrize("name", ["<b>&\"'", "]]>", "\x00\x1b[31m", "\ud800", "x" * 10_000])
def test_escapes_what_bundles_call_themselves(name: str, chest: Source) -> None:
    report = chest_report(algorithm=replace(CHEST, training_data=name), notes=(name,))
    div = fromstring(told(report, chest)["DiagnosticReport"]["text"]["div"])
    assert {child.tag.rpartition("}")[2] for child in div} == {"p", "ul"}


def test_the_real_header_of_a_study_joins_its_patient(tmp_path: Path) -> None:
    headers = {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう"}
    study = make_study(tmp_path, headers=headers)
    report = make_report(algorithm=PHANTOM)
    subject = told(report, read_source(report, study))["Observation"]["subject"]
    assert (subject["display"], subject["identifier"]["value"]) == ("Tarou Yamada / 山田 太郎 / やまだ たろう", "P-1")
