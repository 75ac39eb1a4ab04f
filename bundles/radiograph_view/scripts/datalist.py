"""Radiographs of known view, from one or more datalists (`bundles.common.radiograph.datalist`)."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import structlog

from bundles.common.radiograph.datalist import Item, Row, checked_items, image_file, read_datalist
from bundles.common.views import VIEWS

log = structlog.get_logger()


def load_views(datalists: str | Sequence[str], section: str, limit: int = 0) -> list[Item]:
    """Items of one section of all datalists, images lying beside their list.

    Args:
        datalists: The file, or several.
        section: `training`, `validation` or `test`.
        limit: Take at most so many of each view, the first ones; 0 takes all.

    Returns:
        `{"image": absolute path, "name": path as written, "patient", "kind", "label": index in `VIEWS`}`.

    Raises:
        ValueError: A file or its section is missing or empty, or, all named together: images that are missing, rows
            without a view, patients in two sections.
    """
    items: list[Item] = []
    for datalist in [datalists] if isinstance(datalists, str) else datalists:
        items += checked_items(read_datalist(datalist, "radiograph_view"), section, datalist, _item)
    taken: Counter[int] = Counter()
    kept = []
    for item in items:
        taken[item["label"]] += 1
        if not limit or taken[item["label"]] <= limit:
            kept.append(item)
    log.info("views_loaded", section=section, **{VIEWS[view]: min(n, limit or n) for view, n in sorted(taken.items())})
    return kept


def _item(row: Row, folder: Path) -> Item:
    view = row["view_class"]
    if not isinstance(view, int) or not 0 <= view < len(VIEWS):
        raise ValueError(f"{row['image']}: view_class is {view!r}, expected 0 to {len(VIEWS) - 1}: {', '.join(VIEWS)}")
    return {
        "image": str(image_file(row, folder)),
        "name": str(row["image"]),
        "patient": str(row["patient"]),
        "kind": str(row.get("kind", "")),
        "label": view,
    }
