"""UIDs derived from what they name: the same input gives the same UID, so that a repeat is a duplicate."""

from dataclasses import replace
from hashlib import sha256
from uuid import UUID

from app.findings import Finding, Lesion, Predecessor, Report
from app.structures import Structure


def derived_uid(*parts: str | int) -> str:
    """Derive a UID from an ordered list of parts.

    The first 128 bits of SHA-256, stamped as a name-based UUID, under the root 2.25 (DICOM PS3.5 annex B.2). Every part
    is preceded by its length, so that no two lists run together. The UID tells nothing of the parts.
    """
    digest = sha256(b"vigil")
    for part in parts:
        encoded = str(part).encode("utf-8", "surrogateescape")
        digest.update(f"{len(encoded)}:".encode())
        digest.update(encoded)
    return f"2.25.{UUID(bytes=digest.digest()[:16], version=5).int}"


def report_uid(report: Report, *kind: str) -> str:
    """Name one thing of a report: its SR, the SR's series, the tracking of a finding."""
    return derived_uid(
        report.study_uid,
        report.revision,
        report.series_uid,
        report.stack,
        report.algorithm.name,
        report.algorithm.version,
        *kind,
    )


def predecessor_uid(report: Report, predecessor: Predecessor, *kind: str) -> str:
    """Name one thing of a report that this one replaces, as that report named it; see `report_uid`."""
    earlier = replace(
        report,
        revision=predecessor.revision,
        series_uid=predecessor.series_uid,
        stack=predecessor.stack,
        algorithm=replace(report.algorithm, version=predecessor.version),
    )
    return report_uid(earlier, *kind)


def lesion_tracking_uid(report: Report, finding: Finding, lesion: Lesion) -> str:
    """Name a lesion: the same in every document of its report."""
    return report_uid(report, "tracking", finding.kind, f"{lesion.kind.value} {lesion.number}")


def structure_tracking_uid(report: Report, structure: Structure) -> str:
    """Name a structure: the same in every document of its report."""
    return report_uid(report, "tracking", "structure", structure.name)


def device_uid(report: Report) -> str:
    """Name the observer: one UID for each bundle, whatever its version and wherever it runs."""
    return derived_uid("device observer", report.algorithm.name)
