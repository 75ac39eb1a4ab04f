"""CT-ICH: a row a slice, and masks that tell no type."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bundles.common.datalist.images import NIFTI, ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading
from bundles.head_ct_hemorrhage.scripts.datasets.bleeds import TYPES
from bundles.head_ct_hemorrhage.scripts.datasets.ct_ich import read
from tests.unit.bundles.common.datalist.sets import damaged, datalist, records, refusal
from tests.unit.bundles.common.datalist.volumes_in import AFFINE, labels, marked, nifti

HEADER = (
    "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,No_Hemorrhage,"
    "Fracture_Yes_No"
)
ROWS = [
    "49,1,0,0,0,0,0,1,0",
    "49,2,0,0,0,1,0,0,1",
    "49,3,0,1,0,0,0,0,0",
    "49,4,0,0,0,0,0,1,0",
    *(f"54,{number},0,0,0,0,0,1,0" for number in range(1, 5)),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("049", "054"):
        nifti(tmp_path / "ct_scans" / f"{name}.nii", 40)
    nifti(tmp_path / "masks" / "049.nii", marked((1, 2, 1, 255), (3, 4, 2, 255)))
    nifti(tmp_path / "masks" / "054.nii")
    (tmp_path / "labels.csv").write_text("\n".join([HEADER, *ROWS, ""]), encoding="utf-8")
    return tmp_path


def reader(folder: Path, table: Path | None = None, *, masks: bool = True) -> Callable[[Problems], Reading]:
    return lambda problems: read(
        table or folder / "labels.csv",
        ImageFolder(folder / "ct_scans", NIFTI),
        ImageFolder(folder / "masks", NIFTI) if masks else None,
        folder / "made",
        problems,
    )


def test_rows_label_slices_and_give_marks_their_type(folder: Path) -> None:
    found = records(reader(folder))
    bleed, plain = found["049"].item(), found["054"].item()
    mask = folder / "made" / "049_mask.nii.gz"
    assert bleed == {
        "image": "049.nii",
        "mask": str(mask),
        "patient": "049",
        "label": 1,
        "types": [0, 0, 1, 0, 1],
        "slices": [0, 1, 1, 0],
    }
    expected = marked((1, 2, 1, 1 + TYPES.index("epidural")), (3, 4, 2, 1 + TYPES.index("intraparenchymal")))
    np.testing.assert_array_equal(labels(mask), expected)
    assert (plain["label"], plain["types"], plain["slices"]) == (0, [0] * 5, [0] * 4)
    assert not labels(Path(plain["mask"])).any()
    assert records(reader(folder, masks=False))["049"].item()["mask"] is None


def test_excel_separates_with_semicolons(folder: Path) -> None:
    table = folder / "excel.csv"
    table.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([HEADER, *ROWS]).replace(",", ";").encode() + b"\r\n")
    assert records(reader(folder, table))["049"].item()["types"] == [0, 0, 1, 0, 1]


def test_a_marked_slice_of_several_types_makes_no_mask(folder: Path) -> None:
    table = damaged(folder / "labels.csv", folder / "two.csv", 3, lambda text: text.replace("0,1,0,0,1", "0,1,1,0,1"))
    made = datalist(reader(folder, table))
    assert made.notes == ("1 cases have a marked slice of several types, and get no mask",)
    item = records(reader(folder, table))["049"].item()
    assert (item["mask"], item["types"]) == (None, [0, 1, 1, 0, 1])


@pytest.mark.parametrize(
    ("line", "change", "words"),
    [
        (1, lambda text: text.replace("Epidural", "Epi"), "csv:1: no column 'Epidural'"),
        (2, lambda text: text.replace("49", "x"), "csv:2: 'PatientNumber' is 'x', expected a number"),
        (2, lambda text: text.replace("49,1", "49,1.5"), "csv:2: 'SliceNumber' is '1.5', expected a whole number"),
        (2, lambda text: text.replace("0,1,0", "0,0,0"), "csv:2: 'No_Hemorrhage' is 0, and the types say no bleed"),
        (3, lambda text: text.replace("1,0,0,1", "1,0,1,1"), "csv:3: 'No_Hemorrhage' is 1, and the types say a bleed"),
        (3, lambda text: text.replace(",0,0,1", ",0,0,2"), "expected one of '0', '1'"),
        (4, lambda _: ROWS[1], "csv:4: slice 2 of 49 again, the same as in"),
        (4, lambda _: ROWS[0].replace("49,1", "49,2"), "csv:4: slice 2 of 49 again, with other labels than in"),
        (5, lambda _: "49,5,0,0,0,0,0,1,0", "scan 049 has 4 slices, and the table has 4 rows: no row for slice 4"),
        (6, lambda _: "49,5,0,0,0,0,0,1,0", "scan 049 has 4 slices, and the table has 5 rows: a row for slice 5"),
        (6, lambda _: "60,1,0,0,0,0,0,1,0", "csv:6: image '060' is not below"),
        (3, lambda _: ROWS[1].replace("1,0,0,1", "0,0,1,1"), "slice 2 is marked, and the table says that it has no"),
    ],
)
def test_damaged_tables_are_refused_with_their_line(
    folder: Path, line: int, change: Callable[[str], str], words: str
) -> None:
    assert words in refusal(reader(folder, damaged(folder / "labels.csv", folder / "damaged.csv", line, change)))


def test_masks_of_another_grid_or_without_a_file_are_refused_together(folder: Path) -> None:
    nifti(folder / "masks" / "049.nii", 0, (6, 5, 3))
    (folder / "masks" / "054.nii").unlink()
    message = refusal(reader(folder))
    assert "049.nii: (6, 5, 3) voxels, its image 049.nii has (6, 5, 4)" in message
    assert f"image '054' is not below {folder / 'masks'}" in message
    nifti(folder / "masks" / "054.nii")
    nifti(folder / "masks" / "049.nii", affine=AFFINE + np.eye(4, k=3))
    assert "it lies elsewhere than its image 049.nii: their affines differ" in refusal(reader(folder))
    (folder / "ct_scans" / "049.nii").write_bytes(b"")
    assert "049.nii: not a readable NIfTI file" in refusal(reader(folder))
    assert list(records(reader(folder), leave_out=True)) == ["054"]
