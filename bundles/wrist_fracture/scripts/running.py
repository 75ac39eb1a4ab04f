"""Where results of inference go."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from ignite.engine import Engine, Events

from bundles.wrist_fracture.scripts.network import FINDING

log = structlog.get_logger()


class WriteResults:
    """Writes one JSON an image: the probability of a fracture, and the region that spoke for it.

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
            log.info("image_analysed", result=str(path), fracture=result[FINDING])


def as_plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of `FractureRegiond` as JSON takes it: edges in pixels of the source; null without a region."""
    regions = [[round(float(edge), 1) for edge in box] for box in item["boxes"]]
    return {FINDING: round(float(item["probabilities"][0]), 4), "region": regions[0] if regions else None}
