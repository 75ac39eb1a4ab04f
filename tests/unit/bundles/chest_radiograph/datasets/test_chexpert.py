"""CheXpert's table."""

from pathlib import Path

import pytest

from bundles.chest_radiograph.scripts.datasets import chexpert
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading
from bundles.common.radiograph.chexpert import Unclear
from tests.unit.bundles.common.datalist.sets import damaged, datalist, records, refusal

FILE = "chexpert_train_head.csv"


def reader(
    *tables: Path,
    images: Path,
    uncertain: Unclear = Unclear.UNKNOWN,
    blank: Unclear = Unclear.UNKNOWN,
    own_split: bool = True,
):
    def read(problems: Problems) -> Reading:
        folder = ImageFolder(images)
        return chexpert.read(list(tables), folder, problems, uncertain=uncertain, blank=blank, own_split=own_split)

    return read


@pytest.fixture
def images(formats: Path, tmp_path: Path) -> Path:
    for line in (formats / FILE).read_text(encoding="utf-8").splitlines()[1:]:
        path = tmp_path / "images" / line.split(",")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "images"


def test_real_rows(formats: Path, images: Path) -> None:
    found = records(reader(formats / FILE, images=images))
    assert len(found) == 199
    views = [record.view for record in found.values()]
    assert (views.count("AP"), views.count("PA"), views.count("LATERAL")) == (94, 53, 52)
    first = found["CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"]
    assert (first.labels, first.patient, first.boxed) == ({"lesion": 0, "pneumothorax": 0}, "patient00001", True)
    assert first.more == {"study": "study1", "sex": "Female", "age": 68.0}
    lesions = [record.labels["lesion"] for record in found.values()]
    inside = records(reader(formats / FILE, images=images / "CheXpert-v1.0-small"))
    assert {record.image for record in inside.values()} == {
        record.image.removeprefix("CheXpert-v1.0-small/") for record in found.values()
    }
    assert lesions.count(None) > 100


@pytest.mark.parametrize(
    ("value", "uncertain", "blank", "expected"),
    [
        ("-1.0", Unclear.UNKNOWN, Unclear.ABSENT, None),
        ("-1.0", Unclear.PRESENT, Unclear.ABSENT, 1),
        ("-1.0", Unclear.ABSENT, Unclear.PRESENT, 0),
        ("", Unclear.PRESENT, Unclear.UNKNOWN, None),
        ("", Unclear.PRESENT, Unclear.ABSENT, 0),
        ("1.0", Unclear.ABSENT, Unclear.ABSENT, 1),
        ("0.0", Unclear.PRESENT, Unclear.PRESENT, 0),
    ],
)
def test_uncertain_and_blank(
    tmp_path: Path, value: str, uncertain: Unclear, blank: Unclear, expected: int | None
) -> None:
    found = records(reader(written(tmp_path, value), images=tmp_path, uncertain=uncertain, blank=blank))
    (record,) = found.values()
    assert record.labels["pneumothorax"] == expected
    assert record.boxed == (set(record.labels.values()) == {0})


def written(
    folder: Path, pneumothorax: str = "", split: str = "train", view: str = "Frontal,AP", nothing: str = ""
) -> Path:
    path = folder / "CheXpert-v1.0" / split / "patient00001" / "study1" / "view1_frontal.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    table = folder / f"{split}.csv"
    header = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Lung Lesion,Pneumothorax\n"
    row = f"{path.relative_to(folder).as_posix()},Male,50,{view},{nothing},,{pneumothorax}\n"
    table.write_text(header + row, encoding="utf-8")
    return table


def test_own_split_and_leakage(tmp_path: Path) -> None:
    train, valid = written(tmp_path), written(tmp_path, split="valid")
    made = datalist(reader(valid, images=tmp_path))
    assert [len(made.splits[split]) for split in ("training", "validation", "test")] == [0, 1, 0]
    message = refusal(reader(train, valid, images=tmp_path))
    assert f"patient 'patient00001' is in training ({train}:2) and validation ({valid}:2)" in message
    assert len(records(reader(train, valid, images=tmp_path, own_split=False))) == 2


@pytest.mark.parametrize(
    ("line", "old", "new", "words"),
    [
        (2, ",0.0,", ",2.0,", "'Pneumothorax' is '2.0', expected one of"),
        (2, "Frontal,AP", "Sideways,AP", "'Frontal/Lateral' is 'Sideways'"),
        (5, "Lateral,", "Lateral,AP", "a lateral image with 'AP'"),
        (2, "Frontal,AP", "Frontal,XX", "'AP/PA' is 'XX'"),
        (2, "patient00001", "pat1", "expected …/train/patient00001/study1/view1_frontal.jpg"),
        (2, "view1", "view9", "is not below"),
        (2, "Frontal,AP,1.0", "Frontal,AP,", "18 fields"),
        (2, ",68,", ",old,", "'Age' is 'old'"),
        (3, "patient00002/study2", "patient00001/study1", "again, with other labels"),
        (2, ",0.0,", ",1.0,", "'No Finding' is 1 beside a finding"),
    ],
)
def test_a_damaged_copy_is_refused_with_its_line(
    formats: Path, images: Path, tmp_path: Path, *, line: int, old: str, new: str, words: str
) -> None:
    cut = words == "18 fields"
    table = damaged(
        formats / FILE,
        tmp_path / "d.csv",
        line,
        lambda text: text.replace(old, new).removesuffix(",1.0") if cut else text.replace(old, new),
    )
    message = refusal(reader(table, images=images))
    assert f"{table}:{line}: " in message
    assert words in message
