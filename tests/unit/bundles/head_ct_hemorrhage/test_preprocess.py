"""From a series to the box and back to its slices."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImaged

from bundles.common.sampling import Grid
from bundles.head_ct_hemorrhage.scripts import preprocess
from bundles.head_ct_hemorrhage.scripts.augment import RandBoxd, in_plane
from bundles.head_ct_hemorrhage.scripts.postprocess import Probabilitiesd, slice_logits
from bundles.head_ct_hemorrhage.scripts.preprocess import (
    BleedMaskd,
    BrainBoxd,
    FromBytesd,
    Targetsd,
    ToBytesd,
    WindowHUd,
    slice_positions,
    slice_weights,
)
from bundles.head_ct_hemorrhage.scripts.volume import Volume, frame_of

BOX = (20, 64, 48)
READER = "bundles.common.monai_reader.SeriesReader"


@pytest.fixture
def case(tmp_path: Path, make_head: Callable[..., Volume]) -> dict[str, object]:
    """A head in a NIfTI file, with a bleed in its mask at source slices 18 to 20."""
    volume = make_head(np.arange(-90, 85, 5.0))
    affine = np.diag([-2.4, -2.4, 5.0, 1.0])
    labels = np.zeros(volume.hu.shape, np.uint8)
    labels[18:21, 40:50, 40:50] = 5
    for name, array in (("image", volume.hu.astype(np.int16)), ("mask", labels)):
        nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), affine), tmp_path / f"{name}.nii.gz")
    slices = [int(labels[index].any()) for index in range(len(labels))]
    names = {name: str(tmp_path / f"{name}.nii.gz") for name in ("image", "mask")}
    return {**names, "label": 1, "types": [0, 0, 0, 0, 1], "slices": slices}


def load(keys: list[str]) -> LoadImaged:
    return LoadImaged(keys, reader=READER, image_only=True, allow_missing_keys=True)


def test_box_has_the_wanted_shape_and_a_place_for_every_slice(case: dict[str, object]) -> None:
    item = Compose([load(["image"]), BrainBoxd("image", BOX), WindowHUd("image")])(case)
    assert tuple(item["image"].shape) == (1, *BOX)
    assert 0 <= float(item["image"].min()) <= float(item["image"].max()) <= 1
    assert len(item["slice_positions"]) == 35
    assert torch.all(torch.diff(item["slice_positions"]) > 0)
    assert torch.allclose(item["slice_weights"].sum(dim=1), torch.ones(BOX[0]))


def test_window_maps_the_centre_to_one_half() -> None:
    image = torch.tensor([-200.0, -45.0, 55.0, 155.0, 900.0])
    assert WindowHUd("image")({"image": image})["image"].tolist() == [0, 0, 0.5, 1, 1]


def test_slice_mapping_is_monotone_and_exact_in_source_order() -> None:
    heights = np.array([0.0, 2, 4, 6, 9, 14, 19, 24])
    origins = np.stack([np.zeros(8), np.zeros(8), heights[::-1]], axis=1)
    frame = frame_of((8, 2, 2), origins, np.eye(3)[:2], (1.0, 1.0))
    grid = Grid(-1, 25, 13)
    positions = slice_positions(frame, grid)
    assert positions.tolist() == [((height + 1) / 2) - 0.5 for height in heights[::-1]]
    weights = slice_weights(frame, grid)
    centres = weights @ heights[::-1].astype(np.float32)
    inner = (grid.centres >= 0) & (grid.centres <= 24)
    assert np.allclose(centres[inner], grid.centres[inner], atol=0.35)
    assert np.all(np.diff(centres) > -1e-6)


def test_slice_probabilities_return_to_their_source() -> None:
    logits = torch.tensor([-4.0, -4, 4, -4, -4])
    scores, inside = slice_logits(logits, torch.tensor([9.0, 4.0, 2.5, 2.0, 0.0, -0.4, -2.0]))
    assert scores.tolist() == [-4, -4, 0, 4, -4, -4, -4]
    assert inside.tolist() == [False, True, True, True, True, True, False]


def test_probabilities_are_calibrated_and_zero_outside_of_the_box() -> None:
    pred = {"hemorrhage": torch.tensor([2.0]), "types": torch.zeros(5), "slices": torch.zeros(4)}
    item = {"pred": pred, "slice_positions": torch.tensor([-3.0, 1.0, 8.0])}
    out = Probabilitiesd({"hemorrhage": (2.0, -4.0)})(item)
    assert out["hemorrhage"].tolist() == [0.5]
    assert out["types"].tolist() == [0.5] * 5
    assert out["slices"].tolist() == [0, 0.5, 0]


def test_targets_follow_the_slices_into_the_box(case: dict[str, object]) -> None:
    item = Compose([load(["image"]), BrainBoxd("image", BOX), Targetsd(BOX[0])])(case)
    assert item["hemorrhage"].tolist() == [1]
    assert item["types"].tolist() == [0, 0, 0, 0, 1]
    assert item["slices"].shape == (BOX[0],)
    assert 2 <= float((item["slices"] > 0.5).sum()) <= 3


def test_missing_labels_become_nan(case: dict[str, object]) -> None:
    bare = {"image": case["image"]}
    item = Compose([load(["image"]), BrainBoxd("image", BOX), Targetsd(BOX[0])])(bare)
    assert all(torch.isnan(item[key]).all() for key in ("hemorrhage", "types", "slices"))


def test_labels_of_the_wrong_length_are_refused(case: dict[str, object]) -> None:
    item = BrainBoxd("image", BOX)(load(["image"])({"image": case["image"], "slices": [0, 1]}))
    with pytest.raises(ValueError, match="35 are expected"):
        Targetsd(BOX[0])(item)


def test_mask_lands_where_the_bleed_is(case: dict[str, object]) -> None:
    item = Compose([load(["image", "mask"]), BrainBoxd("image", BOX), BleedMaskd()])(case)
    assert tuple(item["mask"].shape) == (1, BOX[0], BOX[1] // preprocess.MASK_CELL, BOX[2] // preprocess.MASK_CELL)
    assert item["mask_known"].tolist() == [1]
    depths = torch.nonzero(item["mask"][0].amax(dim=(1, 2)) > 128).flatten()
    middle = item["slice_positions"][19]
    assert abs(float(depths.float().mean()) - float(middle)) < 0.6
    # As much blood as in the source: cells hold shares.
    cell_mm3 = float(torch.prod((item["grids"][:, 1] - item["grids"][:, 0]) / item["grids"][:, 2])) * 4
    assert float(item["mask"].sum()) / 255 * cell_mm3 == pytest.approx(3 * 10 * 10 * 2.4 * 2.4 * 5.0, rel=0.03)


def test_a_case_without_mask_says_so(case: dict[str, object]) -> None:
    item = Compose([load(["image"]), BrainBoxd("image", BOX), BleedMaskd()])({"image": case["image"]})
    assert item["mask_known"].tolist() == [0]
    assert not item["mask"].any()


def test_bytes_keep_a_window_step() -> None:
    image = torch.rand(1, 4, 8, 8)
    back = FromBytesd("image")(ToBytesd("image")({"image": image}))["image"]
    assert float((back - image).abs().max()) <= 0.5 / 255 + 1e-6


def test_the_network_gets_plain_tensors_before_and_after_the_cache() -> None:
    """MONAI's trainer cannot compile a network of several outputs when the images still carry metadata."""
    out = FromBytesd("image")({"image": MetaTensor(torch.zeros(1, 1, 4, 4)), "mask": MetaTensor(torch.zeros(1, 1, 1))})
    assert (type(out["image"]), type(out["mask"])) == (torch.Tensor, torch.Tensor)


