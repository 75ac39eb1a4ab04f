"""MURA's wrists: headerless lists, labels of studies."""

from pathlib import Path

import pytest

from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading
from bundles.wrist_fracture.scripts.datasets.mura import read
from tests.unit.bundles.common.datalist.sets import datalist, picture, records, refusal

BROKEN = "MURA-v1.1/train/XR_WRIST/patient00010/study1_positive/"
NORMAL = "MURA-v1.1/valid/XR_WRIST/patient00011/study1_negative/"
ELBOW = "MURA-v1.1/train/XR_ELBOW/patient00012/study1_positive/"
IMAGES = [f"{BROKEN}image1.png", f"{BROKEN}image2.png", f"{NORMAL}image1.png", f"{ELBOW}image1.png"]
STUDIES = [f"{BROKEN},1", f"{NORMAL},0", f"{ELBOW},1"]


def reader(folder: Path, images: list[str] = IMAGES, studies: list[str] = STUDIES, *, root: str = "", own: bool = True):
    for image in IMAGES:
        picture(folder / image, 90, 70)
    (folder / "paths.csv").write_text("".join(f"{line}\n" for line in images), encoding="utf-8")
    (folder / "studies.csv").write_text("".join(f"{line}\n" for line in studies), encoding="utf-8")

    def reading(problems: Problems) -> Reading:
        paths, labels = [folder / "paths.csv"], [folder / "studies.csv"]
        return read(paths, labels, ImageFolder(folder / root), problems, own_split=own)

    return reading


def test_a_study_labels_its_images(tmp_path: Path) -> None:
    made = datalist(reader(tmp_path))
    broken, normal = made.splits["training"], made.splits["validation"]
    assert [record.image for record in broken] == IMAGES[:2]
    assert [record.labels for record in broken] == [{"abnormal": 1, "fracture": None}] * 2
    assert normal[0].labels == {"abnormal": 0, "fracture": 0}
    assert (normal[0].patient, normal[0].more, normal[0].boxed) == ("patient00011", {"study": "study1"}, False)
    assert made.notes == ("1 images and 1 studies of other parts of the body were passed over",)


def test_the_folder_itself_as_root(tmp_path: Path) -> None:
    found = records(reader(tmp_path, root="MURA-v1.1", own=False))
    assert found[IMAGES[0]].image == "train/XR_WRIST/patient00010/study1_positive/image1.png"


def test_studies_without_a_label_are_counted(tmp_path: Path) -> None:
    made = datalist(reader(tmp_path, studies=STUDIES[1:]))
    assert "2 images are of studies without a label" in made.notes
    assert "2 images are unlabelled: no box, and every label unknown" in made.notes


@pytest.mark.parametrize(
    ("images", "studies", "words"),
    [
        (IMAGES, [f"{BROKEN},0"], "studies.csv:1: the label is 0, and the path says positive"),
        (IMAGES, [*STUDIES, f"{BROKEN},2"], "studies.csv:4: 'label' is '2', expected one of '0', '1'"),
        (IMAGES, [*STUDIES, BROKEN], "studies.csv:4: 1 fields, expected 2"),
        (IMAGES, [*STUDIES, STUDIES[0]], "studies.csv:4: the same study as in"),
        (IMAGES, [f"{BROKEN}image1.png,1"], "studies.csv:1: path"),
        (IMAGES[2:], STUDIES, "studies.csv:1: study"),
        ([*IMAGES, IMAGES[0]], STUDIES, "paths.csv:5: image"),
        ([*IMAGES, f"{BROKEN}image9.png"], STUDIES, "paths.csv:5: image"),
        ([*IMAGES, "MURA-v1.1/train/wrist.png"], STUDIES, "paths.csv:5: path 'MURA-v1.1/train/wrist.png', expected"),
        ([*IMAGES, BROKEN], STUDIES, "paths.csv:5: path"),
    ],
)
def test_damaged_lists_are_refused_with_their_line(
    tmp_path: Path, images: list[str], studies: list[str], words: str
) -> None:
    assert words in refusal(reader(tmp_path, images, studies))


def test_a_patient_in_train_and_valid_is_refused(tmp_path: Path) -> None:
    leaked = NORMAL.replace("patient00011", "patient00010") + "image1.png"
    picture(tmp_path / leaked, 90, 70)
    images, studies = [*IMAGES, leaked], [*STUDIES, f"{leaked.removesuffix('image1.png')},0"]
    message = refusal(reader(tmp_path, images, studies))
    assert "patient 'patient00010' is in training" in message
    assert "split by hash instead (--split hash)" in message
    assert len(records(reader(tmp_path, images, studies, own=False))) == 4


def test_images_that_cannot_be_read_are_named_all_at_once(tmp_path: Path) -> None:
    wanted = reader(tmp_path)
    for image in IMAGES[:2]:
        (tmp_path / image).write_bytes(b"")
    message = refusal(wanted)
    assert "2 rows cannot be read:" in message
    assert all(
        f"paths.csv:{line}: {tmp_path / image}: not a readable picture" in message
        for line, image in enumerate(IMAGES[:2], 1)
    )
    assert list(records(wanted, leave_out=True)) == [IMAGES[2]]
