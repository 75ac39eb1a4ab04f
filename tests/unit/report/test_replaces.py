"""A report that stands for earlier ones says which, in its SR and its JSON."""

import json
from dataclasses import replace
from pathlib import Path

from jsonschema import Draft202012Validator
from pydicom import dcmread

from app.findings import Predecessor, Report
from app.report import encode
from app.report.json_report import json_report
from app.study import Study
from tests.unit.report.factory import MADE_AT, make_report

EARLIER = replace(make_report(), revision="e" * 16)


def predecessor(report: Report) -> Predecessor:
    return Predecessor(report.revision, report.series_uid, report.stack, report.algorithm.version)


def test_the_sr_names_the_srs_that_it_replaces(study: Study, tmp_path: Path) -> None:
    older = replace(EARLIER, revision="f" * 16, algorithm=replace(EARLIER.algorithm, version="0.0.9"))
    documents = {
        name: dcmread(encode(report, study, tmp_path / name, made_at=MADE_AT)[0].path)
        for name, report in (
            ("older", older),
            ("earlier", EARLIER),
            ("later", make_report(replaces=(predecessor(EARLIER), predecessor(older)))),
        )
    }
    assert "PredecessorDocumentsSequence" not in documents["earlier"]
    named = [
        (item.StudyInstanceUID, series.SeriesInstanceUID, sop.ReferencedSOPClassUID, sop.ReferencedSOPInstanceUID)
        for item in documents["later"].PredecessorDocumentsSequence
        for series in item.ReferencedSeriesSequence
        for sop in series.ReferencedSOPSequence
    ]
    assert sorted(named) == sorted(
        (each.StudyInstanceUID, each.SeriesInstanceUID, each.SOPClassUID, each.SOPInstanceUID)
        for each in (documents["earlier"], documents["older"])
    )
    assert documents["later"].SOPInstanceUID not in {each[-1] for each in named}


def test_the_json_names_the_srs_that_it_replaces(study: Study, tmp_path: Path, root: Path) -> None:
    schema = json.loads((root / "app" / "report" / "schema" / "report-1.json").read_text())
    content = json.loads(json_report(make_report(replaces=(predecessor(EARLIER),)), MADE_AT))
    assert list(Draft202012Validator(schema).iter_errors(content)) == []
    sr = encode(EARLIER, study, tmp_path, made_at=MADE_AT)[0]
    assert content["schema_version"] == "1.4"
    assert content["replaces"] == [{"revision": EARLIER.revision, "sr_sop_instance_uid": sr.sop_instance_uid}]
    assert "replaces" not in json.loads(json_report(EARLIER, MADE_AT))
