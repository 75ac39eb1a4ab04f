"""NIfTI, PNG, TIFF and JPEG."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from bundles.common.outline import outline
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


@pytest.mark.parametrize("name", ["a.jpg", "b.JPEG"])
def test_jpeg(tmp_path: Path, name: str) -> None:
    values = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8) * 2
    Image.fromarray(values).save(tmp_path / name, quality=95)
    stack = read_stack(tmp_path / name)
    assert stack.array.shape == (1, 40, 60)
    assert np.abs(stack.array[0] - values).max() <= 3
    assert (stack.units, stack.geometry, stack.notes) == ("stored", None, ())
    found = outline(tmp_path / name)
    assert found is not None
    assert (found.format, found.shape, found.dtype) == ("picture", (1, 40, 60), "uint8")


def test_colour_jpeg_is_noted(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3), (90, 90, 90)).save(tmp_path / "a.jpg")
    assert read_stack(tmp_path / "a.jpg").notes == ("colour picture, turned into luminance",)


def test_another_format_under_the_name_of_a_picture_is_refused(tmp_path: Path) -> None:
    """Pillow has many more decoders; a file does not choose one by its first bytes."""
    Image.new("L", (80, 80)).save(tmp_path / "a.jpg", format="GIF")
    with pytest.raises(UnreadableImage, match=r"a\.jpg: not a readable picture"):
        read_stack(tmp_path / "a.jpg")
    with pytest.raises(UnreadableImage, match=r"a\.jpg: not a readable picture"):
        outline(tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_truncated_picture(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(UnreadableImage, match="truncated or corrupt picture"):
        read_stack(path)
    path.write_bytes(b"nothing")
    with pytest.raises(UnreadableImage, match="not a readable picture"):
        read_stack(path)
