"""What the network says of its grid comes back to the very voxels and slices of the source."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.spatial.transform import Rotation

from bundles.brain_metastasis.scripts.postprocess import Lesionsd
from bundles.brain_metastasis.scripts.preprocess import AxialHeadd
from bundles.brain_metastasis.scripts.volume import stack_of
from bundles.common.lesions import measure
from bundles.common.sampling import Grid, grid_rows, grids_of

from .conftest import ORIENTATIONS, affine_of, as_read, head_values, points_of

LESIONS = ((22.0, -30.0, 20.0, 9.0), (-25.0, 10.0, -15.0, 7.0))


def prepared(axes, signs, *, turn=None, spacing=(3.0, 3.0, 3.0), shape=None):
    extent = np.array([170.0, 200.0, 160.0])
    shape = shape or [int(np.ceil(extent[axis] / step)) for axis, step in zip(axes, spacing, strict=True)]
    affine = affine_of(axes, signs, spacing, shape, turn)
    values, mask = head_values(points_of(affine, shape), LESIONS)
    item = {"image": as_read(values, affine), "mask": as_read(mask, affine)}
    return AxialHeadd("image", spacing_mm=(2.0, 2.0, 2.0), box=(128, 96))(item), mask, affine


def as_logits(mask):
    return (mask.float() * 2 - 1) * 6


@given(st.sampled_from(ORIENTATIONS), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=12, deadline=None)
def test_a_perfect_mask_comes_back_to_the_sources_voxels(orientation, seed, oblique):
    rng = np.random.default_rng(seed)
    turn = Rotation.from_rotvec(rng.uniform(-0.2, 0.2, 3)).as_matrix() if oblique else None
    item, mask, affine = prepared(*orientation, turn=turn, spacing=tuple(rng.uniform(2.0, 4.0, 3)))
    slices = torch.where(item["mask"].flatten(1).bool().any(dim=1), 4.0, -4.0)
    found = Lesionsd()({**item, "pred": {"mask": as_logits(item["mask"]), "slices": slices}})
    labels = found["lesions"].numpy()
    assert labels.shape == mask.shape
    assert labels.dtype == np.uint8
    true, both = mask > 0, (mask > 0) & (labels > 0)
    assert 2 * both.sum() / (true.sum() + (labels > 0).sum()) > 0.8
    assert len(found["lesion_scores"]) == 2
    assert found["lesion_measures"].tolist() == [
        pytest.approx([lesion.volume_mm3, lesion.longest_diameter_mm, *lesion.centre_mm])
        for lesion in measure(labels, affine)
    ]
    centres = sorted(lesion.centre_mm for lesion in measure(labels, affine))
    for centre, place in zip(centres, sorted(LESIONS), strict=True):
        assert np.linalg.norm(np.subtract(centre, place[:3])) < 1.5


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_mask_on_the_sources_own_grid_comes_back_exactly(orientation):
    shape, spacing = (5, 6, 7), (1.5, 1.0, 2.0)
    affine = affine_of(*orientation, spacing, shape)
    mask = (np.random.default_rng(4).random(shape) < 0.3).astype(np.uint8)
    stack = stack_of(as_read(mask, affine))
    grids = [
        Grid(-step / 2, (count - 0.5) * step, count)
        for count, step in zip(stack.axial.shape, stack.spacing_mm, strict=True)
    ]
    item = {
        "grids": torch.from_numpy(grid_rows((grids[0], grids[1], grids[2]))),
        "source_affine": torch.from_numpy(affine),
        "source_shape": torch.tensor(shape),
    }
    on_grid = torch.from_numpy(stack.axial.copy())
    pred = {"mask": as_logits(on_grid), "slices": torch.zeros(len(on_grid))}
    found = Lesionsd(min_volume_mm3=0.0)({**item, "pred": pred})
    assert np.array_equal(found["lesions"].numpy() > 0, mask > 0)


@pytest.mark.parametrize("orientation", [((0, 1, 2), (1, 1, 0)), ((0, 1, 2), (0, 1, 1)), ((1, 2, 0), (0, 1, 1))])
def test_slices_are_those_of_the_series_in_its_order(orientation):
    item, mask, _ = prepared(*orientation)
    slices = torch.where(item["mask"].flatten(1).bool().any(dim=1), 4.0, -4.0)
    found = Lesionsd()({**item, "pred": {"mask": as_logits(item["mask"]), "slices": slices}})
    scores = found["slices"].numpy()
    assert scores.shape == (mask.shape[2],)
    with_lesion = mask.any(axis=(0, 1))
    # The first and last slice of a lesion may fall to either side, half a voxel of the grid decides.
    assert (scores[binary_erosion(with_lesion)] > 0.5).all()
    assert (scores[~binary_dilation(with_lesion)] < 0.5).all()
    assert 0 < binary_erosion(with_lesion).sum() < binary_dilation(with_lesion).sum() < len(scores)


def test_axial_slices_read_the_classifier_linearly_and_those_outside_are_zero():
    shape = (60, 70, 80)
    affine = affine_of((0, 1, 2), (1, 1, 0), (3.0, 3.0, 4.0), shape)
    values, _ = head_values(points_of(affine, shape))
    item = AxialHeadd("image", spacing_mm=(2.0, 2.0, 2.0), box=(128, 96))({"image": as_read(values, affine)})
    depth = item["image"].shape[1]
    logits = torch.linspace(-3, 3, depth)
    found = Lesionsd()({**item, "pred": {"mask": torch.full((depth, 128, 96), -9.0), "slices": logits}})
    grid = grids_of(item["grids"])[0]
    for index, score in enumerate(found["slices"].tolist()):
        place = (index * 4.0 - grid.low) / grid.step - 0.5
        if -0.5 <= place <= depth - 0.5:
            logit = np.interp(place, np.arange(depth), logits.numpy())
            assert score == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)
        else:
            assert score == 0.0
    assert found["slices"][0] == 0.0
    assert int(found["lesions"].sum()) == 0
    assert found["lesion_scores"].shape == (0,)
    assert float(found["probabilities"][0]) == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-4)


def test_platt_scaling_and_certainty():
    item, _, _ = prepared((0, 1, 2), (1, 1, 0))
    depth = len(item["mask"])
    upper = torch.arange(depth) > depth / 2
    slices = torch.where(upper, 2.0, -2.0)
    pred = {"mask": as_logits(item["mask"]), "slices": slices}
    scale = {"slices": (2.0, 0.0), "study": (0.5, 1.0)}
    found = Lesionsd(scale)({**item, "pred": pred})
    full = 1 / (1 + np.exp(-6))
    assert found["lesion_scores"].tolist() == pytest.approx([full / (1 + np.exp(-4)), full / (1 + np.exp(4))], abs=0.02)
    assert float(found["probabilities"][0]) == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-5)
    sure = Lesionsd(scale, min_certainty=0.5)({**item, "pred": pred})
    assert len(sure["lesion_scores"]) == 1
    assert set(sure["lesions"].unique().tolist()) == {0, 1}
    assert torch.equal(sure["lesions"] == 1, found["lesions"] == 1)


def test_small_components_are_no_lesions():
    item, _, _ = prepared((0, 1, 2), (1, 1, 0))
    logits = torch.full(item["mask"].shape, -9.0)
    logits[len(logits) // 2, 64, 48] = 9.0
    logits[len(logits) // 2, 20:40, 20:40] = 9.0
    pred = {"mask": logits, "slices": torch.zeros(len(logits))}
    assert len(Lesionsd(min_volume_mm3=100.0)({**item, "pred": pred})["lesion_scores"]) == 1
    assert len(Lesionsd(min_volume_mm3=9999.0)({**item, "pred": pred})["lesion_scores"]) == 0


def test_thresholds_are_checked():
    with pytest.raises(ValueError, match="between 0 and 1"):
        Lesionsd(mask_threshold=1.0)
