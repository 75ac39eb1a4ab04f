"""CQ500: three readers, many series a case."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading
from bundles.head_ct_hemorrhage.scripts.datasets.cq500 import Spacing, read
from tests.unit.bundles.common.datalist.sets import damaged, datalist, records, refusal
from tests.unit.bundles.common.datalist.volumes_in import stack
from tests.unit.bundles.common.dicom import CORONAL

FINDINGS = ("ICH", "IPH", "IVH", "SDH", "EDH", "SAH", "BleedLocation-Left")
HEADER = "name,Category," + ",".join(f"R{reader}:{finding}" for reader in (1, 2, 3) for finding in FINDINGS)
NAMES = [f"CT{number:06d}.dcm" for number in range(8)]
MANY = [f"CT{number:06d}.dcm" for number in range(10)]


def row(name: str, *readers: tuple[str, ...]) -> str:
    return ",".join([name, "B1", *(str(int(finding in seen)) for seen in readers for finding in FINDINGS)])


ROWS = [
    row("CQ500-CT-0", ("ICH", "SDH"), ("ICH", "SDH", "IPH"), ("ICH", "IPH", "EDH")),
    row("CQ500-CT-12", ("ICH", "SDH"), (), ()),
    row("CQ500-CT-13", ("ICH", "SDH"), ("ICH", "SAH"), ()),
]


def make(folder: Path, case: int, name: str, series: str, names: list[str] = NAMES, **changes: object) -> Path:
    path = folder / "qct01" / f"CQ500CT{case} CQ500CT{case}" / "Unknown Study" / name
    stack(path, names, series, **changes)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path, 0, "CT PLAIN THIN", "1.5.1", MANY, positions=[0.625 * index for index in range(10)])
    make(tmp_path, 0, "CT Plain", "1.5.2", SeriesDescription="Plain")
    make(tmp_path, 12, "CT 55mm Plain", "1.5.3")
    make(tmp_path, 13, "CT PRE CONTRAST 5MM STD", "1.5.4")
    (tmp_path / "reads.csv").write_text("\n".join([HEADER, *ROWS, ""]), encoding="utf-8")
    return tmp_path


def reader(folder: Path, table: Path | None = None, spacing: Spacing = Spacing.THICK) -> Callable[[Problems], Reading]:
    return lambda problems: read(table or folder / "reads.csv", ImageFolder(folder), problems, spacing)


def test_two_of_three_readers_count(folder: Path) -> None:
    found = records(reader(folder))
    first, second, third = (found[f"CQ500-CT-{number}"].item() for number in (0, 12, 13))
    inner = "qct01/CQ500CT0 CQ500CT0/Unknown Study/CT Plain"
    assert first == {
        "image": [f"{inner}/{name}" for name in NAMES],
        "mask": None,
        "patient": "CQ500-CT-0",
        "label": 1,
        "types": [0, 1, 0, 0, 1],
        "slices": None,
        "votes": 3,
        "series": "1.5.2",
        "description": "Plain",
        "slice_spacing_mm": 5.0,
    }
    assert (second["label"], second["types"], second["votes"]) == (0, [0] * 5, 1)
    assert (third["label"], third["types"], third["description"]) == (1, None, "CT PRE CONTRAST 5MM STD")
    assert datalist(reader(folder)).notes == (
        "of every case the thickest axial series without contrast agent was taken",
        "in 1 cases a majority sees a bleed, and none agrees on its type",
    )


def test_the_thin_series_where_it_is_wanted(folder: Path) -> None:
    found = records(reader(folder, spacing=Spacing.THIN))
    assert found["CQ500-CT-0"].item()["slice_spacing_mm"] == 0.625


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("CT POST CONTRAST", {}),
        ("CT C THIN", {}),
        ("CT C-2", {}),
        ("CT CECT THIN", {}),
        ("CT Plain-2", {"ContrastBolusAgent": "Omnipaque"}),
        ("CT Plain-2", {"SeriesDescription": "Post contrast"}),
        ("CT BONE", {}),
        ("CT Plain-2", {"ConvolutionKernel": "BONEPLUS"}),
        ("CT Plain-2", {"names": NAMES[:7]}),
        ("CT Plain-2", {"orientation": CORONAL}),
        ("CT Plain-2", {"Modality": "OT"}),
    ],
)
def test_series_of_another_kind_are_passed_over(folder: Path, name: str, changes: dict[str, object]) -> None:
    names = changes.pop("names", MANY)
    positions = [8 * index for index in range(len(names))]
    make(folder, 0, name, "1.5.9", names, positions=positions, **changes)
    made = datalist(reader(folder))
    assert "1 other series are bones, contrast, not axial, short or cannot be read" in made.notes
    assert records(reader(folder))["CQ500-CT-0"].item()["series"] == "1.5.2"


def test_two_series_in_one_folder(folder: Path) -> None:
    names = [f"CT9{name}" for name in MANY]
    make(folder, 12, "CT 55mm Plain", "1.5.8", names, positions=[6 * index for index in range(10)])
    item = records(reader(folder))["CQ500-CT-12"].item()
    assert (item["series"], len(item["image"])) == ("1.5.8", 10)


def test_a_file_that_cannot_be_read_spoils_its_folder(folder: Path) -> None:
    path = make(folder, 0, "CT 8mm", "1.5.9", MANY, positions=[8 * index for index in range(10)])
    (path / MANY[3]).write_bytes(b"")
    assert records(reader(folder))["CQ500-CT-0"].item()["series"] == "1.5.2"
    only = folder / "qct01" / "CQ500CT12 CQ500CT12" / "Unknown Study" / "CT 55mm Plain" / NAMES[2]
    only.write_bytes(only.read_bytes()[:-4])
    message = refusal(reader(folder))
    assert f"{folder / 'reads.csv'}:3: case 'CQ500-CT-12' has no axial CT series" in message
    assert "truncated, 92 of 96 bytes of pixel data" in message


@pytest.mark.parametrize(
    ("line", "change", "words"),
    [
        (1, lambda text: text.replace("R2:IVH", "R2:IHV"), "reads.csv:1: no column 'R2:IVH'"),
        (2, lambda text: text.replace("CQ500-CT-0", "CT0"), "reads.csv:2: name 'CT0', expected such as CQ500-CT-0"),
        (2, lambda text: text.replace("CQ500-CT-0", ""), "reads.csv:2: 'name' is empty"),
        (2, lambda text: text.replace("B1,1", "B1,yes"), "reads.csv:2: 'R1:ICH' is 'yes', expected one of"),
        (2, lambda text: text + ",1", "fields, expected"),
        (2, lambda text: text.replace("CQ500-CT-0", "CQ500-CT-99"), "reads.csv:2: case 'CQ500-CT-99' has no folder"),
        (3, lambda _: ROWS[0], "reads.csv:3: case 'CQ500-CT-0' again, the same as in"),
        (3, lambda _: ROWS[1].replace("-12", "-0"), "reads.csv:3: case 'CQ500-CT-0' again, read otherwise than in"),
        (3, lambda _: row("CQ500-CT-12", ("EDH",), ("EDH",), ()), "reads.csv:3: a majority sees a type of bleed, and"),
    ],
)
def test_damaged_tables_are_refused_with_their_line(
    folder: Path, line: int, change: Callable[[str], str], words: str
) -> None:
    (folder / "damaged").mkdir()
    table = damaged(folder / "reads.csv", folder / "damaged" / "reads.csv", line, change)
    assert words in refusal(reader(folder, table))


def test_folders_without_a_row_are_counted(folder: Path) -> None:
    make(folder, 77, "CT Plain", "1.5.77")
    assert "1 folders of cases have no row in reads.csv" in datalist(reader(folder)).notes
