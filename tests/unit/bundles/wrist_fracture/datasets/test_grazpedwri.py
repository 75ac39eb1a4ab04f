"""GRAZPEDWRI-DX's table and label files."""

from pathlib import Path

import pytest

from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading
from bundles.wrist_fracture.scripts.datasets import voc
from bundles.wrist_fracture.scripts.datasets.grazpedwri import LabelFolders, read
from tests.unit.bundles.common.datalist.sets import damaged, picture, pictures, records, refusal

FILE = "grazpedwri_dataset_head.csv"
STEM = "0001_1297860395_01_WRI-L1_M014"
HEADER = (
    "\ufefffilestem,patient_id,study_number,timehash,gender,age,laterality,projection,initial_exam,ao_classification,"
    "cast,diagnosis_uncertain,osteopenia,fracture_visible,metal,pixel_spacing,device_manufacturer\n"
)
ROW = f"{STEM},1,1,1297860395,M,14.1,L,1,1,23r-M/2.1,1,,,1,,0.144,Siemens\n"


def reader(csv: Path, images: Path, yolo: Path | None = None, xml: Path | None = None):
    def reading(problems: Problems) -> Reading:
        return read(csv, ImageFolder(images), LabelFolders.below(yolo, xml), problems)

    return reading


@pytest.fixture
def images(formats: Path, tmp_path: Path) -> Path:
    lines = (formats / FILE).read_text(encoding="utf-8-sig").splitlines()[1:]
    return pictures(tmp_path / "images", [line.split(",")[0] for line in lines], 100, 200)


def written(folder: Path, text: str = HEADER + ROW) -> Path:
    picture(folder / "images" / f"{STEM}.png", 100, 200)
    (folder / "dataset.csv").write_text(text, encoding="utf-8")
    return folder / "dataset.csv"


def label(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{STEM}{'.xml' if text.startswith('<') else '.txt'}").write_text(text, encoding="utf-8")
    return folder


def test_real_rows(formats: Path, images: Path) -> None:
    found = records(reader(formats / FILE, images))
    assert len(found) == 199
    first, second = found[STEM], found["0001_1297860435_01_WRI-L2_M014"]
    assert (first.labels, second.labels) == ({"fracture": 0}, {"fracture": 1})
    assert (first.view, second.view, first.patient, first.boxed) == ("PA", "LATERAL", "1", False)
    assert first.more["laterality"] == "L"
    assert sum(record.labels["fracture"] == 1 for record in found.values()) == 137
    assert sum(record.more["cast"] == 1 for record in found.values()) == 50


def test_real_images_with_yolo_and_voc(formats: Path, imaging_data: Path, tmp_path: Path) -> None:
    folder = imaging_data / "xr_wrist_grazped"
    if not folder.is_dir():
        pytest.skip(f"the wrist radiographs are kept outside the repository and {folder} is missing")
    stems = {path.stem for path in folder.glob("*.png")}
    lines = (formats / FILE).read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines[1:] if line.split(",")[0] in stems]
    csv = tmp_path / "dataset.csv"
    csv.write_text("\n".join([lines[0], *kept]) + "\n", encoding="utf-8")
    found = records(reader(csv, folder, folder, folder))
    assert len(found) == len(kept) >= 3
    text, broken = found[STEM], found["0003_0662359226_01_WRI-R1_M011"]
    assert text.classes == (8,)
    # 8 0.05668 0.837689 0.109312 0.088033 on 494×727 pixels
    assert text.boxes[0] == pytest.approx((1.0, 577.0, 55.0, 641.0), abs=0.01)
    assert (text.boxed, text.labels["fracture"]) == (True, 0)
    assert broken.boxes == ((645, 86, 690, 152), (210, 661, 335, 731), (404, 699, 474, 777))
    assert (broken.classes, broken.boxed, broken.labels) == ((8, 3, 3), True, {"fracture": 1})


@pytest.mark.parametrize(
    ("line", "old", "new", "words"),
    [
        (2, ",L,1,", ",R,1,", "'laterality' is 'R', and the name of the file says L"),
        (2, ",L,1,", ",L,2,", "'projection' is '2', and the name of the file says 1"),
        (2, ",1,1,1297860395", ",2,1,1297860395", "'patient_id' is '2', and the name of the file says 0001"),
        (2, ",14.1,", ",13.1,", "'age' is '13.1', and the name of the file says 014"),
        (2, ",14.1,", ",,", "'age' is '', expected a number"),
        (3, ",1,,0.144", ",yes,,0.144", "'fracture_visible' is 'yes', expected one of '', '0', '1'"),
        (2, ",Siemens", "", "16 fields, expected 17"),
        (2, STEM, "0001_WRI", "expected such as 0001_1297860395_01_WRI-L1_M014"),
        (3, "0001_1297860435_01_WRI-L2", "0001_1297860436_01_WRI-L2", "'timehash' is '1297860435'"),
    ],
)
def test_a_damaged_copy_is_refused_with_its_line(
    formats: Path, images: Path, tmp_path: Path, *, line: int, old: str, new: str, words: str
) -> None:
    csv = damaged(formats / FILE, tmp_path / "d.csv", line, lambda text: text.replace(old, new))
    message = refusal(reader(csv, images))
    assert f"{csv}:{line}: " in message
    assert words in message


