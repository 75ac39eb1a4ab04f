"""Figures of an installation as a whole. The web side alone takes them, so that none is there twice.

Labels hold names from settings and code only.
"""

from prometheus_client import Gauge

LOOKED_AT = Gauge(
    "vigil_figures_looked_at_timestamp_seconds",
    "Unix time at which the web side last looked at disks, results and workers; the gauges below are as old",
    multiprocess_mode="livemostrecent",
)
PART_OK = Gauge(
    "vigil_part_ok",
    "1 where a part of the service works, as /health says it",
    ("part",),
    multiprocess_mode="livemostrecent",
)
WORKERS_ALIVE = Gauge("vigil_workers_alive", "Workers whose heart beats", multiprocess_mode="livemostrecent")
DISK_FREE = Gauge(
    "vigil_disk_free_bytes",
    "Room on the disk that holds a folder of ours",
    ("folder",),
    multiprocess_mode="livemostrecent",
)
DISK_SIZE = Gauge(
    "vigil_disk_size_bytes",
    "Size of the disk that holds a folder of ours",
    ("folder",),
    multiprocess_mode="livemostrecent",
)
SPOOL_MIN_FREE = Gauge(
    "vigil_spool_min_free_bytes",
    "Room below which images are refused (spool.min_free_mb)",
    multiprocess_mode="livemostrecent",
)
UNFINISHED = Gauge(
    "vigil_studies_unfinished", "Study revisions that were begun and have not ended", multiprocess_mode="livemostrecent"
)
UNFINISHED_OLDEST_SECONDS = Gauge(
    "vigil_studies_unfinished_oldest_seconds",
    "Time since the last image of the oldest study revision without all its reports; 0 without one",
    multiprocess_mode="livemostrecent",
)
DOCUMENTS_WAITING = Gauge(
    "vigil_documents_waiting",
    "Documents on their way to a destination",
    ("destination",),
    multiprocess_mode="livemostrecent",
)
DOCUMENTS_WAITING_OLDEST_SECONDS = Gauge(
    "vigil_documents_waiting_oldest_seconds",
    "Time since the last image of the oldest study of which a document is on its way; 0 without one",
    ("destination",),
    multiprocess_mode="livemostrecent",
)
COMMITMENTS_OUTSTANDING = Gauge(
    "vigil_commitments_outstanding",
    "Documents that a destination has stored and not yet committed to",
    ("destination",),
    multiprocess_mode="livemostrecent",
)
DEAD_LETTERS = Gauge(
    "vigil_dead_letters",
    "Documents that a destination refused, or that were given up: `python -m app deliveries` says why",
    ("destination",),
    multiprocess_mode="livemostrecent",
)
DOCUMENTS_NEVER_MADE = Gauge(
    "vigil_documents_never_made",
    "Documents that could not be made, of studies that no newer revision stands for",
    multiprocess_mode="livemostrecent",
)
URGENT_WAITING_OLDEST_SECONDS = Gauge(
    "vigil_urgent_waiting_oldest_seconds",
    "Time since the last image of the oldest report flagged for early reading that no destination has; 0 without one",
    multiprocess_mode="livemostrecent",
)
OUTCOMES_DAMAGED = Gauge(
    "vigil_outcomes_damaged", "Studies whose outcome.json cannot be read", multiprocess_mode="livemostrecent"
)
