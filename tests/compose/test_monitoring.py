"""The monitoring overlay: Debian's Prometheus under our configuration, beside two workers, asked by its own API."""

import json
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.compose.conftest import MakeStudies
from tests.compose.docker import ROOT, docker, stand_in
from tests.compose.ledger import Ledger
from tests.compose.scanner import Scanner
from tests.compose.stack import Stack, installed
from tests.integration.receive.dcmtk import free_port
from tests.unit.deploy.dashboards import every_expression

MONITORING = ROOT / "deploy" / "compose.monitoring.yml"
JOBS = {"vigil-listener": 1, "vigil-web": 1, "vigil-worker": 2, "prometheus": 1}
SERVICES = ("listener", "worker", "web", "pacs", "prometheus")
"""Without Grafana, which Debian does not have."""


class Prometheus:
    """Its HTTP API."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer.

        Raises:
            urllib.error.HTTPError: It refused, as it does an expression that is none.
        """
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]

    def value(self, expression: str) -> float:
        """Of an expression with one answer; 0 without an answer."""
        found = self.ask("query", query=expression)["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def up(self) -> Counter[str]:
        """How many processes of each job it reaches."""
        targets = self.ask("targets", state="active")["activeTargets"]
        return Counter(each["labels"]["job"] for each in targets if each["health"] == "up")

    def alerts(self) -> Mapping[str, str]:
        """Those that are pending or firing, and which."""
        return {each["labels"]["alertname"]: each["state"] for each in self.ask("alerts")["alerts"]}


@pytest.fixture(scope="module")
def watched(vigil_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of two workers, with Prometheus."""
    more = {"VIGIL_PROMETHEUS_IMAGE": stand_in("prometheus"), "VIGIL_PROMETHEUS_PORT": str(free_port())}
    with installed(tmp_path_factory.mktemp("watched"), vigil_image, overlays=[MONITORING], more=more) as stack:
        (stack.folder / "secrets" / "grafana_password").write_text("of a Grafana that is not started")
        stack.up("--scale", "worker=2", *SERVICES)
        yield stack


@pytest.fixture(scope="module")
def prometheus(watched: Stack) -> Prometheus:
    return Prometheus(int(watched.more["VIGIL_PROMETHEUS_PORT"]))


def test_it_reaches_every_process_and_each_worker_by_itself(watched: Stack, prometheus: Prometheus) -> None:
    watched.until(lambda: prometheus.up() == JOBS, lambda: f"{JOBS}, found {dict(prometheus.up())}")


def test_it_evaluates_every_rule_and_every_panel(watched: Stack, prometheus: Prometheus) -> None:
    def ill() -> list[str]:
        groups = prometheus.ask("rules")["groups"]
        return [
            f"{rule['name']}: {rule['health']}" for group in groups for rule in group["rules"] if rule["health"] != "ok"
        ]

    assert prometheus.ask("rules")["groups"]
    watched.until(lambda: not ill(), lambda: f"rules that are evaluated: {ill()}")
    for expression in every_expression(ROOT):
        prometheus.ask("query", query=expression)


def test_it_counts_what_was_sent(watched: Stack, prometheus: Prometheus, fresh: MakeStudies) -> None:
    ledger, studies = Ledger(watched), fresh(2)
    scanner = Scanner(watched.dicom_port)
    for study in studies:
        scanner.send(study)
        ledger.add(study)
    ledger.await_all()
    images = sum(len(study.files) for study in studies)
    watched.until(
        lambda: prometheus.value("sum(vigil_receive_images_total)") == images, f"{images} images in its figures"
    )


def test_the_alert_of_missing_workers_begins_to_wait(watched: Stack, prometheus: Prometheus) -> None:
    """While the workers start it waits too; where they live it ends, and where they are gone it waits again."""

    def waits() -> bool:
        return "VigilNoWorker" in prometheus.alerts()

    watched.until(lambda: not waits(), "the end of VigilNoWorker with two workers that live")
    docker("stop", *(str(each["Id"]) for each in watched.containers("worker")))
    watched.until(waits, "VigilNoWorker without workers")
