"""Figures that each process of the service has: which build it is, when it began, what it holds."""

from prometheus_client import Gauge

BUILD_INFO = Gauge(
    "vigil_build_info", "1, with version and commit of this service", ("version", "commit"), multiprocess_mode="livemax"
)
START_TIME = Gauge(
    "vigil_process_start_time_seconds", "Unix time at which the process began", ("role",), multiprocess_mode="livemax"
)
MEMORY = Gauge(
    "vigil_process_resident_memory_bytes", "Memory that the process holds", ("role",), multiprocess_mode="livesum"
)
