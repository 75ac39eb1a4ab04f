"""Every detector in every state as FHIR, HL7 and JSON, judged by libraries that share no code with the encoders."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from hl7apy.parser import parse_message
from jsonschema import Draft202012Validator

from app.documents import DocumentKind
from app.findings import FINDING_KINDS, OUTCOME_CODES, PRESENCE_CODES, Finding, Outcome, Presence, Report
from app.report.uids import lesion_tracking_uid, report_uid, structure_tracking_uid
from app.report.words import disclaimer, percent
from tests.unit.report.texts import DETECTORS, REASON, STATES, Made, Message, Row, make, resources

CASES = [(detector, state) for detector in DETECTORS for state in STATES]
ABSENT = PRESENCE_CODES[Presence.ABSENT].value


@pytest.fixture(scope="module", params=CASES, ids=[" ".join(case) for case in CASES])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(*request.param, tmp_path_factory.mktemp("case"))


@pytest.fixture(scope="module")
def schema(root: Path) -> Draft202012Validator:
    return Draft202012Validator(json.loads((root / "app" / "report" / "schema" / "report-1.json").read_text()))


def test_json_keeps_to_its_published_schema(made: Made, schema: Draft202012Validator) -> None:
    content = json.loads(made.texts[DocumentKind.JSON])
    assert list(schema.iter_errors(content)) == []
    assert [each["presence"]["name"] for each in content["findings"]] == [f.presence for f in made.report.findings]


def test_no_text_says_absent_after_a_failure(made: Made) -> None:
    """Not as a code, nor in words."""
    absent = any(each.presence is Presence.ABSENT for each in made.report.findings)
    for kind, content in made.texts.items():
        assert (ABSENT in content.decode(), kind) == (absent, kind)
        assert absent or "not found" not in content.decode()
        assert made.report.outcome is Outcome.SUCCEEDED or REASON in content.decode()
        assert disclaimer(made.report.algorithm) in content.decode()


# FHIR


def test_fhir_resources_reads_the_bundle(made: Made) -> None:
    content = made.texts[DocumentKind.FHIR]
    read = resources(content)
    kinds = [each.get_resource_type() for each in read.values()]
    assert kinds[:2] == ["Device", "DiagnosticReport"]
    assert set(kinds[2:]) == {"Observation"}
    assert {each.status for each in read.values()} == {"active", "preliminary"}
    bundle = json.loads(content)
    assert (bundle["type"], {entry["request"]["method"] for entry in bundle["entry"]}) == ("transaction", {"POST"})
    asked = [entry["request"]["ifNoneExist"] for entry in bundle["entry"]]
    first = [entry["resource"]["identifier"][0] for entry in bundle["entry"]]
    assert asked == [f"identifier={each['system']}|{each['value']}" for each in first]
    assert len(set(asked)) == len(asked)


def references(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("type"), str) and ({"reference", "identifier"} & set(value)):
            yield value
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_references_of_the_bundle_resolve(made: Made) -> None:
    """By URL inside of the bundle, or by the hospital's own identifiers."""
    bundle = json.loads(made.texts[DocumentKind.FHIR])
    kinds = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in bundle["entry"]}
    found = list(references([entry["resource"] for entry in bundle["entry"]]))
    inside = [each for each in found if "reference" in each]
    assert [kinds[each["reference"]] for each in inside] == [each["type"] for each in inside]
    outside = {(each["type"], each["identifier"]["value"]) for each in found if "reference" not in each}
    assert outside == {
        ("Patient", "P-1"),
        ("ImagingStudy", f"urn:oid:{made.study.uid}"),
        ("ServiceRequest", "A-7"),
    }
    # Nothing in it is an orphan.
    assert {each["reference"] for each in inside} == {url for url, kind in kinds.items() if kind != "DiagnosticReport"}


def component(observation: Any, code: str) -> Any:
    """The value of a component, or None."""
    found = [each for each in observation.component or () if each.code.coding[0].code == code]
    assert len(found) <= 1
    if not found:
        return None
    quantity = found[0].valueQuantity
    return (float(quantity.value), quantity.code) if quantity else found[0].valueBoolean


