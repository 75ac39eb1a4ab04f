"""Documents on disk: durable before anyone tries to deliver them."""

import os
import re
from pathlib import Path

from app.findings import Report
from app.report.uids import report_uid


def stem(report: Report) -> str:
    """Name the files of a report: bundle, eight digits that tell two series apart, stack."""
    bundle = re.sub(r"[^A-Za-z0-9_-]+", "_", report.algorithm.name).strip("_") or "bundle"
    return f"{bundle[:64]}-{int(report_uid(report, 'file').removeprefix('2.25.')) % 16**8:08x}-{report.stack}"


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it is either there in full or not at all, also after a power cut.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
