"""SIIM-ACR's table."""

from pathlib import Path

import pytest

from bundles.chest_radiograph.scripts.datasets import siim
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading
from tests.unit.bundles.common.datalist.sets import damaged, picture, pictures, radiograph, records, refusal

FILE = "siim_train_rle_head.csv"


def reader(csv: Path, images: Path):
    def read(problems: Problems) -> Reading:
        return siim.read(csv, ImageFolder(images), problems)

    return read


@pytest.fixture
def images(formats: Path, tmp_path: Path) -> Path:
    lines = (formats / FILE).read_text(encoding="utf-8").splitlines()[1:]
    return pictures(tmp_path / "images", [line.split(",")[0] for line in lines], 1024, 1024)


def test_real_rows(formats: Path, images: Path) -> None:
    found = records(reader(formats / FILE, images))
    assert len(found) == 59
    assert sum(record.labels["pneumothorax"] for record in found.values()) == 17
    nothing = found["1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819"]
    assert (nothing.boxes, nothing.labels) == ((), {"lesion": None, "pneumothorax": 0})
    air = found["1.2.276.0.7230010.3.1.4.8323329.13666.1517875247.117800"]
    (x0, y0, x1, y1) = air.boxes[0]
    # The first run starts at pixel 557374 = 544 · 1024 + 318.
    assert (x0, air.classes) == (544, (1,))
    assert y0 <= 318 < y1 <= 1024
    assert x1 <= 1024


@pytest.mark.parametrize(
    ("line", "old", "new", "words"),
    [
        (3, "557374 2 ", "557374 ", "expected pairs; the row is cut off"),
        (3, "557374", "1057374", "run lengths end at pixel|out of range"),
        (3, "557374", "55737x", "no whole numbers"),
        (2, ",-1", "", "1 fields, expected 2"),
        (2, ",-1", ",", "'EncodedPixels' is empty"),
    ],
)
def test_a_damaged_copy_is_refused_with_its_line(
    formats: Path, images: Path, tmp_path: Path, *, line: int, old: str, new: str, words: str
) -> None:
    csv = damaged(formats / FILE, tmp_path / "d.csv", line, lambda text: text.replace(old, new))
    message = refusal(reader(csv, images))
    assert f"{csv}:{line}: " in message
    assert any(word in message for word in words.split("|"))


def written(folder: Path, *rows: str) -> Path:
    radiograph(folder / "images" / "x" / "a.dcm", 2, 3, PatientID="P1", ViewPosition="AP")
    csv = folder / "train-rle.csv"
    csv.write_text("ImageId, EncodedPixels\n" + "".join(row + "\n" for row in rows), encoding="utf-8")
    return csv


def test_two_rows_are_two_boxes_and_the_header_tells_the_patient(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "unlisted.png", 2, 3)
    found = records(reader(written(tmp_path, "a,0 2", "a,3 1"), tmp_path / "images"))["a"]
    assert found.boxes == ((0, 0, 1, 2), (1, 0, 2, 1))
    assert (found.patient, found.view, found.image) == ("P1", "AP", "x/a.dcm")
    problems = Problems()
    assert reader(tmp_path / "train-rle.csv", tmp_path / "images")(problems).notes == ("1 images have no row",)


def test_a_row_twice_and_a_contradiction(tmp_path: Path) -> None:
    csv = written(tmp_path, "a,0 2", "a,0 2")
    assert f"{csv}:3: the same as {csv}:2" in refusal(reader(csv, tmp_path / "images"))
    csv = written(tmp_path, "a,0 2", "a, -1")
    assert f"{csv}:3: the image has a pneumothorax and none (-1)" in refusal(reader(csv, tmp_path / "images"))
