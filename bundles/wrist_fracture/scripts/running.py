"""What results of inference say."""

from collections.abc import Mapping
from typing import Any

from bundles.wrist_fracture.scripts.network import FINDING


def as_plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of `FractureRegiond` as JSON takes it: edges in pixels of the source; null without a region."""
    regions = [[round(float(edge), 1) for edge in box] for box in item["boxes"]]
    return {FINDING: round(float(item["probabilities"][0]), 4), "region": regions[0] if regions else None}