def test_missing_images_are_named_all_at_once(formats: Path, images: Path) -> None:
    for stem in (STEM, "0001_1297860435_01_WRI-L2_M014"):
        (images / f"{stem}.png").unlink()
    message = refusal(reader(formats / FILE, images))
    assert message.startswith("2 images are listed but missing:\n")
    assert f"{formats / FILE}:2: image '{STEM}'" in message
    assert f"{formats / FILE}:3: image '0001_1297860435_01_WRI-L2_M014'" in message
    assert len(records(reader(formats / FILE, images), leave_out=True)) == 197


def test_rows_twice_and_images_without_a_row(tmp_path: Path) -> None:
    csv = written(tmp_path, HEADER + ROW + ROW)
    assert f"{csv}:3: image '{STEM}' again, the same as in {csv}:2" in refusal(reader(csv, tmp_path / "images"))
    picture(tmp_path / "images" / "other.png", 3, 3)
    assert reader(written(tmp_path), tmp_path / "images")(Problems()).notes == ("1 images have no row",)


def test_yolo_and_voc_must_agree(tmp_path: Path) -> None:
    csv, yolo = written(tmp_path), label(tmp_path / "labels", "3 0.5 0.5 0.2 0.1\n8 0.1 0.1 0.1 0.1\n")
    same = voc.encode(STEM, [(8, (5, 10, 15, 30)), (3, (41, 90, 60, 111))])
    found = records(reader(csv, tmp_path / "images", yolo, label(tmp_path / "voc", same)))[STEM]
    assert (found.classes, found.boxed) == ((3, 8), True)
    for other in (
        voc.encode(STEM, [(8, (5, 10, 15, 30))]),
        voc.encode(STEM, [(8, (5, 10, 15, 30)), (2, (41, 90, 60, 111))]),
        voc.encode(STEM, [(8, (5, 10, 15, 30)), (3, (41, 90, 64, 111))]),
    ):
        message = refusal(reader(csv, tmp_path / "images", yolo, label(tmp_path / "voc", other)))
        assert f"{csv}:2: " in message
        assert "mark other objects, or elsewhere" in message


def test_a_damaged_label_file_is_named_with_its_line(tmp_path: Path) -> None:
    csv, yolo = written(tmp_path), label(tmp_path / "labels", "8 0.1 0.1 0.1 0.1\n3 0.5 0.5 0.2\n")
    assert f"{yolo / STEM}.txt:2: 4 values, expected five" in refusal(reader(csv, tmp_path / "images", yolo))
    xml = label(tmp_path / "voc", "<annotation>\n<object>")
    assert f"{xml / STEM}.xml:2: not well-formed XML" in refusal(reader(csv, tmp_path / "images", None, xml))


def test_table_and_boxes_that_disagree_are_counted(tmp_path: Path) -> None:
    yolo = label(tmp_path / "labels", "8 0.1 0.1 0.1 0.1\n")
    made = reader(written(tmp_path), tmp_path / "images", yolo)(Problems())
    assert made.notes == ("1 images: a fracture is in the table and has no box",)
    assert not made.records[0].boxed
    yolo = label(tmp_path / "labels", "3 0.1 0.1 0.1 0.1\n")
    made = reader(written(tmp_path, HEADER + ROW.replace(",1,,0.144", ",,,0.144")), tmp_path / "images", yolo)(
        Problems()
    )
    assert made.notes == ("1 images: a fracture has a box and is not in the table",)


def test_folders_of_labels(tmp_path: Path) -> None:
    csv = written(tmp_path)
    assert "no such folder of labels" in refusal(reader(csv, tmp_path / "images", tmp_path / "none"))
    label(tmp_path / "labels", "")
    (tmp_path / "labels" / "again").mkdir()
    label(tmp_path / "labels" / "again", "")
    assert f"'{STEM}' is there twice" in refusal(reader(csv, tmp_path / "images", tmp_path / "labels"))
