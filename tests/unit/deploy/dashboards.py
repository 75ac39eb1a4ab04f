"""The dashboards as files, and the PromQL in them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DASHBOARDS = ("destinations", "overview", "system")
VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "6h"}
"""What Grafana fills in."""

Dashboard = Mapping[str, Any]


def read(root: Path, name: str) -> Dashboard:
    found: Dashboard = json.loads((root / "deploy" / "grafana" / "dashboards" / f"{name}.json").read_text())
    return found


def panels(dashboard: Dashboard) -> list[Mapping[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(dashboard: Dashboard) -> Iterator[str]:
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["expr"]


def every_expression(root: Path) -> list[str]:
    """Of all dashboards, with Grafana's variables filled in."""
    found = [expression for name in DASHBOARDS for expression in expressions(read(root, name))]
    for name, value in VARIABLES.items():
        found = [expression.replace(name, value) for expression in found]
    return found
