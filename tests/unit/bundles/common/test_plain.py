"""NIfTI, PNG and TIFF."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from bundles.common.reader import UnreadableImage, read_stack

RAS = np.asarray([[-0.5, 0, 0, 120], [0, -0.8, 0.3, 110], [0, 0, 5, 30], [0, 0, 0, 1]])


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti(tmp_path: Path, name: str) -> None:
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nibabel.save(nibabel.Nifti1Image(values, RAS), tmp_path / name)
    stack = read_stack(tmp_path / name)
    assert stack.array.tolist() == values.T.tolist()
    assert stack.affine_ras == pytest.approx(RAS)
    assert stack.geometry is not None
    assert (stack.geometry.rows, stack.geometry.columns, stack.geometry.plane) == (4, 3, "axial")
    assert stack.positions_mm == pytest.approx([30, 35, 40, 45, 50])
    assert stack.source_uids == ()


def test_nifti_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"nothing")
    with pytest.raises(UnreadableImage, match="not a readable NIfTI file"):
        read_stack(path)
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 2), np.int16), RAS), path)
    with pytest.raises(UnreadableImage, match="expected three dimensions"):
        read_stack(path)
    nibabel.save(nibabel.Nifti1Image(np.zeros((30, 40, 5), np.int16), RAS), path)
    with pytest.raises(UnreadableImage, match="more than the 5000 voxels allowed"):
        read_stack(path, max_voxels=5000)
    nibabel.save(nibabel.Nifti1Image(np.zeros((30, 40, 5), np.int16), RAS), tmp_path / "b.nii")
    (tmp_path / "b.nii").write_bytes((tmp_path / "b.nii").read_bytes()[:-100])
    with pytest.raises(UnreadableImage, match="truncated"):
        read_stack(tmp_path / "b.nii")


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_picture(tmp_path: Path, name: str, dtype: type) -> None:
    values = (np.arange(12).reshape(3, 4) * (5000 if dtype is np.uint16 else 20)).astype(dtype)
    Image.fromarray(values).save(tmp_path / name)
    stack = read_stack(tmp_path / name)
    assert stack.array.tolist() == [values.tolist()]
    assert (stack.units, stack.geometry, stack.notes) == ("stored", None, ())


def test_colour_picture_is_noted(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3), (9, 9, 9)).save(tmp_path / "a.png")
    stack = read_stack(tmp_path / "a.png")
    assert stack.array.tolist() == [[[9] * 4] * 3]
    assert stack.notes == ("colour picture, turned into luminance",)


def test_truncated_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(UnreadableImage, match="truncated or corrupt picture"):
        read_stack(path)
    path.write_bytes(b"nothing")
    with pytest.raises(UnreadableImage, match="not a readable picture"):
        read_stack(path)
