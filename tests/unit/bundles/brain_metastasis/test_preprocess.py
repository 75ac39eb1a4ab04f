"""The head is found and its brightness set, however the series was acquired; masks must lie on their image."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundles.brain_metastasis.scripts.head import BRAIN_LEVEL, NoHead, find_head
from bundles.brain_metastasis.scripts.preprocess import AxialHeadd, SliceTargetsd, ToBytesd
from bundles.brain_metastasis.scripts.volume import stack_of
from bundles.common.headers import UnreadableImage

from .conftest import ORIENTATIONS, affine_of, as_read, head_values, points_of

LESION = (20.0, -30.0, 25.0, 8.0)
SHAPE = (44, 50, 42)
SPACING = (4.0, 4.0, 4.0)


def item_of(axes=(0, 1, 2), signs=(1, 1, 0), lesions=(LESION,), spacing=SPACING, shape=SHAPE):
    affine = affine_of(axes, signs, spacing, shape)
    values, mask = head_values(points_of(affine, shape), lesions)
    return {"image": as_read(values, affine), "mask": as_read(mask, affine), "name": "a head"}


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS[::5])
def test_every_orientation_gives_the_same_head(axes, signs):
    prepare = AxialHeadd("image", spacing_mm=(3.0, 3.0, 3.0), box=(64, 64))
    shape = [SHAPE[axis] for axis in axes]
    expected, found = prepare(item_of()), prepare(item_of(axes, signs, shape=shape))
    assert found["image"].shape == expected["image"].shape
    # Where the array begins, a coarse voxel may begin too: the head's box moves by less than one.
    assert found["image"].numpy() == pytest.approx(expected["image"].numpy(), abs=0.02)
    assert torch.equal(found["mask"], expected["mask"])


def test_the_box_holds_the_brain_and_its_axes_are_the_patients():
    item = AxialHeadd("image", spacing_mm=(2.0, 2.0, 2.0), box=(96, 96))(item_of())
    image = item["image"].numpy()[0]
    assert image.min() >= 0
    assert image.max() <= 1
    middle = image[len(image) // 2]
    assert middle[48, 48] == pytest.approx(BRAIN_LEVEL, abs=0.01)
    # The lesion lies on the patient's right (x > 0), at the back and above: low column, high row, high slice.
    where = np.argwhere(item["mask"].numpy())
    centre = where.mean(axis=0)
    assert centre[0] > len(image) / 2
    assert centre[1] == pytest.approx(48 + 30 / 2, abs=1.0)
    assert centre[2] == pytest.approx(48 - 20 / 2, abs=1.0)
    assert image[tuple(np.round(centre).astype(int))] == pytest.approx(2 * BRAIN_LEVEL, abs=0.05)
    assert len(where) * 8 == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.25)


@pytest.mark.parametrize(("factor", "offset"), [(0.01, 0.0), (7.0, 0.0), (3.0, -500.0)])
def test_brightness_does_not_depend_on_the_scanner(factor, offset):
    item, other = item_of(), item_of()
    other["image"] = other["image"] * factor + offset
    prepare = AxialHeadd("image", spacing_mm=SPACING, box=(64, 64))
    assert prepare(other)["image"].numpy() == pytest.approx(prepare(item)["image"].numpy(), abs=1e-3)


def test_brightness_is_that_of_brain_whether_or_not_there_is_fat():
    """Scalp cut away, as in BraTS, or suppressed: brain keeps its level."""
    item = item_of()
    bare = item_of()
    bare["image"][bare["image"] == 900.0] = 12.0
    for each in (item, bare):
        stack = stack_of(each["image"])
        assert float(find_head(stack).normalised(np.float32([400.0]))[0]) == pytest.approx(BRAIN_LEVEL, abs=0.01)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda image: image.__setitem__((3, 4, 5), float("nan")), "1 of 92400 voxels are NaN"),
        (lambda image: image.fill_(5.0), "the image is empty"),
        (lambda image: image[:, 11:].fill_(12.0), "at least 0.3 L"),
    ],
    ids=["NaN", "one value", "too little"],
)
def test_what_is_no_head_is_refused(spoil, words):
    item = item_of()
    spoil(item["image"])
    with pytest.raises(NoHead, match=words):
        AxialHeadd("image")(item)


def test_masks_on_another_grid_are_refused():
    item = item_of()
    item["mask"] = as_read(np.zeros((44, 50, 41)), np.asarray(item["image"].affine))
    with pytest.raises(UnreadableImage, match="a head: its mask has shape"):
        AxialHeadd("image")(item)
    item = item_of()
    moved = np.asarray(item["image"].affine).copy()
    moved[2, 3] += 4.0
    item["mask"] = as_read(item["mask"].numpy(), moved)
    with pytest.raises(UnreadableImage, match=r"lies up to 4\.0 mm beside"):
        AxialHeadd("image")(item)


def test_what_is_known_of_slices():
    image = MetaTensor(torch.zeros(1, 4, 2, 2))
    mask = torch.zeros(4, 2, 2, dtype=torch.uint8)
    mask[2, 1, 1] = 1
    drawn = SliceTargetsd()({"image": image, "mask": mask, "label": 1})
    assert (drawn["slices"].tolist(), drawn["mask_known"].tolist()) == ([0, 0, 1, 0], [1])
    healthy = SliceTargetsd()({"image": image, "label": 0})
    assert (healthy["slices"].tolist(), int(healthy["mask"].sum()), healthy["mask_known"].tolist()) == ([0] * 4, 0, [1])
    undrawn = SliceTargetsd()({"image": image, "label": 1})
    assert torch.isnan(undrawn["slices"]).all()
    assert undrawn["mask_known"].tolist() == [0]


def test_the_cache_keeps_a_255th():
    values = torch.linspace(0, 1, 1000)[None]
    (again,) = ToBytesd("image")({"image": MetaTensor(values)})["image"].float() / 255
    assert (again - values[0]).abs().max() <= 0.5 / 255 + 1e-6


def test_settings_are_checked():
    with pytest.raises(ValueError, match="multiples of 32"):
        AxialHeadd("image", box=(100, 96))
