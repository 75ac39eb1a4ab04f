"""A mask comes back to the voxels of the series that it was made of, whatever its orientation, tilt and spacing."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bundles.common.sampling import Grid, grid_rows
from bundles.head_ct_hemorrhage.scripts.inferer import SegmentSuspected
from bundles.head_ct_hemorrhage.scripts.lesions import Bleedsd
from bundles.head_ct_hemorrhage.scripts.network import HemorrhageNet
from bundles.head_ct_hemorrhage.scripts.stack import frame_at
from bundles.head_ct_hemorrhage.scripts.volume import Frame

ORIENTATIONS = [(axes, signs) for axes in permutations(range(3)) for signs in np.ndindex(2, 2, 2)]
"""All 48 ways in which columns, rows and slices may lie to the patient (RAS)."""
BALLS = ((-20.0, 12.0, 5.0, 9.0), (18.0, -15.0, -10.0, 7.0))
"""(x, y, z, radius), LPS millimetres."""
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def stack(axes, signs, heights, shape, *, pixel_mm=1.3, shear_mm=(0.0, 0.0)):
    """Affine (RAS), origins (LPS) and voxel centres (columns, rows, slices, 3; LPS) of a stack around the origin.

    `shear_mm` moves every slice along its columns and rows, per millimetre of its height.
    """
    directions = np.zeros((3, 3))
    for index, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        directions[axis, index] = -1.0 if sign else 1.0
    column, row, normal = directions[:, 0], directions[:, 1], np.cross(directions[:, 0], directions[:, 1])
    middle = (shape[0] - 1) / 2 * pixel_mm * column + (shape[1] - 1) / 2 * pixel_mm * row
    origins = np.stack([h * normal + h * shear_mm[0] * column + h * shear_mm[1] * row - middle for h in heights])
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 3] = pixel_mm * column, pixel_mm * row, origins[0]
    lps[:3, 2] = (origins[-1] - origins[0]) / (len(origins) - 1)
    steps = [np.arange(count) * pixel_mm for count in shape]
    in_plane = steps[0][:, None, None] * column + steps[1][None, :, None] * row
    return TO_RAS @ lps, origins, in_plane[:, :, None] + origins


def balls(points):
    return np.any([np.linalg.norm(points - ball[:3], axis=-1) <= ball[3] for ball in BALLS], axis=0)


def item_of(affine, origins, shape, slices=None, box=(44, 60, 56)):
    """What preprocessing writes for a box of 88×90×84 mm around the origin, and logits of the balls in it."""
    frame = frame_at((*shape, len(origins)), affine, origins)
    grids = tuple(Grid(-half, half, count) for half, count in zip((44.0, 45.0, 42.0), box, strict=True))
    centres = frame_points(frame, grids, affine)
    pred = {"segmentation": torch.where(torch.from_numpy(balls(centres)), 8.0, -8.0)[None].float()}
    pred["slices"] = torch.full((box[0],), 6.0) if slices is None else slices
    return {
        "pred": pred,
        "slices": torch.zeros(len(origins)),
        "grids": torch.from_numpy(grid_rows(grids)),
        "source_shape": torch.tensor((*shape, len(origins))),
        "source_affine": torch.from_numpy(affine),
        "source_origins": torch.from_numpy(origins),
    }


def frame_points(frame: Frame, grids, affine):
    """LPS points of a grid's centres: the frame's axes are unit vectors near S, P and L."""
    lps = TO_RAS @ affine
    read = [np.cross(lps[:3, 0], lps[:3, 1]), lps[:3, 1], lps[:3, 0]]
    units = [
        each / np.linalg.norm(each) * (-1 if flip else 1)
        for each, flip in zip([read[axis] for axis in frame.axes], frame.flipped, strict=True)
    ]
    w, v, u = (grid.centres for grid in grids)
    return w[:, None, None, None] * units[0] + v[:, None, None] * units[1] + u[:, None] * units[2]


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_a_mask_lands_on_the_right_voxels_in_every_orientation(axes, signs):
    shape = (70, 74)
    affine, origins, points = stack(axes, signs, np.arange(-42, 43, 3.0), shape)
    found = Bleedsd(min_volume_mm3=0)(item_of(affine, origins, shape))
    labels = found["lesions"].numpy()
    assert labels.shape == (*shape, len(origins))
    assert dice(labels > 0, balls(points)) > 0.93
    assert labels.max() == len(found["lesion_scores"]) == len(found["lesion_measures"]) == 2
    volumes = [4 / 3 * np.pi * ball[3] ** 3 for ball in BALLS]
    assert sorted(found["lesion_measures"][:, 0].tolist()) == pytest.approx(sorted(volumes), rel=0.12)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(ORIENTATIONS),
    st.floats(-25, 25),
    st.floats(-10, 10),
    st.lists(st.floats(0.6, 6), min_size=18, max_size=60),
    st.randoms(use_true_random=False),
)
def test_tilt_variable_spacing_and_order_do_not_matter(orientation, down_deg, across_deg, gaps, random):
    heights = np.cumsum(gaps)
    heights -= heights.mean()
    shear = (np.tan(np.deg2rad(across_deg)), np.tan(np.deg2rad(down_deg)))
    shape = (80, 82)
    affine, origins, points = stack(*orientation, heights, shape, shear_mm=shear)
    order = np.arange(len(origins))
    random.shuffle(order)
    found = Bleedsd(min_volume_mm3=0)(item_of(affine, origins[order], shape))
    labels, truth = found["lesions"].numpy() > 0, balls(points)[:, :, order]
    # A voxel at the rim may fall to either side: what is more than a voxel of the box away from it may not.
    distance = np.min([np.linalg.norm(points - ball[:3], axis=-1) - ball[3] for ball in BALLS], axis=0)[:, :, order]
    inside = np.abs(points - 0).max(axis=-1)[:, :, order] < 41
    assert labels[(distance < -2.2) & inside].all()
    assert not labels[distance > 2.2].any()
    assert truth[distance < 0].all()


def test_certainty_is_the_mask_weighted_by_its_slice_and_the_least_certain_are_left_out():
    shape = (70, 74)
    affine, origins, _ = stack((0, 1, 2), (0, 0, 0), np.arange(-42, 43, 3.0), shape)
    slices = torch.where(torch.arange(44) >= 21, 4.0, -4.0)
    item = item_of(affine, origins, shape, slices)
    found = Bleedsd({"slices": (0.5, 0.0)}, min_volume_mm3=0)(item)
    full = 1 / (1 + np.exp(-8))
    assert found["lesion_scores"].tolist() == pytest.approx([full / (1 + np.exp(-2)), full / (1 + np.exp(2))], abs=0.01)
    assert found["lesion_measures"][0, 4] > found["lesion_measures"][1, 4]
    sure = Bleedsd({"slices": (0.5, 0.0)}, min_volume_mm3=0, min_certainty=0.5)(item)
    assert torch.equal(sure["lesions"] == 1, found["lesions"] == 1)
    assert sure["lesions"].max() == len(sure["lesion_scores"]) == 1
    assert torch.equal(found["slices"], item["slices"])


@pytest.mark.parametrize(("axes", "axis"), [((0, 2, 1), 1), ((1, 2, 0), 0)])
@pytest.mark.parametrize("signs", [(0, 1, 0), (0, 1, 1), (1, 0, 0)])
def test_a_coronal_or_sagittal_slice_gets_the_largest_probability_in_it(axes, axis, signs):
    shape = (70, 74)
    affine, origins, points = stack(axes, signs, np.arange(-60, 61, 3.0), shape)
    found = Bleedsd(min_volume_mm3=0)(item_of(affine, origins, shape))
    scores, truth = found["slices"].numpy(), balls(points).any(axis=(0, 1))
    along = points[0, 0, :, axis]
    rim = np.min([np.abs(np.abs(along - ball[axis]) - ball[3]) for ball in BALLS], axis=0) < 2.5
    assert (scores[truth & ~rim] > 0.9).all()
    assert (scores[~truth & ~rim] < 0.1).all()
    assert (scores[np.abs(along) > 46] == 0).all()
    assert truth.any()
    assert (~truth).any()


def test_without_a_mask_there_is_no_bleed():
    shape = (70, 74)
    affine, origins, _ = stack((0, 2, 1), (0, 1, 0), np.arange(-42, 43, 3.0), shape)
    item = item_of(affine, origins, shape)
    del item["pred"]["segmentation"]
    found = Bleedsd()(item)
    assert (found["lesions"].shape, int(found["lesions"].sum())) == ((*shape, len(origins)), 0)
    assert found["lesion_scores"].shape == (0,)
    assert not found["slices"].any()


@pytest.mark.parametrize("options", [{"mask_threshold": 1.0}, {"min_certainty": -0.1}])
def test_thresholds_are_probabilities(options):
    with pytest.raises(ValueError, match="between 0 and 1"):
        Bleedsd(**options)


def test_the_segmentation_head_runs_where_the_volume_head_suspects_something():
    torch.manual_seed(0)
    network = HemorrhageNet(segmentation=True).eval()
    image = torch.rand(1, 1, 8, 64, 48)
    with torch.inference_mode():
        every = network(image)
        probability = float(torch.sigmoid(2 * every["hemorrhage"] + 1))
        scale = {"hemorrhage": (2.0, 1.0)}
        asked = SegmentSuspected(probability - 0.01, scale)(image, network)
        spared = SegmentSuspected(probability + 0.01, scale)(image, network)
        always = SegmentSuspected()(image, network)
    assert set(spared) == {"hemorrhage", "types", "slices"}
    for name, value in every.items():
        assert torch.equal(asked[name], value)
        assert torch.equal(always[name], value)
        assert name == "segmentation" or torch.equal(spared[name], value)
    with pytest.raises(ValueError, match="suspicion is a probability"):
        SegmentSuspected(1.0)
