"""Where results of inference go."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from ignite.engine import Engine, Events

from bundles.chest_radiograph.scripts.network import CLASSES

log = structlog.get_logger()


class WriteResults:
    """Writes one JSON an image: the probability of each finding, and boxes with class and score.

    Args:
        folder: Receives `<name>.json`, folders of the input's names kept.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def attach(self, engine: Engine) -> None:
        """Write after each image."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)

    def _write(self, engine: Engine) -> None:
        for item, given in zip(engine.state.output, engine.state.batch, strict=True):
            path = self.folder / f"{given['name']}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            result = {"image": given["name"], **as_plain(item)}
            path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            log.info("image_analysed", result=str(path), boxes=len(result["boxes"]))


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
