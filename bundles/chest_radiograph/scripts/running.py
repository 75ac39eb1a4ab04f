"""What results of inference say."""

from collections.abc import Mapping
from typing import Any

from bundles.chest_radiograph.scripts.network import CLASSES


def as_plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of `Detectionsd` as JSON takes it: edges in pixels of the source to a tenth, scores to 1e-4."""
    boxes = [
        {
            "finding": CLASSES[int(kind)],
            "score": round(float(score), 4),
            "box": [round(float(edge), 1) for edge in box],
        }
        for box, score, kind in zip(item["boxes"], item["scores"], item["classes"], strict=True)
    ]
    probabilities = zip(CLASSES, item["probabilities"], strict=True)
    return {"probabilities": {name: round(float(value), 4) for name, value in probabilities}, "boxes": boxes}
