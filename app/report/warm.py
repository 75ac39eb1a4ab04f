"""Have everything loaded that the first report would otherwise wait for: highdicom's tables of the standard (0.4 s)."""

from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import CTImageStorage

from app.findings import FINDING_KINDS, Algorithm, Finding, Outcome, Presence, Region, RegionKind, Report
from app.report.page import BOLD, REGULAR, font
from app.report.source import Source, SourceStack
from app.report.sr import structured_report
from app.report.uids import derived_uid
from app.study import Instance, Series


def warm_up() -> None:
    """Encode a report on one image that does not exist, and forget it. For a worker to call when it starts."""
    uid = derived_uid("warm up")
    instance = Instance(
        path=Path(), sop_instance_uid=uid, sop_class_uid=CTImageStorage, transfer_syntax_uid="", digest=""
    )
    region = Region(uid, (0, 0, 1, 1), RegionKind.DETECTION, 0.5)
    report = Report(
        study_uid=uid,
        revision="",
        series_uid=uid,
        stack=0,
        algorithm=Algorithm("warm up", "0", "0", "none", "research"),
        outcome=Outcome.SUCCEEDED,
        findings=(Finding(next(iter(FINDING_KINDS)), Presence.PRESENT, 0.5, 0.5, regions=(region,)),),
    )
    source = Source((SourceStack(Series(uid, 0, "CT", (instance,)), Dataset()),), Dataset())
    structured_report(report, source, datetime.now(UTC))
    for name in (REGULAR, BOLD):
        font(name)
