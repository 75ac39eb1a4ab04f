"""NIH ChestX-ray14, as downloaded and joined."""

from pathlib import Path

import pytest

from bundles.chest_radiograph.scripts.datasets import nih, nih_joined
from bundles.chest_radiograph.scripts.datasets.targets import targets
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading
from bundles.common.radiograph.nih import FINDINGS
from tests.unit.bundles.common.datalist.sets import damaged, datalist, picture, pictures, records, refusal

TARGETS = targets(["Nodule", "Mass"], ["Pneumothorax"], FINDINGS)
ENTRIES, BOXES = "nih_Data_Entry_2017_v2020_head.csv", "nih_BBox_List_2017.csv"
OLD_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
)


def reader(entries: Path, images: Path, boxes: Path | None = None, test_list: Path | None = None):
    def read(problems: Problems) -> Reading:
        return nih.read(entries, boxes, ImageFolder(images), TARGETS, problems, test_list=test_list)

    return read


def joined(labels: Path, images: Path, boxes: Path | None = None):
    def read(problems: Problems) -> Reading:
        return nih_joined.read(labels, boxes, ImageFolder(images), TARGETS, problems)

    return read


@pytest.fixture
def images(formats: Path, tmp_path: Path) -> Path:
    lines = (formats / ENTRIES).read_text(encoding="utf-8").splitlines()[1:]
    return pictures(tmp_path / "images", [line.split(".png")[0] for line in lines], 1024, 1024)


def test_real_rows_with_the_boxes_of_their_images(formats: Path, images: Path, tmp_path: Path) -> None:
    every = (formats / BOXES).read_text(encoding="utf-8").splitlines()
    boxes = tmp_path / "boxes.csv"
    listed = {path.name for path in images.iterdir()}
    kept = [line for line in every[1:] if line.split(",")[0] in listed]
    boxes.write_text("\n".join([every[0], *kept]) + "\n", encoding="utf-8")
    assert kept
    found = records(reader(formats / ENTRIES, images, boxes))
    assert len(found) == 199
    last = found["00000040_003.png"]
    assert (last.labels, last.view, last.patient, last.boxed) == ({"lesion": 1, "pneumothorax": 0}, "PA", "40", False)
    assert last.more == {"findings": ["Consolidation", "Mass"], "sex": "M", "age": 67}


def test_every_real_box_is_read(formats: Path, images: Path) -> None:
    message = refusal(reader(formats / ENTRIES, images, formats / BOXES))
    assert "which has no row among the labels" in message
    assert "cannot be read" in message
    assert "outside" not in message


@pytest.mark.parametrize(
    ("line", "old", "new", "words"),
    [
        (2, "Cardiomegaly", "Cardiomegali", "unknown finding 'Cardiomegali', did you mean 'Cardiomegaly'?"),
        (3, "Cardiomegaly|", "No Finding|", "'No Finding' beside a finding"),
        (2, ",PA,", ",XX,", "'View Position' is 'XX', expected one of 'AP', 'PA'"),
        (2, ",0,1,57", ",0,2,57", "'Patient ID' is '2', and the image's name says 1"),
        (2, ",57,", ",old,", "'Patient Age' is 'old'"),
        (2, ",M,", ",", "10 fields, expected 11"),
        (2, "00000001_000.png", "1.png", "expected a name such as"),
        (3, "00000001_001.png,Cardiomegaly|", "00000001_000.png,", "again, with other labels than in"),
        (2, "00000001_000.png", "00000001_099.png", "is not below"),
    ],
)
def test_a_damaged_copy_is_refused_with_its_line(
    formats: Path, images: Path, tmp_path: Path, *, line: int, old: str, new: str, words: str
) -> None:
    csv = damaged(formats / ENTRIES, tmp_path / "d.csv", line, lambda text: text.replace(old, new))
    message = refusal(reader(csv, images))
    assert f"{csv}:{line}: " in message
    assert words in message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("225.084745762712", "-225", "outside of its image of 1024×1024"),
        ("86.7796610169491", "0", "has no area"),
        (",86.7796610169491", "", "5 fields, expected 6"),
        ("Atelectasis", "Nodul", "unknown finding 'Nodul', did you mean 'Nodule'?"),
    ],
)
def test_a_damaged_list_of_boxes(formats: Path, tmp_path: Path, old: str, new: str, words: str) -> None:
    boxes = damaged(formats / BOXES, tmp_path / "b.csv", 2, lambda text: text.replace(old, new))
    entries = written(tmp_path, "00013118_008.png,Atelectasis,8,13118,69,M,PA,2048,2500,0.1,0.1,")
    assert f"{boxes}:2: " in refusal(reader(entries, tmp_path / "images", boxes))
    assert words in refusal(reader(entries, tmp_path / "images", boxes))


