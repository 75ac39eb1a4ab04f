"""MIMIC-CXR: labels of studies, the set's own split by patient, packed tables, two labellers."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bundles.chest_classification.scripts.datasets import mimic
from bundles.chest_classification.scripts.datasets.labels import policy_of
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import TEST, TRAINING, Reading
from bundles.common.radiograph.chexpert import Unclear
from tests.unit.bundles.chest_classification.datasets.tables import METADATA, MIMIC, SPLIT, table, with_images
from tests.unit.bundles.common.datalist.sets import datalist, records, refusal

Rows = list[dict[str, str]]


def ids(subject: str, study: str) -> dict[str, str]:
    return {"subject_id": subject, "study_id": study}


@dataclass
class Miniature:
    """Three images of two subjects; what tests change before `read`."""

    folder: Path
    labels: list[Rows] = field(
        default_factory=lambda: [
            [
                {**ids("10000032", "50414267"), "Edema": "1.0", "Pneumothorax": "-1.0"},
                {**ids("11000011", "51029426"), "No Finding": "1.0"},
            ]
        ]
    )
    split: Rows = field(
        default_factory=lambda: [
            {"dicom_id": "a-1", **ids("10000032", "50414267"), "split": "train"},
            {"dicom_id": "a-2", **ids("10000032", "50414267"), "split": "train"},
            {"dicom_id": "b-1", **ids("11000011", "51029426"), "split": "test"},
        ]
    )
    metadata: Rows = field(
        default_factory=lambda: [
            {"dicom_id": "a-1", **ids("10000032", "50414267"), "ViewPosition": "PA"},
            {"dicom_id": "a-2", **ids("10000032", "50414267"), "ViewPosition": "LL"},
            {"dicom_id": "b-1", **ids("11000011", "51029426"), "ViewPosition": "AP"},
        ]
    )
    split_columns: list[str] = field(default_factory=lambda: list(SPLIT))
    packed: bool = False
    ending: str = ".jpg"
    own_split: bool = True

    def reader(self) -> Callable[[Problems], Reading]:
        images = with_images(
            self.folder / "images",
            [
                f"files/p{row['subject_id'][:2]}/p{row['subject_id']}/s{row['study_id']}/{row['dicom_id']}{self.ending}"
                for row in self.split
            ],
        )
        tables = [table(self.folder / f"labels{number}.csv", MIMIC, rows) for number, rows in enumerate(self.labels)]
        split = table(self.folder / "split.csv", self.split_columns, self.split)
        metadata = table(self.folder / "metadata.csv", METADATA, self.metadata)
        if self.packed:
            tables, split, metadata = [pack(path) for path in tables], pack(split), pack(metadata)

        def read(problems: Problems) -> Reading:
            return mimic.read(
                tables, split, metadata, ImageFolder(images), problems,
                policy=policy_of("paper", ()), blank=Unclear.ABSENT, own_split=self.own_split,
            )  # fmt: skip

        return read


def pack(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


@pytest.fixture
def small(tmp_path: Path) -> Miniature:
    return Miniature(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_study_s_labels_hold_for_its_images(small: Miniature, *, packed: bool) -> None:
    small.packed = packed
    found = records(small.reader())
    assert [(found[name].patient, found[name].view, found[name].pool) for name in ("a-1", "a-2", "b-1")] == [
        ("p10000032", "PA", (TRAINING,)),
        ("p10000032", "LATERAL", (TRAINING,)),
        ("p11000011", "AP", (TEST,)),
    ]
    assert found["a-1"].labels == found["a-2"].labels
    assert {name for name, value in found["a-1"].labels.items() if value} == {"edema"}
    # Uncertain, and not in the paper's table: ignored.
    assert found["a-1"].labels["pneumothorax"] is None
    assert found["b-1"].labels["normal"] == 1
    assert found["a-1"].image == "files/p10/p10000032/s50414267/a-1.jpg"


def test_where_two_labellers_differ_nothing_is_known(small: Miniature) -> None:
    small.labels.append(
        [
            {**ids("10000032", "50414267"), "Edema": "0.0", "Pneumothorax": "-1.0", "Cardiomegaly": "1.0"},
            {**ids("11000011", "51029426"), "No Finding": "1.0"},
        ]
    )
    read = small.reader()
    found = records(read)
    unknown = {name for name, value in found["a-1"].labels.items() if value is None}
    assert unknown == {"edema", "pneumothorax", "cardiomegaly"}
    assert found["b-1"].labels["normal"] == 1
    assert "where the labellers differ, a label is unknown" in datalist(read).notes


def test_a_study_without_labels_is_unlabelled_and_counted(small: Miniature) -> None:
    small.labels[0].pop()
    read = small.reader()
    assert set(records(read)["b-1"].labels.values()) == {None}
    assert "1 images are of studies without labels" in datalist(read).notes


def test_nobody_is_on_both_sides_of_the_split(small: Miniature) -> None:
    small.split[1]["split"] = "test"
    assert "patient 'p10000032' is in training" in refusal(small.reader(), leave_out=True)
    small.own_split = False
    assert len(records(small.reader())) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda small: small.metadata.pop(), "image 'b-1' has no row in the metadata"),
        (lambda small: small.split.pop(), "image 'b-1' has no row in"),
        (lambda small: small.split[0].update(split="dev"), "'split' is 'dev', expected one of 'train'"),
        (lambda small: small.split[0].update(study_id="5"), "'study_id' is '5', expected eight digits"),
        (lambda small: small.labels[0][0].update(subject_id="19999999"), "is of another subject in"),
        (lambda small: small.labels[0][1].update(Edema="1.0"), "'No Finding' is 1 beside Edema"),
        (lambda small: small.split_columns.remove("split"), "no column 'split'"),
    ],
)
def test_what_is_wrong_is_named(small: Miniature, change: Callable[[Miniature], object], words: str) -> None:
    change(small)
    assert words in refusal(small.reader())


def test_damaged_labels_cost_the_images_of_their_study_alone(small: Miniature) -> None:
    small.labels[0][1]["Edema"] = "1.0"
    assert set(records(small.reader(), leave_out=True)) == {"a-1", "a-2"}


def test_a_missing_image_names_every_ending(small: Miniature) -> None:
    read = small.reader()
    (small.folder / "images/files/p11/p11000011/s51029426/b-1.jpg").unlink()
    assert "s51029426/b-1' (.jpg, .dcm, .png) is not below" in refusal(read)


def test_dicom_is_found_as_well(small: Miniature) -> None:
    small.ending = ".png"
    assert records(small.reader())["a-1"].image.endswith("a-1.png")


def test_a_broken_package_says_so(small: Miniature) -> None:
    small.packed = True
    read = small.reader()
    path = small.folder / "split.csv.gz"
    path.write_bytes(path.read_bytes()[:-6])
    assert "split.csv.gz: no whole gzip file" in refusal(read)
