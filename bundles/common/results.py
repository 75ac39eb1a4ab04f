"""Where results of inference go: one JSON an image or case."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from ignite.engine import Engine, Events

log = structlog.get_logger()


class WriteResults:
    """Writes one JSON an image or case.

    Args:
        folder: Receives `<name>.json`, folders of the input's names kept.
        as_plain: From a postprocessed item to what the JSON says of it.
    """

    def __init__(self, folder: str, as_plain: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self.folder, self.as_plain = Path(folder), as_plain

    def attach(self, engine: Engine) -> None:
        """Write after each batch."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)

    def _write(self, engine: Engine) -> None:
        for item, given in zip(engine.state.output, engine.state.batch, strict=True):
            path = self.folder / f"{given['name']}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            result = {"image": given["name"], **self.as_plain(item)}
            path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            log.info("image_analysed", result=str(path))
