"""What evaluations of radiograph bundles share: what is measured, by name, and the cut that the service makes."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from bundles.common.calibration import Cut
from bundles.common.manifest import sha256_of
from bundles.common.metrics.writing import About
from bundles.common.radiograph.datalist import SECTIONS, read_datalist

SERVICE_POINT = "service"
"""The operating point of `configs/service.yaml`, in reports."""


def about(bundle: str, weights: str, datalist: str, section: str, data: str | None = None) -> About:
    """What is measured, for the report.

    Args:
        bundle: Name.
        weights: File.
        datalist: Of the images.
        section: Which of them.
        data: Their name; None takes the datalist's. Phantoms are called so either way.
    """
    content = read_datalist(datalist, bundle)
    rows = [row for name in SECTIONS for row in content.get(name) or []]
    drawn = any(str(row.get("patient")).startswith("PHANTOM-") for row in rows)
    name = data or f"{content.get('name', Path(datalist).parent.name)}, {section}"
    if drawn and not name.lower().startswith("phantom"):
        name = f"phantom: {name}"
    return About(bundle, sha256_of(Path(weights)), name, dt.datetime.now(tz=dt.UTC).date().isoformat())


def service_point(cuts: Mapping[str, Cut], finding: str) -> dict[str, float]:
    """The service's operating point of a finding as a named threshold; empty before anything was fitted."""
    return {SERVICE_POINT: cuts[finding].probability} if finding in cuts else {}
