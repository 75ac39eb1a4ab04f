"""Listener, worker and web side as processes of their own, each with its figures, as in containers; and Prometheus."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.cli.metrics_page import every_figure
from app.demo.pacs import Pacs
from app.outcomes import State
from tests.e2e.conftest import ROOT, Service, installed
from tests.integration.receive.dcmtk import free_port
from tests.integration.workflow.tiny import ct_slices, write_bundle, write_files
from tests.unit.deploy.dashboards import DASHBOARDS, VARIABLES, expressions, read
from tests.unit.deploy.test_alerts import rules
from tests.unit.deploy.test_dashboards import names

pytestmark = [pytest.mark.debian, pytest.mark.timeout(400)]

VERBS = {"listener": "listen", "worker": "work", "web": "web"}
ELSEWHERE = {
    "up",  # Prometheus' own
    "vigil_certificate_expires_timestamp_seconds",  # where a port has TLS
    "vigil_audit_messages_total",  # where there is an audit trail
    "vigil_gpu_memory_used_bytes",  # where there is an accelerator
    "vigil_gpu_memory_size_bytes",
    "vigil_gpu_utilization_ratio",
}
THE_MACHINE = {("VigilDiskFilling", "pending")}
"""Other work on this machine may fill its disk for some seconds: that is no part of the service."""
NAME, IDENTIFIER, BORN = "Quuxley^Zebedee", "QX-4711-09", "19470513"
PATIENCE_S = 120.0

Samples = Mapping[str, list[tuple[Mapping[str, str], float]]]


@dataclass
class Parts:
    """One installation as three processes."""

    service: Service
    ports: Mapping[str, int]
    processes: dict[str, subprocess.Popen[bytes]]
    pacs: Pacs

    def log(self, role: str) -> str:
        return (self.service.folder / f"{role}.log").read_text()

    def scrape(self, role: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[role]}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def samples(self, role: str) -> Samples:
        found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for family in text_string_to_metric_families(self.scrape(role)):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

    def value(self, role: str, name: str, **labels: str) -> float:
        return sum(value for have, value in self.samples(role).get(name, []) if labels.items() <= have.items())

    def until(self, condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + patience_s
        while not condition():
            for role, process in self.processes.items():
                assert process.poll() is None or process.returncode == -signal.SIGKILL, f"{role}:\n{self.log(role)}"
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.2)


@contextmanager
def started(service: Service, pacs: Pacs, **environment: str) -> Iterator[Parts]:
    ports = {role: free_port() for role in VERBS}
    processes: dict[str, subprocess.Popen[bytes]] = {}
    parts = Parts(service, ports, processes, pacs)
    try:
        for role, verb in VERBS.items():
            with (service.folder / f"{role}.log").open("ab") as log:
                processes[role] = subprocess.Popen(
                    [sys.executable, "-m", "app", verb, "--config", str(service.config)],
                    cwd=ROOT,
                    env={
                        **os.environ,
                        "OMP_NUM_THREADS": "1",
                        "VIGIL_METRICS__PORT": str(ports[role]),
                        **environment,
                    },
                    stderr=log,
                )
        parts.until(lambda: '"worker_ready"' in parts.log("worker"), "the worker")
        parts.until(lambda: '"listening"' in parts.log("listener"), "the listener")
        parts.until(lambda: '"web_listening"' in parts.log("web"), "the web side")
        yield parts
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def parts(folder: Path) -> Iterator[Parts]:
    """With one study that went all the way to a PACS."""
    (folder / "bundles").mkdir()
    write_bundle(folder / "bundles")
    with ExitStack() as stack:
        pacs = stack.enter_context(Pacs(folder / "pacs"))
        peer = {"name": "pacs", "host": pacs.host, "port": pacs.port, "ae_title": pacs.ae_title, "documents": ["sr"]}
        sections = {"bundles": {"folder": str(folder / "bundles")}, "destinations": [peer]}
        service = stack.enter_context(installed(folder, **sections))
        parts = stack.enter_context(started(service, pacs, VIGIL_LISTENER__PROCESSES="2"))
        send(parts, folder / "first")
        parts.until(lambda: parts.value("web", "vigil_figures_looked_at_timestamp_seconds") > 0, "a look")
        yield parts


def send(parts: Parts, folder: Path) -> str:
    """Send a study of a patient that can be recognised, wait until its result is at the PACS; the short key."""
    slices = ct_slices()
    for each in slices:
        each.PatientName, each.PatientID, each.PatientBirthDate = NAME, IDENTIFIER, BORN
    write_files(folder, slices)
    assert set(parts.service.send(sorted(folder.iterdir())).statuses) == {0}
    uid, settings = slices[0].StudyInstanceUID, parts.service.settings

    def finished() -> bool:
        from app import outcomes

        found = outcomes.study(settings, uid)
        return found is not None and found.state is State.DELIVERED

    parts.until(finished, "the result at the PACS")
    from app.study import uid_hash

    return uid_hash(uid)[:12]


def wanted_names() -> set[str]:
    """Every figure that a rule or a panel names."""
    panels = {name for each in DASHBOARDS for expr in expressions(read(ROOT, each)) for name in names(expr)}
    alerts = {name for rule in rules(ROOT / "deploy" / "prometheus" / "rules") for name in names(rule["expr"])}
    return panels | alerts


class TestFigures:
    def test_everything_that_rules_and_panels_name_is_there(self, parts: Parts) -> None:
        shown = {name for role in VERBS for name in parts.samples(role)}
        histograms = {name.removesuffix("_count") for name in shown if name.endswith("_count")}
        assert wanted_names() - ELSEWHERE <= shown | histograms

    def test_everything_that_is_there_is_in_the_list(self, parts: Parts) -> None:
        told = {each.name for each in every_figure()} | ELSEWHERE
        for role in VERBS:
            for family in text_string_to_metric_families(parts.scrape(role)):
                if family.name.startswith("vigil_"):
                    assert {family.name, f"{family.name}_total"} & told, family.name

    def test_a_study_counts_at_every_stage(self, parts: Parts) -> None:
        assert parts.value("listener", "vigil_receive_images_total") >= 5
        assert parts.value("listener", "vigil_receive_bytes_total") > 5 * 32 * 32 * 2
        for stage in ("assemble", "route", "infer", "report", "deliver"):
            assert parts.value("worker", "vigil_stage_seconds_count", stage=stage) >= 1, stage
        for part in ("read", "forward", "post"):
            assert parts.value("worker", "vigil_model_seconds_count", bundle="brightness", part=part) >= 1, part
        assert parts.value("worker", "vigil_deliveries_total", destination="pacs", outcome="delivered") >= 1
        assert parts.value("worker", "vigil_studies_total", state="delivered") >= 1
        assert parts.value("worker", "vigil_model_ready", bundle="brightness") == 1
        assert parts.value("worker", "vigil_failures_total") == 0

    def test_the_web_side_sees_the_installation(self, parts: Parts) -> None:
        parts.until(lambda: parts.value("web", "vigil_studies_unfinished") == 0, "a look after the study")
        parts.until(lambda: parts.value("web", "vigil_workers_alive") == 1, "a look after a second beat")
        assert parts.value("web", "vigil_part_ok") == 6
        assert parts.value("web", "vigil_disk_free_bytes", folder="spool") > 0
        assert parts.value("web", "vigil_dead_letters") == 0

    def test_each_process_tells_of_itself_alone(self, parts: Parts) -> None:
        for role in VERBS:
            found = parts.samples(role)
            assert {labels["role"] for labels, _ in found["vigil_process_resident_memory_bytes"]} == {role}
            assert parts.value(role, "vigil_process_resident_memory_bytes") > 20e6
            (start,) = [value for _, value in found["vigil_process_start_time_seconds"]]
            assert 0 < time.time() - start < 3600
        assert "vigil_workers_alive" not in parts.samples("worker")
        assert "vigil_studies_total" not in parts.samples("listener")

    def test_figures_hold_nothing_of_a_patient(self, parts: Parts) -> None:
        for role in VERBS:
            for secret in (*NAME.split("^"), IDENTIFIER, BORN, "SCANNER"):
                assert secret not in parts.scrape(role)


class TestLogs:
    def test_one_study_can_be_followed_from_association_to_delivery(self, parts: Parts, tmp_path: Path) -> None:
        study = send(parts, tmp_path / "followed")
        parts.until(lambda: f'"{study}"' in parts.log("worker") and "study_finished" in parts.log("worker"), "the log")
        lines = [json.loads(line) for role in VERBS for line in parts.log(role).splitlines()]
        of_study = [line for line in lines if line.get("study") == study]
        events = {line["event"] for line in of_study}
        assert {"study_arriving", "images_received", "study_begun", "study_routed", "document_sent"} <= events
        assert "study_finished" in events
        stages = {line["stage"] for line in of_study if line["event"] == "stage_ended"}
        assert {"assemble", "route", "infer", "report", "deliver"} <= stages
        assert {line["role"] for line in of_study} == {"listener", "worker"}
        (association,) = {line["association"] for line in of_study if line["event"] == "images_received"}
        (ended,) = [
            line for line in lines if line["event"] == "association_ended" and line["association"] == association
        ]
        assert ended["images"] == 5

    def test_no_line_holds_anything_of_a_patient(self, parts: Parts) -> None:
        uids = [path.read_bytes() for path in (parts.service.folder / "first").iterdir()]
        assert len(uids) == 5
        for role in VERBS:
            text = parts.log(role)
            for secret in (*NAME.split("^"), IDENTIFIER, BORN):
                assert secret not in text
            for line in text.splitlines():
                assert json.loads(line)["event"], "every line is an event"


@dataclass
class Prometheus:
    """The real one, on loopback."""

    port: int

    def ask(self, path: str, **query: str) -> Any:
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            found = json.load(answer)
        assert found["status"] == "success"
        return found["data"]

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def up(self) -> set[str]:
        return {each["metric"]["job"] for each in self.ask("query", query="up == 1")["result"]}

    def alerts(self) -> set[tuple[str, str]]:
        return {(each["labels"]["alertname"], each["state"]) for each in self.ask("alerts")["alerts"]}


def rewritten(parts: Parts, folder: Path) -> Path:
    """Our prometheus.yml with the same jobs, rules and paths, but for where they are; and faster."""
    content = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    assert content["rule_files"] == ["/etc/prometheus/rules/*.yml"]
    content["rule_files"] = [str(ROOT / "deploy" / "prometheus" / "rules" / "*.yml")]
    content["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    jobs = [job for job in content["scrape_configs"] if job["job_name"].startswith("vigil-")]
    assert {job["job_name"].removeprefix("vigil-") for job in jobs} == set(VERBS)
    content["scrape_configs"] = [
        {"job_name": job["job_name"], "static_configs": [{"targets": [f"127.0.0.1:{parts.ports[role]}"]}]}
        for job in jobs
        for role in [job["job_name"].removeprefix("vigil-")]
    ]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def prometheus(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    assert shutil.which("prometheus"), "prometheus is missing: apt-get install prometheus (see .ci/packages)"
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={rewritten(parts, folder)}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    found = Prometheus(port)
    try:
        parts.until(found.ready, f"Prometheus; {(folder / 'log').read_text()[-2000:]}")
        parts.until(lambda: found.up() == {f"vigil-{role}" for role in VERBS}, "all targets")
        yield found
    finally:
        process.terminate()
        process.wait(60)


class TestPrometheus:
    def test_loads_every_rule(self, prometheus: Prometheus) -> None:
        loaded = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        expected = {rule["alert"] for rule in rules(ROOT / "deploy" / "prometheus" / "rules")}
        assert {rule["name"] for rule in loaded if rule["type"] == "alerting"} == expected
        assert [rule["name"] for rule in loaded if rule["type"] == "recording"] == ["vigil:working_hours"]

    def test_every_rule_is_evaluated_and_none_is_alarmed_by_a_healthy_service(
        self, prometheus: Prometheus, parts: Parts, tmp_path: Path
    ) -> None:
        send(parts, tmp_path / "while_it_looks")

        def evaluated() -> bool:
            loaded = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
            return all(rule["health"] == "ok" for rule in loaded)

        parts.until(evaluated, "every rule evaluated without an error")
        # Two scrapes after the study, increases are seen and gauges are fresh.
        parts.until(lambda: prometheus.alerts() <= THE_MACHINE, "no alert, not even one that is pending")
        time.sleep(5)
        assert prometheus.alerts() <= THE_MACHINE

    def test_every_panel_can_be_asked(self, prometheus: Prometheus, parts: Parts) -> None:
        for role in VERBS:
            # A rate needs two looks at each process.
            looks = f'count_over_time(up{{job="vigil-{role}"}}[5m]) > 3'
            parts.until(lambda asked=looks: bool(prometheus.ask("query", query=asked)["result"]), looks)
        silent = []
        for each in DASHBOARDS:
            for expression in expressions(read(ROOT, each)):
                asked = expression
                for name, value in VARIABLES.items():
                    asked = asked.replace(name, value)
                if not prometheus.ask("query", query=asked)["result"] and not names(expression) & ELSEWHERE:
                    silent.append(expression)
        # What shows only what is above 0 shows nothing of a healthy service.
        assert [expression for expression in silent if not expression.endswith("> 0")] == []

    def test_a_worker_that_dies_is_noticed(self, prometheus: Prometheus, parts: Parts) -> None:
        """Last: the worker does not come back."""
        parts.processes["worker"].kill()
        parts.until(lambda: ("VigilProcessDown", "pending") in prometheus.alerts(), "the alert of the process")
        parts.until(lambda: ("VigilNoWorker", "pending") in prometheus.alerts(), "the alert of the heartbeat")
