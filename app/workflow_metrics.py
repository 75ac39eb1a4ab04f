"""Figures of the workflow for Prometheus. Labels hold names from settings and code only."""

from prometheus_client import Counter, Gauge, Histogram

STUDIES = Counter("vigil_studies_total", "Study revisions by the state they ended in", ("state",))
STAGE_SECONDS = Histogram(
    "vigil_stage_seconds",
    "Seconds that one stage took for one study, series or document",
    ("stage",),
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
)
TURNAROUND_SECONDS = Histogram(
    "vigil_turnaround_seconds",
    "Seconds from the last image of a study to its last receipt",
    buckets=(0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 1000, 3600),
)
DELIVERIES = Counter("vigil_deliveries_total", "Attempts to deliver a document", ("destination", "outcome"))
LEFT_ALONE = Gauge(
    "vigil_destination_left_alone",
    "1 where a destination failed several times in a row and is left alone for a while",
    ("destination",),
    multiprocess_mode="livemax",
)
URGENT_NOTICE_SECONDS = Histogram(
    "vigil_urgent_notice_seconds",
    "Seconds from the last image of a study to the first delivered document of a report flagged for early reading",
    buckets=(0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 1000, 3600),
)
REPORTS = Counter("vigil_reports_total", "Reports by bundle and outcome", ("bundle", "outcome"))
EARLY_READING = Counter("vigil_early_reading_total", "Reports flagged for early reading, by bundle", ("bundle",))
QUEUE_DEPTH = Gauge(
    "vigil_queue_depth", "Waiting in the workflow database", ("queue",), multiprocess_mode="livemostrecent"
)
ARRIVING = Gauge("vigil_studies_arriving", "Studies whose images are still coming", multiprocess_mode="livemostrecent")