def written(folder: Path, *rows: str, side: int = 1024) -> Path:
    for row in rows:
        picture(folder / "images" / row.split(",")[0], side, side)
    (folder / "entries.csv").write_text(OLD_HEADER + "".join(row + "\n" for row in rows), encoding="utf-8")
    return folder / "entries.csv"


def test_boxes_follow_the_scale_of_the_images(tmp_path: Path) -> None:
    row = "00000012_000.png,Mass|Pneumothorax,0,12,058Y,F,AP,2048,2500,0.1,0.1,"
    entries = written(tmp_path, row, side=512)
    boxes = tmp_path / "b.csv"
    boxes.write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000012_000.png,Mass,100,200,50,60\n", encoding="utf-8"
    )
    found = records(reader(entries, tmp_path / "images", boxes))["00000012_000.png"]
    assert (found.boxes, found.classes) == (((50, 100, 75, 130),), (0,))
    assert found.labels == {"lesion": 1, "pneumothorax": 1}
    assert not found.boxed
    assert found.more["age"] == 58


def test_the_own_test_split_is_kept_and_leakage_refused(tmp_path: Path) -> None:
    rows = [f"000000{n}_000.png,No Finding,0,{n},50,F,PA,1,1,1,1," for n in range(10, 40)]
    entries = written(tmp_path, *rows)
    listed = tmp_path / "test_list.txt"
    listed.write_text("00000012_000.png\n00000013_000.png\n", encoding="utf-8")
    made = datalist(reader(entries, tmp_path / "images", test_list=listed))
    assert [record.patient for record in made.splits["test"]] == ["12", "13"]
    entries = written(tmp_path, *rows, "00000012_001.png,Mass,1,12,50,F,PA,1,1,1,1,")
    assert "patient '12' is in" in refusal(reader(entries, tmp_path / "images", test_list=listed))
    listed.write_text("00000099_000.png\n", encoding="utf-8")
    assert f"{listed}:1: '00000099_000.png'" in refusal(reader(entries, tmp_path / "images", test_list=listed))


def test_the_joined_set(imaging_data: Path, tmp_path: Path) -> None:
    folder = imaging_data / "cxr_nih"
    if not folder.is_dir():
        pytest.skip(f"the joined NIH images are kept outside the repository and {folder} is missing")
    found = records(joined(folder / "labels.csv", folder / "images", folder / "boxes.csv"))
    assert len(found) == 1000
    assert len({record.patient for record in found.values()}) == 682
    assert sum(len(record.boxes) for record in found.values()) == 2
    assert sum(bool(record.more["adjudicated"]) for record in found.values()) == 39
    labels = damaged(folder / "labels.csv", tmp_path / "l.csv", 5, lambda text: text.replace(",,", ",MAYBE,", 1))
    message = refusal(joined(labels, folder / "images"))
    assert f"{labels}:5: 'google_pneumothorax' is 'MAYBE', expected one of" in message
    boxes = damaged(folder / "boxes.csv", tmp_path / "b.csv", 3, lambda text: text.replace("54.507", "154.507"))
    message = refusal(joined(folder / "labels.csv", folder / "images", boxes))
    assert f"{boxes}:3: box" in message
    assert "outside of its image of 224×224" in message


def test_adjudicated_labels_stand_over_mined_ones(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "00000012_000.png", 224, 224)
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "image,patient_id,age,sex,view,findings,google_pneumothorax,google_nodule_or_mass\n"
        "00000012_000.png,12,40,F,AP,Pneumothorax,NO,YES\n",
        encoding="utf-8",
    )
    found = records(joined(labels, tmp_path / "images"))["00000012_000.png"]
    assert (found.labels, found.boxed) == ({"lesion": 1, "pneumothorax": 0}, False)
    assert found.more["adjudicated"] == ["lesion", "pneumothorax"]


def test_a_box_that_was_adjudicated_away(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "00000012_000.png", 224, 224)
    labels, boxes = tmp_path / "labels.csv", tmp_path / "boxes.csv"
    labels.write_text(
        "image,patient_id,age,sex,view,findings,google_pneumothorax,google_nodule_or_mass\n"
        "00000012_000.png,12,40,F,AP,Mass,NO,NO\n",
        encoding="utf-8",
    )
    boxes.write_text("image,finding,x,y,width,height\n00000012_000.png,Mass,1,2,3,4\n", encoding="utf-8")
    found = records(joined(labels, tmp_path / "images", boxes))["00000012_000.png"]
    assert (found.boxes, found.labels, found.boxed) == ((), {"lesion": None, "pneumothorax": 0}, False)