def test_shrinking_averages_in_plane() -> None:
    image = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4)
    out = FromBytesd("image", shrink=2)({"image": image})["image"]
    assert torch.allclose(out * 255, torch.tensor([[[[2.5, 4.5], [10.5, 12.5]]]]))


def test_mask_moves_with_its_image() -> None:
    torch.manual_seed(0)
    image = torch.zeros(1, 3, 64, 48)
    image[:, 1, 40:48, 8:16] = 1
    coarse = torch.nn.functional.max_pool2d(image, 8)
    transform = RandBoxd("image", flip=1, affine=1, contrast=0, brightness=0, noise=0).set_random_state(5)
    out = transform({"image": image, "mask": coarse})
    centre = [torch.nonzero(out[key][0, 1] > 0.3).float().mean(dim=0) for key in ("image", "mask")]
    assert torch.allclose(centre[0] / 8, centre[1] + 0.44, atol=0.7)


def test_in_plane_turns_like_a_rotation() -> None:
    image = torch.zeros(1, 1, 33, 33)
    image[0, 0, 16, 26] = 1
    turned = in_plane(image, float(np.pi / 2), (1.0, 1.0), (0.0, 0.0))
    assert torch.nonzero(turned[0, 0] > 0.5).tolist() in ([[6, 16]], [[26, 16]])


def test_augmentation_is_repeatable() -> None:
    image = torch.rand(1, 2, 16, 16)
    first, second = (RandBoxd("image").set_random_state(3)({"image": image.clone()})["image"] for _ in range(2))
    assert torch.equal(first, second)
