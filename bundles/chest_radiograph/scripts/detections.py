"""From the network's outputs for one image to its detections."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from bundles.chest_radiograph.scripts.grid import decode, grid_of
from bundles.common.boxes.geometry import area, clip
from bundles.common.boxes.suppression import batched_nms


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What was found in one image, best first.

    Attributes:
        boxes: (found, 4) x0, y0, x1, y1 in pixels, float32.
        scores: (found,) 0 to 1: the root of class probability times centre-ness.
        classes: (found,) index into `CLASSES`.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of all locations become detections.

    Attributes:
        least_score: Lower ones are left out. Low, because a free-response curve needs the weak ones too.
        overlap: Largest IoU of two detections of one class.
        candidates: Most locations that enter suppression.
        limit: Most detections of an image.
    """

    least_score: float = 0.05
    overlap: float = 0.6
    candidates: int = 1000
    limit: int = 100


def detections_of(
    outputs: Mapping[str, Tensor],
    size: tuple[int, int],
    choice: Choice | None = None,
    content: tuple[int, int] | None = None,
) -> Detections:
    """Detections of one image, in pixels of the network's input, on the CPU.

    Args:
        outputs: Of `ChestDetector` without the batch axis.
        size: (rows, columns) of the network's input.
        choice: Which; None takes the default.
        content: (rows, columns) of the part of the input that is image and not padding; boxes are cut at it. None takes
            all.
    """
    choice = choice or Choice()
    logits, centre = outputs["classes"].detach().float().cpu(), outputs["centre"].detach().float().cpu()
    scores = (logits.sigmoid() * centre.sigmoid()[:, None]).sqrt()
    best = scores.flatten().topk(min(choice.candidates, scores.numel()))
    chosen = best.indices[best.values >= choice.least_score]
    location, classes = chosen // scores.shape[1], chosen % scores.shape[1]
    distances = outputs["boxes"].detach().float().cpu()[location]
    boxes = clip(decode(grid_of(*size).points[location], distances), *(content or size))
    real = area(boxes) > 0
    boxes, classes, values = boxes[real], classes[real], scores.flatten()[chosen][real]
    kept = batched_nms(boxes, values, classes, choice.overlap, choice.limit)
    return Detections(boxes[kept], values[kept], classes[kept])