def by_uid(content: bytes) -> dict[str, Any]:
    return {
        each.identifier[0].value.removeprefix("urn:oid:"): each
        for each in resources(content).values()
        if each.get_resource_type() == "Observation"
    }


def share(value: float | None) -> tuple[float, str] | None:
    return None if value is None else (percent(value), "%")


def test_fhir_tells_every_finding(made: Made) -> None:
    observations, report = by_uid(made.texts[DocumentKind.FHIR]), made.report
    for finding in report.findings:
        kind = FINDING_KINDS[finding.kind]
        observation = observations[report_uid(report, "tracking", kind.name)]
        assert observation.code.coding[0].code == kind.code.value
        assert (observation.bodySite and observation.bodySite.coding[0].code) == (kind.site and kind.site.value)
        if finding.presence is Presence.UNDETERMINED:
            assert observation.valueCodeableConcept is None
            assert PRESENCE_CODES[finding.presence].value in [c.code for c in observation.dataAbsentReason.coding]
            assert (report.reason or report.notes[0]) in observation.dataAbsentReason.text
        else:
            assert observation.dataAbsentReason is None
            assert observation.valueCodeableConcept.coding[0].code == PRESENCE_CODES[finding.presence].value
        assert component(observation, "111012") == share(finding.certainty)
        assert component(observation, "threshold") == share(finding.threshold)
        assert len(observation.hasMember or ()) == len(finding.regions) + len(finding.lesions)
        flags = {each.coding[0].code for each in observation.interpretation}
        assert ("AA" in flags) == (finding.urgent and finding.presence is Presence.PRESENT)


def test_fhir_tells_what_was_measured(made: Made) -> None:
    observations, report = by_uid(made.texts[DocumentKind.FHIR]), made.report
    for finding in report.findings:
        for lesion in finding.lesions:
            observation = observations[lesion_tracking_uid(report, finding, lesion)]
            diameter = lesion.longest_diameter_mm
            assert component(observation, "118565006") == (round(lesion.volume_mm3, 2), "mm3")
            assert component(observation, "103339001") == (None if diameter is None else (round(diameter, 2), "mm"))
            assert component(observation, "111012") == share(lesion.certainty)
    for structure in report.structures:
        observation = observations[structure_tracking_uid(report, structure)]
        volume = structure.volume_mm3
        assert component(observation, "118565006") == (None if volume is None else (round(volume, 2), "mm3"))
        assert (observation.dataAbsentReason is None) == (volume is not None)
        assert observation.valueCodeableConcept is None
    scores = [component(each, "111012") for each in observations.values() if (each.code.text or "").startswith("Class")]
    assert scores == [share(each.score) for each in report.classes]


def test_fhir_says_how_the_analysis_ended(made: Made) -> None:
    read = resources(made.texts[DocumentKind.FHIR])
    device, document, ended, *_ = read.values()
    assert ended.valueCodeableConcept.coding[0].code == OUTCOME_CODES[made.report.outcome].value
    assert [document.result[0].reference] == [list(read)[2]]
    words = {each.valueCode[0].text for each in device.property}
    assert {made.report.algorithm.weights_sha256, made.report.algorithm.training_data} <= words
    assert [each.code for each in document.meta.security] == ["HRESCH"]
    told = "".join(fromstring(document.text.div).itertext())
    assert disclaimer(made.report.algorithm) in told
    assert made.report.algorithm.weights_sha256 in told


# HL7


def test_hl7_has_the_structure_of_its_version(made: Made) -> None:
    """hl7apy knows segments, their order and their data types; it must also write what it read as it was."""
    text = made.texts[DocumentKind.HL7].decode()
    parsed = parse_message(text, find_groups=True)
    assert parsed.validate()
    assert parsed.to_er7().rstrip("\r") == text.rstrip("\r")
    assert text.endswith("\r")
    assert "\n" not in text


