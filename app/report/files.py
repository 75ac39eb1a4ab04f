"""Documents on disk: durable before anyone tries to deliver them."""

import os
import re
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from app.errors import Retryable
from app.findings import Report
from app.report.uids import report_uid


def stem(report: Report) -> str:
    """Name the files of a report: bundle, eight digits that tell two series apart, stack."""
    bundle = re.sub(r"[^A-Za-z0-9_-]+", "_", report.algorithm.name).strip("_") or "bundle"
    return f"{bundle[:64]}-{int(report_uid(report, 'file').removeprefix('2.25.')) % 16**8:08x}-{report.stack}"


class Shelf:
    """Puts documents on disk beside the making of the next ones: a disk takes milliseconds for each, and no processor.

    Whoever leaves the `with` block without an error finds all of them durable.
    """

    def __enter__(self) -> Self:
        self._writer = ThreadPoolExecutor(1, "documents")
        self._written: list[Future[None]] = []
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.shutdown(wait=True)
        if kind is None:
            self.settle()

    def put(self, path: Path, content: bytes) -> None:
        """Write a file, in a while."""
        self._written.append(self._writer.submit(_store, path, content))

    def settle(self) -> None:
        """Wait until all that was put here is durable.

        Raises:
            Retryable: The folder cannot be written.
        """
        for each in self._written:
            each.result()


def _store(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, content)
    except OSError as error:
        raise Retryable(
            f"{path.name}: {error.strerror}; make room or give write access to the folder of results"
        ) from error


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
