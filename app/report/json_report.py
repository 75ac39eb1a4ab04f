"""A report as JSON for machines. The schema is published beside this file: `schema/report-1.json`."""

import json
from datetime import datetime
from typing import Any

from app.codes import Code
from app.findings import FINDING_KINDS, OUTCOME_CODES, PRESENCE_CODES, Finding, Lesion, Presence, Region, Report
from app.report.uids import lesion_tracking_uid, predecessor_uid, structure_tracking_uid
from app.report.words import disclaimer, shown_lesions, shown_regions
from app.structures import Structure

SCHEMA_VERSION = "1.2"
SINCE_MEASURED = "1.3"
"""Of reports with structures or classes; others stay what they were."""
SINCE_REPLACING = "1.4"
"""Of reports that replace earlier ones."""


def json_report(report: Report, made_at: datetime) -> bytes:
    """Encode a report as UTF-8 JSON, for people too: indented, keys in a fixed order.

    Holds UIDs, no other patient data.

    Raises:
        ValueError: A number is not finite.
        KeyError: A finding is not in the code table.
    """
    algorithm = report.algorithm
    measured = _measured(report)
    replaces = _replaces(report)
    version = SINCE_REPLACING if replaces else SINCE_MEASURED if measured else SCHEMA_VERSION
    content = {
        "schema_version": version,
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
        "findings": [_finding(report, finding) for finding in report.findings],
        **measured,
        **replaces,
        "notes": list(report.notes),
        "seconds": report.seconds,
    }
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _finding(report: Report, finding: Finding) -> dict[str, Any]:
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
        "lesions": [_lesion(report, finding, lesion) for lesion in shown_lesions(finding)],
    }


def _measured(report: Report) -> dict[str, Any]:
    """What a Model Zoo bundle measured, or was to; {} for all others."""
    if not report.structures and not report.classes:
        return {}
    return {
        "structures": [_structure(report, structure) for structure in report.structures],
        "classes": [
            {
                "name": each.name,
                "code": _code(each.code),
                "score": each.score,
                "sop_instance_uid": each.sop_instance_uid or None,
                "image": each.image,
            }
            for each in report.classes
        ],
    }


def _replaces(report: Report) -> dict[str, Any]:
    """Reports on earlier revisions that this one stands for; {} where there is none."""
    if not report.replaces:
        return {}
    return {
        "replaces": [
            {"revision": each.revision, "sr_sop_instance_uid": predecessor_uid(report, each, "sr")}
            for each in report.replaces
        ]
    }


def _structure(report: Report, structure: Structure) -> dict[str, Any]:
    return {
        "name": structure.name,
        "code": _code(structure.code),
        "category": _code(structure.category),
        "segment": structure.segment or None,
        "tracking_uid": structure_tracking_uid(report, structure),
        "volume_mm3": structure.volume_mm3,
        "centre_mm": None if structure.centre_mm is None else list(structure.centre_mm),
        "sop_instance_uid": structure.sop_instance_uid or None,
        "index": structure.index,
    }


def _lesion(report: Report, finding: Finding, lesion: Lesion) -> dict[str, Any]:
    return {
        "number": lesion.number,
        "kind": lesion.kind.value,
        "tracking_uid": lesion_tracking_uid(report, finding, lesion),
        "certainty": lesion.certainty,
        "volume_mm3": lesion.volume_mm3,
        "longest_diameter_mm": lesion.longest_diameter_mm,
        "centre_mm": list(lesion.centre_mm),
        "sop_instance_uid": lesion.sop_instance_uid,
        "index": lesion.index,
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
