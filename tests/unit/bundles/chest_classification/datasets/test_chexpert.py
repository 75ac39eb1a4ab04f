"""CheXpert: uncertain labels by finding, and what is wrong."""

from pathlib import Path

import pytest

from bundles.chest_classification.scripts.datasets import chexpert
from bundles.chest_classification.scripts.datasets.labels import policy_of
from bundles.chest_classification.scripts.findings import CHEXPERT_FIVE
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import DatalistError, Problems
from bundles.common.datalist.records import SPLITS, TEST, TRAINING, VALIDATION, Reading
from bundles.common.radiograph.chexpert import Unclear
from tests.unit.bundles.chest_classification.datasets.tables import CHEXPERT, chexpert_row, table, with_images
from tests.unit.bundles.common.datalist.sets import datalist, records, refusal

TRAIN = "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"
VALID = "CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg"
UNSURE = dict.fromkeys(("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural_Effusion"), "-1.0")


def reader(  # noqa: PLR0917
    folder: Path,
    rows: list[dict[str, str]],
    uncertain: str = "paper",
    own: tuple[str, ...] = (),
    blank: Unclear = Unclear.ABSENT,
    columns: list[str] = CHEXPERT,
):
    images = with_images(folder / "images", sorted({row["Path"] for row in rows}))
    labels = table(folder / "train.csv", columns, rows)

    def read(problems: Problems) -> Reading:
        policy = policy_of(uncertain, own)
        return chexpert.read([labels], ImageFolder(images), problems, policy=policy, blank=blank, own_split=True)

    return read


@pytest.mark.parametrize(
    ("uncertain", "own", "expected"),
    [
        ("paper", (), [1, 0, None, 1, 1]),
        ("ones", (), [1] * 5),
        ("zeros", (), [0] * 5),
        ("ignore", (), [None] * 5),
        ("zeros", ("edema=ignore", "consolidation=ones"), [0, 0, 1, None, 0]),
    ],
)
def test_uncertain_becomes_what_was_chosen_for_each_finding(
    tmp_path: Path, uncertain: str, own: tuple[str, ...], expected: list[int | None]
) -> None:
    read = reader(tmp_path, [chexpert_row(TRAIN, **UNSURE)], uncertain, own)
    (record,) = records(read).values()
    assert [record.labels[name] for name in CHEXPERT_FIVE] == expected
    assert record.more["uncertain"] == ["atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion"]
    (note, *_) = [note for note in datalist(read).notes if "uncertain" in note]
    assert "edema " in note


def test_blank_is_absent_unless_told_otherwise_and_beside_no_finding_always(tmp_path: Path) -> None:
    rows = [chexpert_row(TRAIN, Edema="1.0"), chexpert_row(VALID, No_Finding="1.0", Support_Devices="1.0")]
    absent = records(reader(tmp_path, rows))
    unknown = records(reader(tmp_path, rows, blank=Unclear.UNKNOWN))
    for found, blank in ((absent, 0), (unknown, None)):
        assert (found[TRAIN].labels["edema"], found[TRAIN].labels["pneumonia"]) == (1, blank)
        assert {name for name, value in found[VALID].labels.items() if value != 0} == {"support_devices", "normal"}
    assert (absent[TRAIN].labels["normal"], absent[TRAIN].pool, absent[VALID].pool) == (0, (TRAINING,), (VALIDATION,))


def test_real_rows(imaging_data: Path, tmp_path: Path) -> None:
    source = imaging_data / "formats/chexpert_train_head.csv"
    if not source.is_file():
        pytest.skip(f"{source} is missing")
    paths = [line.split(",")[0] for line in source.read_text().splitlines()[1:]]
    images = with_images(tmp_path, paths)

    def read(problems: Problems) -> Reading:
        policy = policy_of("paper", ())
        return chexpert.read(
            [source], ImageFolder(images), problems, policy=policy, blank=Unclear.ABSENT, own_split=True
        )

    found = records(read)
    assert len(found) == 199
    assert sum("edema" in record.more["uncertain"] for record in found.values()) > 0
    assert {record.labels["edema"] for record in found.values()} == {0, 1}
    assert None in {record.labels["consolidation"] for record in found.values()}


def test_no_finding_beside_a_disease_is_refused(tmp_path: Path) -> None:
    words = refusal(reader(tmp_path, [chexpert_row(TRAIN, No_Finding="1.0", Edema="1.0")]))
    assert f"{tmp_path / 'train.csv'}:2: 'No Finding' is 1 beside Edema" in words


def test_a_missing_column_and_a_missing_file_are_named(tmp_path: Path) -> None:
    without = [name for name in CHEXPERT if name != "Pleural Other"]
    words = refusal(reader(tmp_path, [chexpert_row(TRAIN)], columns=without))
    assert "train.csv:1: no column 'Pleural Other'" in words
    read = reader(tmp_path, [chexpert_row(TRAIN)])
    (tmp_path / "train.csv").unlink()
    assert "train.csv: No such file" in refusal(read)


def test_a_missing_image_and_another_value_are_named_and_left_out(tmp_path: Path) -> None:
    rows = [chexpert_row(TRAIN, Edema="2.0"), chexpert_row(VALID)]
    other = TRAIN.replace("view1", "view2")
    read = reader(tmp_path, [*rows, chexpert_row(other)])
    (tmp_path / "images" / other).unlink()
    words = refusal(read)
    assert "'Edema' is '2.0', expected one of" in words
    assert "1 image is listed but missing" in words
    assert list(records(read, leave_out=True)) == [VALID]


def test_nobody_is_in_two_parts(tmp_path: Path) -> None:
    both = VALID.replace("patient64541", "patient00001")
    assert "patient 'patient00001' is in" in refusal(reader(tmp_path, [chexpert_row(TRAIN), chexpert_row(both)]))


@pytest.mark.parametrize(
    ("general", "own", "words"),
    [
        ("paper", ("edma=ones",), "did you mean 'edema'"),
        ("paper", ("edema=maybe",), "expected edema=ones, edema=zeros or edema=ignore"),
        ("maybe", (), "expected one of paper, ones, zeros, ignore"),
    ],
)
def test_another_policy_is_refused(general: str, own: tuple[str, ...], words: str) -> None:
    with pytest.raises(DatalistError, match=words):
        policy_of(general, own)


def test_splits_are_the_three(tmp_path: Path) -> None:
    assert set(datalist(reader(tmp_path, [chexpert_row(TRAIN), chexpert_row(VALID)])).splits) == set(SPLITS)


def test_the_radiologists_part_can_be_tested_on(tmp_path: Path) -> None:
    rows = [chexpert_row(path, Edema="-1.0") for path in (TRAIN, VALID)]
    images = with_images(tmp_path / "images", [TRAIN, VALID])
    labels = table(tmp_path / "train.csv", CHEXPERT, rows)

    def read(problems: Problems) -> Reading:
        # The thesis on CheXpert, section 3.4.2: uncertain is present, not mentioned is absent.
        return chexpert.read(
            [labels],
            ImageFolder(images),
            problems,
            policy=policy_of("ones", ()),
            blank=Unclear.ABSENT,
            own_split=True,
            valid_is_test=True,
        )

    found = records(read)
    assert {name: record.pool for name, record in found.items()} == {TRAIN: (TRAINING, VALIDATION), VALID: (TEST,)}
    assert [(record.labels["edema"], record.labels["fracture"]) for record in found.values()] == [(1, 0)] * 2
