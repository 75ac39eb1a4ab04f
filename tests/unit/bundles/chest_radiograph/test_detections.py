"""Outputs that say boxes give those boxes, in pixels of the source, each finding once."""

import torch
from torch import Tensor

from bundles.chest_radiograph.scripts.detections import Choice, detections_of
from bundles.chest_radiograph.scripts.grid import encode, grid_of
from bundles.chest_radiograph.scripts.postprocess import Detectionsd
from bundles.chest_radiograph.scripts.running import as_plain
from bundles.common.radiograph.placement import Placement

SIZE = (96, 128)


def saying(boxes: list[list[float]], classes: list[int], sureness: list[float]) -> dict[str, Tensor]:
    """Outputs for one image in which every location on the finest level within a box says that box."""
    grid = grid_of(*SIZE)
    count = len(grid.points)
    outputs = {
        "classes": torch.full((count, 2), -12.0),
        "boxes": torch.ones(count, 4),
        "centre": torch.full((count,), 6.0),
        "image": torch.tensor([0.0, 2.0]),
    }
    for box, kind, logit in zip(boxes, classes, sureness, strict=True):
        sides = encode(grid.points, torch.tensor(box))
        inside = (sides > 0).all(dim=1) & (grid.levels == 0)
        outputs["boxes"][inside] = sides[inside]
        outputs["classes"][inside, kind] = logit
    return outputs


def test_every_finding_is_there_once_and_the_surest_first() -> None:
    boxes = [[8.0, 8, 40, 40], [60, 20, 100, 90]]
    found = detections_of(saying(boxes, [0, 1], [2.0, 5.0]), SIZE)
    torch.testing.assert_close(found.boxes, torch.tensor([boxes[1], boxes[0]]))
    assert found.classes.tolist() == [1, 0]
    expected = (torch.tensor([5.0, 2.0]).sigmoid() * torch.tensor(6.0).sigmoid()).sqrt()
    torch.testing.assert_close(found.scores, expected)


def test_both_classes_may_be_in_one_place() -> None:
    outputs = saying([[8.0, 8, 40, 40]], [0], [2.0])
    outputs["classes"][:, 1] = outputs["classes"][:, 0]
    assert sorted(detections_of(outputs, SIZE).classes.tolist()) == [0, 1]


def test_little_sure_and_superfluous_ones_are_left_out() -> None:
    outputs = saying([[8.0, 8, 40, 40], [60, 20, 100, 90]], [0, 1], [2.0, 5.0])
    assert detections_of(outputs, SIZE, Choice(least_score=0.95)).classes.tolist() == [1]
    assert detections_of(outputs, SIZE, Choice(limit=1)).classes.tolist() == [1]
    assert detections_of(outputs, SIZE, Choice(least_score=1.0)).boxes.shape == (0, 4)


def test_boxes_are_cut_at_the_image_and_those_on_the_padding_vanish() -> None:
    outputs = saying([[8.0, 8, 40, 40], [60, 60, 100, 90]], [0, 1], [2.0, 5.0])
    found = detections_of(outputs, SIZE, content=(30, 128))
    torch.testing.assert_close(found.boxes, torch.tensor([[8.0, 8, 40, 30]]))


def test_boxes_come_back_in_pixels_of_the_source() -> None:
    placement = Placement((180, 256), (90, 128))
    item = {"pred": saying([[8.0, 8, 40, 40]], [0], [2.0]), "image": torch.zeros(1, *SIZE)}
    result = Detectionsd()({**item, "placement": placement.as_tensor()})
    torch.testing.assert_close(result["boxes"], torch.tensor([[16.0, 16, 80, 80]]))
    torch.testing.assert_close(result["probabilities"], torch.tensor([0.0, 2.0]).sigmoid())
    plain = as_plain(result)
    assert plain["probabilities"] == {"lesion": 0.5, "pneumothorax": 0.8808}
    assert plain["boxes"] == [{"finding": "lesion", "score": 0.9373, "box": [16.0, 16.0, 80.0, 80.0]}]
