"""The prepared images of an experiment: `datalist.json` read and checked, and shares of its training patients."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundles.common.datalist.fractions import label_fraction
from bundles.common.metrics.cases import case_id
from pretraining.data.errors import ArchiveError
from pretraining.data.files import whole_file

# Of a row: finding to one flag a slice of the volume, for the baselines of findings that are asked of slices.
SLICE_LABELS = "slice_labels"
SECTIONS = ("training", "validation", "test")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Datalist:
    """Images in sections, no patient in two of them.

    Attributes:
        path: The file; images are relative to `images` beside it, or to its folder where there is none.
        sections: Rows of each section: `image`, `patient`, `labels` (finding to 0, 1 or null), `metadata`.
        content: All that the file holds.
    """

    path: Path
    sections: Mapping[str, tuple[Row, ...]]
    content: Mapping[str, Any]

    @property
    def images(self) -> Path:
        """Folder that the rows' images are relative to."""
        beside = self.path.parent / "images"
        first = str(self.sections["training"][0]["image"])
        return beside if (beside / first).is_file() else self.path.parent

    @property
    def findings(self) -> tuple[str, ...]:
        """Names of the labels."""
        return tuple(dict.fromkeys(name for row in self.rows() for name in row.get("labels") or {}))

    def rows(self, *sections: str) -> Iterable[Row]:
        """Rows of some sections, or of all."""
        return (row for name in sections or SECTIONS for row in self.sections[name])

    def metadata(self) -> dict[str, Mapping[str, Any]]:
        """What a row says beside its image, of each test image by `case_id`."""
        return {case_id(str(row["image"])): told(row) for row in self.sections["test"]}


def told(row: Row) -> dict[str, Any]:
    """What a row says of its image: its keys, and those of its `metadata`."""
    return {**row, **(row.get("metadata") or {})}


def read(path: Path) -> Datalist:
    """Read and check.

    Raises:
        ArchiveError: No such file, no datalist, an empty section, an image twice, or a patient in two sections.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        sections = {name: tuple(content.get(name) or ()) for name in SECTIONS}
        for row in (row for rows in sections.values() for row in rows):
            _ = row["image"], row["patient"]
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror}; data.prepare must write it") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArchiveError(f"{path}: no datalist of rows with image and patient: {error}") from error
    empty = [name for name in ("training", "test") if not sections[name]]
    if empty:
        raise ArchiveError(f"{path}: no image in {' and '.join(empty)}; prepare more images")
    _refuse_shared(path, sections)
    return Datalist(path, sections, content)


def _refuse_shared(path: Path, sections: Mapping[str, Sequence[Row]]) -> None:
    where: dict[str, str] = {}
    seen: set[str] = set()
    for section, rows in sections.items():
        for row in rows:
            if where.setdefault(str(row["patient"]), section) != section:
                raise ArchiveError(
                    f"{path}: a patient is in {where[str(row['patient'])]} and {section} (image "
                    f"{case_id(str(row['image']))} by its hash): no image of one patient may be on both sides"
                )
            if str(row["image"]) in seen:
                raise ArchiveError(f"{path}: an image is there twice ({case_id(str(row['image']))} by its hash)")
            seen.add(str(row["image"]))


def share(rows: Sequence[Row], findings: Sequence[str], fraction: float, seed: int) -> list[Row]:
    """The rows of a share of the patients; a smaller share of one seed lies in every larger (`label_fraction`).

    Args:
        rows: Of the training section.
        findings: Labels by which patients are stratified, and of which each class must be left.
        fraction: Of the patients, above 0 and at most 1; 1 takes all.
        seed: Of the choice.

    Raises:
        ArchiveError: A finding is left without images with it, or without images that lack it.
    """
    labels = [[_label(row, name) for name in findings] for row in rows]
    try:
        kept = label_fraction([str(row["patient"]) for row in rows], labels, fraction, seed=seed, names=findings)
    except ValueError as error:
        raise ArchiveError(f"{error}; or prepare more images") from error
    return [rows[place] for place in kept]


def _label(row: Row, finding: str) -> float:
    value = (row.get("labels") or {}).get(finding)
    return math.nan if value is None else float(value)


def write_share(datalist: Datalist, findings: Sequence[str], fraction: float, seed: int, path: Path) -> Path:
    """Write the datalist with a share of its training section; validation and test are whole.

    Raises:
        ArchiveError: As in `share`.
    """
    rows = share(datalist.sections["training"], findings or datalist.findings, fraction, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps({**datalist.content, "training": rows}) + "\n", encoding="utf-8")
    return path
