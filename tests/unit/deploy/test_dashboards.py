"""The dashboards and what provisions them, against what Grafana documents of its JSON model; PromQL by promtool."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli.metrics_page import every_figure
from tests.unit.deploy.dashboards import DASHBOARDS, Dashboard, every_expression, expressions, panels, read
from tests.unit.deploy.test_alerts import promtool, rules

PANEL_TYPES = {"row", "stat", "table", "timeseries"}
UNITS = {"none", "short", "s", "bytes", "Bps", "percentunit"}
"""IDs of Grafana's unit formats."""
COLUMNS = 24
OTHERS = {"up"}
"""Figures that are no part of docs/metrics.md: Prometheus' own."""
WORD = re.compile(r"\b(?:vigil_\w+|up)\b(?!:)")


@pytest.fixture(scope="module", params=DASHBOARDS)
def dashboard(request: pytest.FixtureRequest, root: Path) -> Dashboard:
    return read(root, request.param)


def provisioned(root: Path, what: str) -> Mapping[str, Any]:
    (file,) = (root / "deploy" / "grafana" / "provisioning" / what).iterdir()
    found: Mapping[str, Any] = yaml.safe_load(file.read_text())
    return found


def names(expression: str) -> set[str]:
    """Metric names in an expression; those of a histogram without their ending."""
    found = set(WORD.findall(expression))
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in found}


def test_every_file_is_tested(root: Path) -> None:
    there = sorted(file.stem for file in (root / "deploy" / "grafana" / "dashboards").iterdir())
    assert there == list(DASHBOARDS)


def test_ids_are_unique_over_all(root: Path) -> None:
    read_all = [read(root, name) for name in DASHBOARDS]
    uids = [each["uid"] for each in read_all]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", uid) for uid in uids)
    for each in read_all:
        assert "id" not in each, "Grafana gives the numeric id"
        numbers = [panel["id"] for panel in each["panels"]]
        assert len(set(numbers)) == len(numbers)


def test_every_panel_has_what_grafana_needs(dashboard: Dashboard, root: Path) -> None:
    (source,) = provisioned(root, "datasources")["datasources"]
    expected = {"type": source["type"], "uid": source["uid"]}
    assert dashboard["schemaVersion"] >= 36
    for panel in panels(dashboard):
        where = f"{dashboard['title']}: {panel['title']}"
        assert panel["type"] in PANEL_TYPES, where
        assert panel["datasource"] == expected, where
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, where
        assert panel["title"], where
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None, where
        assert [step["value"] for step in steps[1:]] == sorted(step["value"] for step in steps[1:]), where
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0, where
        assert all(target["datasource"] == expected and target["expr"] for target in panel["targets"]), where


def test_panels_do_not_lie_upon_each_other(dashboard: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.debian
def test_every_expression_is_promql(root: Path, tmp_path: Path) -> None:
    """promtool checks rules, so each expression becomes one."""
    found = every_expression(root)
    made = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(found)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": made}]}))
    checked = promtool("check", "rules", tmp_path / "panels.yml")
    assert checked.returncode == 0, checked.stderr
    assert f"{len(found)} rules found" in checked.stdout
    (tmp_path / "panels.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "g", "rules": [{"record": "panel:x", "expr": "sum(vigil"}]}]})
    )
    assert promtool("check", "rules", tmp_path / "panels.yml").returncode != 0


def test_every_name_is_a_figure_of_ours(root: Path) -> None:
    known = {each.name for each in every_figure()} | OTHERS
    for name in DASHBOARDS:
        for expression in expressions(read(root, name)):
            assert names(expression), expression
            assert names(expression) <= known, expression
    for rule in rules(root / "deploy" / "prometheus" / "rules"):
        assert names(rule["expr"]), rule["alert"]
        assert names(rule["expr"]) <= known, rule["alert"]


def test_every_figure_can_be_seen(root: Path) -> None:
    """What no panel shows nobody looks at."""
    shown = {name for each in DASHBOARDS for expression in expressions(read(root, each)) for name in names(expression)}
    assert {each.name for each in every_figure()} <= shown


def test_the_files_are_where_the_provider_looks(root: Path) -> None:
    (provider,) = provisioned(root, "dashboards")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    (source,) = provisioned(root, "datasources")["datasources"]
    assert source["url"] == "http://prometheus:9090"
