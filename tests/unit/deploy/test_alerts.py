"""The alert rules, judged by promtool: each fires in its case and is silent in the good one."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.alert_cases import CASES, MONDAY_NOON, SUNDAY_NOON, Case, Figures

pytestmark = pytest.mark.debian

SEVERITIES = {"critical", "warning"}


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "deploy" / "prometheus" / "rules"


def promtool(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    assert shutil.which("promtool"), "promtool is missing: apt-get install prometheus (see .ci/packages)"
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120, cwd=cwd, check=False)


def rules(folder: Path) -> list[Mapping[str, Any]]:
    groups = yaml.safe_load((folder / "vigil.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def judge(folder: Path, tmp_path: Path, tests: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """Run promtool on the rules asked for, without annotations: it compares those too, and words are not the point."""
    asked = {test["alertname"] for each in tests for test in each["alert_rule_test"]}
    wanted = [{**rule, "annotations": {}} for rule in rules(folder) if rule["alert"] in asked]
    assert {rule["alert"] for rule in wanted} == asked
    content = {"groups": [{"name": "asked", "rules": wanted}]}
    (tmp_path / "vigil.yml").write_text(yaml.safe_dump(content))
    shutil.copy(folder / "working_hours.yml", tmp_path)
    cases = {"rule_files": ["vigil.yml", "working_hours.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(cases))
    return promtool("test", "rules", "cases.yml", cwd=tmp_path)


def case(alert: str, figures: Figures, at: int, fires: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in figures.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{at}m",
                "alertname": alert,
                "exp_alerts": [] if fires is None else [{"exp_labels": dict(fires)}],
            }
        ],
    }


def test_promtool_accepts_every_file(folder: Path, root: Path) -> None:
    checked = promtool("check", "rules", *sorted(folder.glob("*.yml")))
    assert checked.returncode == 0, checked.stderr
    checked = promtool("check", "config", "--syntax-only", root / "deploy" / "prometheus" / "prometheus.yml")
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.alert)
def test_fires_in_its_case_and_not_in_the_good_one(each: Case, folder: Path, tmp_path: Path) -> None:
    labels = {"severity": each.severity, **each.labels}
    bad = case(each.alert, each.bad, each.at, labels)
    good = case(each.alert, each.good, each.good_at or each.at, None)
    judged = judge(folder, tmp_path, [bad, good])
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_no_images_is_no_news_on_a_sunday(folder: Path, tmp_path: Path) -> None:
    silent = {"vigil_receive_images_total": f"500x{MONDAY_NOON}"}
    judged = judge(folder, tmp_path, [case("VigilNoImages", silent, SUNDAY_NOON, None)])
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_judge_can_say_no(folder: Path, tmp_path: Path) -> None:
    """Figures of a good case, with an alert expected: promtool must object."""
    judged = judge(folder, tmp_path, [case("VigilNoWorker", {"vigil_workers_alive": "1x90"}, 60, {"severity": "x"})])
    assert judged.returncode == 1
    assert "FAILED" in judged.stdout + judged.stderr


def test_every_alert_has_its_case(folder: Path) -> None:
    assert sorted(rule["alert"] for rule in rules(folder)) == sorted(each.alert for each in CASES)


def test_every_alert_says_what_to_read(folder: Path) -> None:
    for rule in rules(folder):
        assert rule["labels"]["severity"] in SEVERITIES, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"docs/runbook/alerts.md#{rule['alert'].lower()}"


def test_the_runbook_explains_each_alert_and_no_other(folder: Path, root: Path) -> None:
    page = (root / "docs" / "runbook" / "alerts.md").read_text()
    sections = dict(re.findall(r"^### (Vigil\w+)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in rules(folder)}
    assert sections.keys() == severities.keys()
    for alert, text in sections.items():
        assert text.strip().startswith(f"*{severities[alert]}*"), f"{alert}: severity"
        for part in ("**Means**", "**Look at**", "**Do**"):
            assert text.count(part) == 1, f"{alert}: {part}"
