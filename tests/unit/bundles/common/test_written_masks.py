"""Masks that inference writes: on the grid of their source, under names that no listing of images takes for one."""

from pathlib import Path

import nibabel
import numpy as np
import torch
from ignite.engine import Engine

from bundles.brain_metastasis.scripts.running import find_images
from bundles.common.results import WriteMasks


def test_masks_lie_on_the_grid_of_their_source(tmp_path: Path) -> None:
    labels = torch.zeros((4, 3, 2), dtype=torch.uint8)
    labels[1, 2, 0], labels[3, 0, 1] = 1, 2
    affine = torch.tensor([[0, 0, 2.5, -7], [-1, 0, 0, 30], [0, -1.5, 0, 9], [0, 0, 0, 1]], dtype=torch.float64)
    engine = Engine(lambda _, batch: [{"lesions": labels} for _ in batch])
    WriteMasks(str(tmp_path / "out"), "lesions").attach(engine)
    engine.run([[{"name": "ward/head.nii.gz", "source_affine": affine}, {"name": "series", "source_affine": affine}]])
    for name in ("ward/head_mask.nii.gz", "series_mask.nii.gz"):
        written = nibabel.load(tmp_path / "out" / name)
        assert np.array_equal(np.asarray(written.dataobj), labels.numpy())
        assert np.array_equal(written.affine, affine.numpy())
        assert written.header.get_xyzt_units()[0] == "mm"


def test_masks_beside_images_are_not_read_as_images(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((4, 3, 2), np.int16), np.eye(4))
    nibabel.save(image, tmp_path / "head.nii.gz")
    engine = Engine(lambda _, batch: [{"lesions": torch.zeros(4, 3, 2, dtype=torch.uint8)} for _ in batch])
    WriteMasks(str(tmp_path), "lesions").attach(engine)
    engine.run([[{"name": "head.nii.gz", "source_affine": torch.eye(4)}]])
    assert (tmp_path / "head_mask.nii.gz").is_file()
    assert [each["name"] for each in find_images(str(tmp_path))] == ["head.nii.gz"]
