"""A report as JSON for machines. The schema is published beside this file: `schema/report-1.json`."""

import json
from datetime import datetime
from typing import Any

from app.findings import FINDING_KINDS, OUTCOME_CODES, PRESENCE_CODES, Code, Finding, Presence, Region, Report
from app.report.words import disclaimer, shown_regions

SCHEMA_VERSION = "1.1"


def json_report(report: Report, made_at: datetime) -> bytes:
    """Encode a report as UTF-8 JSON, for people too: indented, keys in a fixed order.

    Holds UIDs, no other patient data.

    Raises:
        ValueError: A number is not finite.
        KeyError: A finding is not in the code table.
    """
    algorithm = report.algorithm
    content = {
        "schema_version": SCHEMA_VERSION,
        "made_at": made_at.isoformat(),
        "study": {"uid": report.study_uid, "revision": report.revision},
        "series": {"uid": report.series_uid, "stack": report.stack},
        "stacks": [{"uid": uid, "stack": stack} for uid, stack in report.stacks],
        "algorithm": {
            "name": algorithm.name,
            "version": algorithm.version,
            "title": algorithm.title,
            "weights_sha256": algorithm.weights_sha256,
            "training_data": algorithm.training_data,
            "status": algorithm.status,
        },
        "research_only": algorithm.research_only,
        "disclaimer": disclaimer(algorithm),
        "outcome": {"name": report.outcome.value, "code": _code(OUTCOME_CODES[report.outcome])},
        "reason": report.reason,
        "urgent": report.urgent,
        "findings": [_finding(finding) for finding in report.findings],
        "notes": list(report.notes),
        "seconds": report.seconds,
    }
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _finding(finding: Finding) -> dict[str, Any]:
    kind = FINDING_KINDS[finding.kind]
    return {
        "kind": kind.name,
        "code": _code(kind.code),
        "site": None if kind.site is None else _code(kind.site),
        "presence": {"name": finding.presence.value, "code": _code(PRESENCE_CODES[finding.presence])},
        "certainty": finding.certainty,
        "threshold": finding.threshold,
        "calibrated": finding.calibrated,
        "slices": [
            {"index": score.index, "sop_instance_uid": score.sop_instance_uid, "certainty": score.certainty}
            for score in finding.slices
        ],
        "urgent": finding.urgent and finding.presence is Presence.PRESENT,
        "regions": [_region(region) for region in shown_regions(finding)],
    }


def _region(region: Region) -> dict[str, Any]:
    return {
        "kind": region.kind.value,
        "sop_instance_uid": region.sop_instance_uid,
        "frame": region.frame,
        "box": list(region.box),
        "certainty": region.certainty,
    }


def _code(code: Code) -> dict[str, str]:
    return {"value": code.value, "scheme": code.scheme, "meaning": code.meaning}
