"""Figures of the workflow for Prometheus. Labels hold names from settings and code only."""

import time
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

from app.errors import FAILURES as REASONS
from app.findings import Outcome
from app.outcomes import FINAL

STAGES = ("assemble", "look", "route", "infer", "report", "deliver")
DELIVERY_OUTCOMES = ("delivered", "undelivered", "superseded", "stored", "retried", "held_back")
TURNAROUND_BUCKETS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)

STUDIES = Counter("vigil_studies_total", "Study revisions by the state they ended in", ("state",))
STAGE_SECONDS = Histogram(
    "vigil_stage_seconds",
    "Duration of one stage for one study, series or document",
    ("stage",),
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
)
FAILURES = Counter("vigil_failures_total", "Stages that failed for a study, series or document", ("stage", "reason"))
TURNAROUND_SECONDS = Histogram(
    "vigil_turnaround_seconds", "From the last image of a study to its last receipt", buckets=TURNAROUND_BUCKETS
)
DELIVERIES = Counter(
    "vigil_deliveries_total", "Attempts to deliver a document, by what came of them", ("destination", "outcome")
)
LEFT_ALONE = Gauge(
    "vigil_destination_left_alone",
    "1 where a destination failed several times in a row and is left alone for a while",
    ("destination",),
    multiprocess_mode="livemax",
)
URGENT_NOTICE_SECONDS = Histogram(
    "vigil_urgent_notice_seconds",
    "From the last image of a study to the first delivered document of a report flagged for early reading",
    buckets=TURNAROUND_BUCKETS,
)
REPORTS = Counter("vigil_reports_total", "Reports by bundle and outcome of the analysis", ("bundle", "outcome"))
EARLY_READING = Counter("vigil_early_reading_total", "Reports flagged for early reading", ("bundle",))
QUEUE_DEPTH = Gauge(
    "vigil_queue_depth",
    "Waiting, or being worked on, in a queue of the workflow database",
    ("queue",),
    multiprocess_mode="livemostrecent",
)
QUEUE_OLDEST_SECONDS = Gauge(
    "vigil_queue_oldest_seconds",
    "Age of the oldest in a queue of the workflow database; 0 where it is empty",
    ("queue",),
    multiprocess_mode="livemostrecent",
)
ARRIVING = Gauge(
    "vigil_studies_arriving",
    "Studies in the spool that no worker has begun: images are still coming, or it has no time",
    multiprocess_mode="livemostrecent",
)
ARRIVING_QUIET_SECONDS = Gauge(
    "vigil_studies_arriving_quiet_seconds",
    "Time since the last image of the study in the spool that waits longest for a worker to begin it; 0 without one",
    multiprocess_mode="livemostrecent",
)

for _state in FINAL:
    STUDIES.labels(_state)
for _stage in STAGES:
    STAGE_SECONDS.labels(_stage)
    for _reason in REASONS:
        FAILURES.labels(_stage, _reason)


def announce(destinations: Iterable[str], bundles: Iterable[str]) -> None:
    """Show at zero what has not happened yet: a series that is first seen at 1 has no increase."""
    for destination in destinations:
        LEFT_ALONE.labels(destination).set(0)
        for outcome in DELIVERY_OUTCOMES:
            DELIVERIES.labels(destination, outcome)
    for bundle in bundles:
        EARLY_READING.labels(bundle)
        for each in Outcome:
            REPORTS.labels(bundle, each)


def show_queue(queue: str, began_ms: Iterable[int | None]) -> None:
    """Show depth and age of a queue.

    Args:
        queue: Its name.
        began_ms: When each of those in it was put there, milliseconds of Unix time.
    """
    times = [time.time() if each is None else each / 1000 for each in began_ms]
    QUEUE_DEPTH.labels(queue).set(len(times))
    QUEUE_OLDEST_SECONDS.labels(queue).set(max(time.time() - min(times), 0) if times else 0)