def test_hl7_says_who_it_is_about(made: Made) -> None:
    message = Message(made.texts[DocumentKind.HL7])
    assert message.names[:5] == ["MSH", "PID", "PV1", "ORC", "OBR"]
    assert [message.field("MSH", number) for number in (9, 11, 12, 18)] == ["ORU", "P", "2.5.1", "UNICODE UTF-8"]
    assert 0 < len(message.field("MSH", 10)) <= 20
    assert [message.field("PID", 5, part) for part in (1, 2)] == ["Doe", "Jane"]
    assert [message.field("PID", number) for number in (3, 7, 8)] == ["P-1", "19500102", "F"]
    assert [message.field("OBR", number) for number in (3, 18, 25)] == ["A-7", "A-7", "P"]
    assert message.field("OBR", 4) == made.report.algorithm.name
    study = [row for row in message.rows if row.codes[0] == "110180"]
    assert [row.value[0] for row in study] == [made.study.uid]
    urgent = "S" if made.report.urgent else ""
    assert [message.field("OBR", 5), message.field("OBR", 27, 6), "".join(message.all("TQ1", 9))] == [urgent] * 3


def rows_of(message: Message, group: str, code: str) -> list[Row]:
    return [row for row in message.rows if row.group == group and row.codes[0] == code]


def number(row: Row) -> tuple[float, str]:
    assert row.type == "NM"
    return float(row.value[0]), row.unit


def expected_flag(finding: Finding) -> str:
    if finding.presence is not Presence.PRESENT:
        return ""
    return "AA" if finding.urgent else "A"


def test_hl7_tells_every_finding(made: Made) -> None:
    message = Message(made.texts[DocumentKind.HL7])
    rows = message.rows
    assert [row.value[0] for row in rows if row.codes[0] == "111065"] == [OUTCOME_CODES[made.report.outcome].value]
    assert message.all("OBX", 1) == [str(place) for place in range(1, len(rows) + 1)]
    assert {row.status for row in rows} <= {"P", "X"}
    for place, finding in enumerate(made.report.findings, 1):
        group = str(place)
        answer = next(row for row in rows if row.codes[3] == finding.kind)
        code = PRESENCE_CODES[finding.presence]
        assert (answer.group, answer.codes[0]) == (group, FINDING_KINDS[finding.kind].code.value)
        assert answer.value == (code.value, code.meaning, "SCT")
        assert answer.flag == expected_flag(finding)
        assert answer.status == ("X" if finding.presence is Presence.UNDETERMINED else "P")
        for name, value in (("111012", finding.certainty), ("threshold", finding.threshold)):
            told = [number(row) for row in rows_of(message, group, name)]
            assert told == ([] if value is None else [(percent(value), "%")])


def measured(report: Report) -> Iterator[tuple[str, str, float, str]]:
    """Group, code, value and unit of every number that belongs to a part of a finding."""
    for place, finding in enumerate(report.findings, 1):
        for part, region in enumerate(finding.regions, 1):
            if region.certainty is not None:
                yield f"{place}.{part}", "111012", percent(region.certainty), "%"
        for part, lesion in enumerate(finding.lesions, len(finding.regions) + 1):
            yield f"{place}.{part}", "118565006", round(lesion.volume_mm3, 2), "mm3"
            if lesion.longest_diameter_mm is not None:
                yield f"{place}.{part}", "103339001", round(lesion.longest_diameter_mm, 2), "mm"
            if lesion.certainty is not None:
                yield f"{place}.{part}", "111012", percent(lesion.certainty), "%"


def test_hl7_tells_what_was_measured(made: Made) -> None:
    message = Message(made.texts[DocumentKind.HL7])
    told = [(row.group, row.codes[0], *number(row)) for row in message.rows if row.type == "NM" and "." in row.group]
    assert told == list(measured(made.report))
    for structure in made.report.structures:
        row = next(row for row in message.rows if row.codes[4] == f"Volume of {structure.name}")
        volume = structure.volume_mm3
        assert (row.codes[0], row.value[0], row.status) == (
            (structure.code.value, "", "X") if volume is None else (structure.code.value, f"{volume:.12g}", "P")
        )
    for each in made.report.classes:
        row = next(row for row in message.rows if row.codes[4] == f"Score of class {each.name}")
        assert (row.value[0], row.status) == (("", "X") if each.score is None else (f"{percent(each.score):.12g}", "P"))


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_same_report_makes_the_same_bytes(detector: str, tmp_path: Path) -> None:
    assert make(detector, "present", tmp_path / "one").texts == make(detector, "present", tmp_path / "two").texts
