"""The table of results: one JSON object a line, appended and never changed, and the same figures as CSV beside it."""

from __future__ import annotations

import csv
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bundles.common.strict import ConfigurationError
from pretraining.data.files import whole_file

TABLE, FLAT = "results.jsonl", "results.csv"
DESCRIPTION = "experiment"
KINDS = (DESCRIPTION, "run", "comparison", "loss", "panels")
# Before the number of a description that came back.
AGAIN = "#"
FLAT_COLUMNS = (
    "experiment", "variant", "task", "initialisation", "fraction", "seed", "state", "finding", "stratum", "metric",
    "value", "low", "high", "positives", "negatives", "patients", "convergence_epoch", "seconds", "commit", "code",
    "data_hash", "machine", "date",
)  # fmt: skip
Row = dict[str, Any]


class ResultTable:
    """Rows of experiments, runs, comparisons, losses and panels, each with a key by which it is there once.

    Args:
        folder: Of `results.jsonl` and `results.csv`; is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / TABLE

    def rows(self) -> list[Row]:
        """All rows in the order in which they came; a last line that a kill cut off is left out.

        Raises:
            ConfigurationError: A line is no row; the message names it.
        """
        if not self.path.is_file():
            return []
        lines = _whole_lines(self.path.read_text(encoding="utf-8"))
        found = []
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                known = row["kind"] in KINDS and isinstance(row["key"], str)
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigurationError(f"{self.path}, line {number}: no result: {error}; restore the file") from error
            if not known:
                raise ConfigurationError(f"{self.path}, line {number}: unknown kind {row['kind']!r}")
            found.append(row)
        return found

    def keys(self) -> set[str]:
        """Keys of all rows."""
        return {row["key"] for row in self.rows()}

    def append(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Append rows that are not there yet, synced; the CSV follows. Processes may append at the same time.

        The description of an experiment is appended once more where another one came after it, with a number behind its
        key: the last one is what counts.

        Returns:
            How many were new.

        Raises:
            ConfigurationError: As in `rows`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._cut_broken_end()
            new = _new(self.rows(), rows)
            if new:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write("".join(_line(row) for row in new.values()))
                    file.flush()
                    os.fsync(file.fileno())
            self._write_flat()
        return len(new)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # The folder itself is locked, so that no file of ours lies beside the table.
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _cut_broken_end(self) -> None:
        if not self.path.is_file():
            return
        content = self.path.read_text(encoding="utf-8")
        whole = "".join(f"{line}\n" for line in _whole_lines(content))
        if whole != content:
            with whole_file(self.path) as temporary:
                temporary.write_text(whole, encoding="utf-8")

    def _write_flat(self) -> None:
        with whole_file(self.folder / FLAT) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FLAT_COLUMNS, extrasaction="ignore", restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(line for row in self.rows() if row["kind"] == "run" for line in _flat(row))


def _whole_lines(text: str) -> list[str]:
    """Lines without the last one where a kill cut it off; an editor may have taken a newline from one that is whole."""
    *lines, last = text.split("\n")
    try:
        return [*lines, last] if isinstance(json.loads(last), dict) else lines
    except ValueError:
        return lines


def _new(there: Iterable[Row], rows: Iterable[Mapping[str, Any]]) -> dict[str, Row]:
    """Rows that are to be appended, by key."""
    keys: set[str] = set()
    last: dict[tuple[str, str], str] = {}
    found: dict[str, Row] = {}
    for known in there:
        keys.add(known["key"])
        if known["kind"] == DESCRIPTION:
            last[known["experiment"], known["variant"]] = known["key"]
    for row in rows:
        key = str(row["key"])
        if row["kind"] == DESCRIPTION:
            of = (row["experiment"], row["variant"])
            if last.get(of, "").partition(AGAIN)[0] == key:
                continue
            times = sum(one.partition(AGAIN)[0] == key for one in keys)
            key = last[of] = f"{key}{AGAIN}{times}" if times else key
        if key not in keys:
            keys.add(key)
            found[key] = {**row, "key": key}
    return found


def _line(row: Mapping[str, Any]) -> str:
    # JSON has no NaN: what is not a number is null. Digits beyond the eighth are the noise of a machine.
    plain = json.loads(json.dumps(row), parse_constant=lambda _: None, parse_float=lambda text: round(float(text), 8))
    return json.dumps(plain, sort_keys=True, ensure_ascii=False) + "\n"


def _flat(row: Row) -> Iterator[Row]:
    for figure in row.get("figures") or [{}]:
        yield {**row, **figure}
