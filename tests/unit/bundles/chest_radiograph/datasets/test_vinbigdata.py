"""VinBigData's rows of several readers."""

from pathlib import Path

import pytest

from bundles.chest_radiograph.scripts.datasets import vinbigdata
from bundles.chest_radiograph.scripts.datasets.targets import targets
from bundles.common.datalist.fusion import Merging, Method
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import DatalistError, Problems
from bundles.common.datalist.records import Reading
from tests.unit.bundles.common.datalist.sets import damaged, picture, pictures, radiograph, records, refusal

HEADER = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n"
TARGETS = targets(["Nodule/Mass"], ["Pneumothorax"], vinbigdata.FINDINGS)


def reader(csv: Path, images: Path, merging: Merging | None = None):
    def read(problems: Problems) -> Reading:
        return vinbigdata.read(csv, ImageFolder(images), TARGETS, merging or Merging(), problems)

    return read


def written(folder: Path, *rows: str) -> Path:
    picture(folder / "images" / "a.png", 100, 200)
    csv = folder / "train.csv"
    csv.write_text(HEADER + "".join(row + "\n" for row in rows), encoding="utf-8")
    return csv


@pytest.fixture
def images(formats: Path, tmp_path: Path) -> Path:
    lines = (formats / "vinbigdata_train_head.csv").read_text(encoding="utf-8").splitlines()[1:]
    return pictures(tmp_path / "images", [line.split(",")[0] for line in lines], 3600, 3600)


def test_real_rows(formats: Path, images: Path) -> None:
    found = records(reader(formats / "vinbigdata_train_head.csv", images))
    assert len(found) == 199
    assert sum(record.labels["lesion"] == 1 for record in found.values()) == 10
    nothing = found["50a418190bc3fb1ef1633bf9678929b3"]
    assert (nothing.boxes, nothing.labels, nothing.view) == ((), {"lesion": 0, "pneumothorax": 0}, "PA")
    assert found["9a5094b2563a1ef3ff50dc5c7ff71345"].more["findings"] == ["Cardiomegaly"]


@pytest.mark.parametrize(
    ("line", "old", "new", "words"),
    [
        (4, ",691.0,", ",x,", "'x_min' is 'x', expected a number"),
        (4, "1653.0", "653.0", "has no area"),
        (4, "1653.0", "4653.0", "outside of its image of 3600×3600"),
        (4, ",3,", ",2,", "class_id 2 is not 'Cardiomegaly'"),
        (4, ",1831.0", "", "7 fields, expected 8"),
        (4, ",1831.0", ",", "'Cardiomegaly' without a box: 'y_max' is empty"),
        (2, "R11,,", "R11,5,", "'No finding' with a box"),
        (2, "R11", "", "'rad_id' is empty"),
    ],
)
def test_a_damaged_copy_is_refused_with_its_line(
    formats: Path, images: Path, tmp_path: Path, *, line: int, old: str, new: str, words: str
) -> None:
    csv = damaged(formats / "vinbigdata_train_head.csv", tmp_path / "d.csv", line, lambda text: text.replace(old, new))
    message = refusal(reader(csv, images))
    assert f"{csv}:{line}: " in message
    assert words in message


def test_readers_are_merged_or_vote(tmp_path: Path) -> None:
    csv = written(
        tmp_path,
        "a,Nodule/Mass,8,R1,10,10,30,30",
        "a,Nodule/Mass,8,R2,12,10,32,30",
        "a,Pneumothorax,12,R1,50,50,90,90",
        "a,No finding,14,R3,,,,",
    )
    merged = records(reader(csv, tmp_path / "images"))["a"]
    assert merged.boxes == ((11, 10, 31, 30), (50, 50, 90, 90))
    assert (merged.classes, merged.boxed) == ((0, 1), True)
    assert merged.labels == {"lesion": 1, "pneumothorax": 1}
    assert merged.more == {
        "readers": 3,
        "votes": {"lesion": 2, "pneumothorax": 1},
        "shares": [2 / 3, 1 / 3],
        "findings": ["Nodule/Mass", "Pneumothorax"],
    }
    voted = records(reader(csv, tmp_path / "images", Merging(Method.VOTE)))["a"]
    assert voted.boxes == ((11, 10, 31, 30),)
    assert (voted.labels, voted.boxed) == ({"lesion": 1, "pneumothorax": None}, False)
    assert len(records(reader(csv, tmp_path / "images", Merging(Method.ALL)))["a"].boxes) == 3


def test_a_vote_on_the_image_without_a_common_place(tmp_path: Path) -> None:
    csv = written(tmp_path, "a,Nodule/Mass,8,R1,10,10,30,30", "a,Nodule/Mass,8,R2,60,60,80,80")
    voted = records(reader(csv, tmp_path / "images", Merging(Method.VOTE)))["a"]
    assert (voted.boxes, voted.labels["lesion"], voted.boxed) == ((), 1, False)


def test_the_header_of_dicom_tells_size_and_view(tmp_path: Path) -> None:
    csv = written(tmp_path, "b,Nodule/Mass,8,R1,10,10,30,30")
    radiograph(tmp_path / "images" / "b.dicom", 30, 30, ViewPosition="AP")
    found = records(reader(csv, tmp_path / "images"))["b"]
    assert (found.view, found.image, found.patient) == ("AP", "b.dicom", "b")


def test_duplicates_contradictions_and_missing_images(tmp_path: Path) -> None:
    twice = ("a,Nodule/Mass,8,R1,10,10,30,30",) * 2
    csv = written(tmp_path, *twice)
    assert f"{csv}:3: the same reader's same mark as in {csv}:2" in refusal(reader(csv, tmp_path / "images"))
    assert len(records(reader(csv, tmp_path / "images"), leave_out=True)["a"].boxes) == 1
    csv = written(tmp_path, twice[0], "a,No finding,14,R1,,,,", "b,No finding,14,R1,,,,", "c,No finding,14,R1,,,,")
    message = refusal(reader(csv, tmp_path / "images"))
    assert f"{csv}:3: reader R1 says 'No finding' and marks one" in message
    assert "2 images are listed but missing:" in message
    assert f"{csv}:4: image 'b' is not below" in message


def test_other_findings_as_lesions() -> None:
    assert targets(["Other lesion"], [], vinbigdata.FINDINGS).of(["Other lesion", "ILD"]) == {0}
    with pytest.raises(DatalistError, match="no finding 'Nodule', did you mean 'Nodule/Mass'"):
        targets(["Nodule"], [], vinbigdata.FINDINGS)
