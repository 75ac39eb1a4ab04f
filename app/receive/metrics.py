"""What the listener counts. No patient data, and no AE title: a sender chooses its own.

Prometheus' multiprocess mode carries the numbers from the listener's processes to the HTTP side
(`PROMETHEUS_MULTIPROC_DIR`, set by the parent).
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

IMAGES: Final = Counter("vigil_receive_images", "Instances stored durably, repeated ones included")
BYTES: Final = Counter("vigil_receive_bytes", "Bytes of data sets stored durably, repeated ones included")
REPEATED: Final = Counter("vigil_receive_repeated", "Instances that were in the spool before, byte for byte")
REJECTED: Final = Counter("vigil_receive_rejected", "Associations and instances refused", ["reason"])
OPEN: Final = Gauge("vigil_receive_open_associations", "Associations open now", multiprocess_mode="livesum")
STORE_SECONDS: Final = Histogram(
    "vigil_receive_store_seconds",
    "From the last byte of an instance to its durability",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
