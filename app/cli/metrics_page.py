"""Every figure of the service with its labels and meaning, read from the code; `python -m app.cli.metrics_page` prints
docs/metrics.md.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

PARTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Listener": ("app.receive.metrics",),
        "Worker": ("app.workflow_metrics", "app.infer.metrics"),
        "Web side: the installation as a whole": ("app.web.metrics",),
        "Listener and web side with TLS": ("app.tls.renewal",),
        "Who did what: every process, with `audit`": ("app.audit.trail",),
        "Every process": ("app.process_metrics",),
    }
)
LABELS: Final = MappingProxyType(
    {
        "bundle": "folder name of a bundle that is served",
        "commit": "first digits of the commit, `unknown` where neither image nor git tells",
        "destination": "name of a destination in the settings",
        "event": "kind of audit message (DICOM PS3.15 A.5.3)",
        "folder": "`spool`, `results`",
        "gpu": "number of the accelerator in its process",
        "outcome": "of a report: `succeeded`, `partially succeeded`, `failed`, `not attempted`; of a delivery: "
        "`delivered`, `undelivered` (a dead letter), `superseded`, `stored` (its commitment is awaited), `retried`, "
        "`held_back`",
        "part": "of the service: `listener`, `worker`, `database`, `spool`, `results`, `destinations`; of a run of a "
        "bundle: `read`, `forward`, `post`",
        "queue": "`inference`, `redelivery`",
        "reason": "one of the closed sets in `app/receive/metrics.py` and `app/errors.py`",
        "role": "`listener`, `worker`, `web`",
        "sink": "where audit messages go: `file`, `syslog`",
        "stage": "`assemble`, `look`, `route`, `infer`, `report`, `deliver`",
        "state": "`delivered`, `undelivered`, `superseded`, `unwanted`, `failed`",
        "status": "`cleared`, `research`, or `phantom`: trained on computer-generated images alone",
        "use": "the port whose certificate it is: `listener`, `web`",
        "version": "of the service, or of a bundle",
        "weights": "first twelve digits of the SHA-256 of a bundle's weights",
    }
)
HEAD: Final = """\
# Metrics

Made from the code by `python -m app.cli.metrics_page > docs/metrics.md`; a test compares.

Each of listener, worker and web side shows its own figures on `metrics.port` (9464 in the containers); `serve` shows
those of all on `/metrics` of the web side. Units are seconds and bytes. No label holds what a sender can choose, and
none is of a patient. Histograms come with `_bucket`, `_sum` and `_count`. What may happen is there at 0 from the start.
Alerts on them: [runbook/alerts.md](runbook/alerts.md). Beside these there are Python's own (`process_*`, `python_*`),
where a process shows its figures alone.
"""
KINDS: Final = ((Counter, "counter"), (Gauge, "gauge"), (Histogram, "histogram"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric: its name as it is shown, "counter", "gauge" or "histogram", its labels, and what it means."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def figures(module: str) -> Iterator[Figure]:
    """The metrics that a module defines, in its order."""
    for value in vars(import_module(module)).values():
        if isinstance(value, MetricWrapperBase):
            (family,) = value.describe()
            kind = next(name for each, name in KINDS if isinstance(value, each))
            name = f"{family.name}_total" if kind == "counter" else family.name
            yield Figure(name, kind, tuple(value._labelnames), family.documentation)  # noqa: SLF001  told nowhere else


def every_figure() -> tuple[Figure, ...]:
    """The metrics of the whole service."""
    return tuple(each for modules in PARTS.values() for module in modules for each in figures(module))


def page() -> str:
    """docs/metrics.md, as it is to be."""
    lines = [HEAD]
    for title, modules in PARTS.items():
        lines += [f"## {title}", "", "| Name | Type | Labels | Meaning |", "|---|---|---|---|"]
        for each in (each for module in modules for each in figures(module)):
            labels = ", ".join(f"`{label}`" for label in each.labels)
            lines.append(f"| `{each.name}` | {each.kind} | {labels} | {each.meaning} |")
        lines.append("")
    lines += ["## Labels", "", "| Label | Values |", "|---|---|"]
    used = sorted({label for each in every_figure() for label in each.labels})
    lines += [f"| `{label}` | {LABELS[label]} |" for label in used]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
