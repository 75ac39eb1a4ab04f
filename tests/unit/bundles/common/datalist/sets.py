"""Reading a set in a test: images of any size made in a moment, damaged copies, and what came of it."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from bundles.common.datalist.assemble import Choices, Datalist, assemble
from bundles.common.datalist.problems import DatalistError, Problems
from bundles.common.datalist.records import SPLITS, Reading, Record

Reader = Callable[[Problems], Reading]


def picture(path: Path, columns: int, rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("1", (columns, rows)).save(path)


def pictures(folder: Path, names: Iterable[str], columns: int, rows: int) -> Path:
    """Many names of one picture."""
    first, *others = dict.fromkeys(names)
    picture(folder / f"{first}.png", columns, rows)
    for name in others:
        (folder / f"{name}.png").hardlink_to(folder / f"{first}.png")
    return folder


def radiograph(path: Path, columns: int, rows: int, **elements: object) -> None:
    """A black 8-bit DICOM radiograph."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.SamplesPerPixel = rows, columns, 8, 1
    dataset.PixelData = bytes(rows * columns + rows * columns % 2)
    dataset["PixelData"].VR = "OB"
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def datalist(read: Reader, **choices: bool) -> Datalist:
    problems = Problems()
    return assemble(read(problems), problems, Choices(**choices))


def records(read: Reader, **choices: bool) -> dict[str, Record]:
    made = datalist(read, **choices)
    return {record.key: record for split in SPLITS for record in made.splits[split]}


def refusal(read: Reader, **choices: bool) -> str:
    with pytest.raises(DatalistError) as caught:
        datalist(read, **choices)
    return str(caught.value)


def damaged(source: Path, target: Path, line: int, change: Callable[[str], str]) -> Path:
    """Copy a file with one line (from 1) changed."""
    lines = source.read_text(encoding="utf-8").split("\n")
    before = lines[line - 1]
    lines[line - 1] = change(before)
    assert lines[line - 1] != before
    target.write_text("\n".join(lines), encoding="utf-8")
    return target
