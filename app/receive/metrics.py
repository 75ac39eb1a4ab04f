"""What the listener counts. No patient data, and no AE title: a sender chooses its own.

Prometheus' multiprocess mode carries the numbers of several processes of the listener, and those of `serve`, to the one
that is asked (`PROMETHEUS_MULTIPROC_DIR`, set by the parent).
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

REJECTIONS: Final = (
    "calling_ae",
    "called_ae",
    "peer_address",
    "peer_certificate",
    "too_many",
    "connections",
    "silent",
    "protocol",
    "other",
    "tls_plain",
    "tls_version",
    "tls_cipher",
    "tls_no_certificate",
    "tls_expired",
    "tls_not_yet_valid",
    "tls_unknown_signer",
    "tls_certificate",
    "tls_doubts_us",
    "tls_timeout",
    "tls_too_many",
    "tls_broken",
)
"""Why an association is refused, or broken off by us; what each hints at: `app/receive/refusals.py`."""
REFUSALS: Final = (
    "disk_full",
    "disk_error",
    "sop_class",
    "sop_class_uid",
    "sop_instance_uid",
    "no_data_set",
    "data_set",
    "not_authorized",
)
"""Why an image is refused."""

REQUESTS: Final = Counter("vigil_receive_requests_total", "C-STORE requests that came, whatever became of them")
IMAGES: Final = Counter("vigil_receive_images_total", "Images stored durably, repeated ones included")
BYTES: Final = Counter("vigil_receive_bytes_total", "Bytes of data sets stored durably, repeated ones included")
REPEATED: Final = Counter("vigil_receive_repeated_total", "Images that were in the spool before, byte for byte")
REFUSED: Final = Counter("vigil_receive_refused_total", "Images refused: the sender still has them", ["reason"])
STORE_SECONDS: Final = Histogram(
    "vigil_receive_store_seconds",
    "From the last byte of an image to its durability",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
ACCEPTED: Final = Counter("vigil_associations_accepted_total", "Associations accepted, health checks included")
REJECTED: Final = Counter(
    "vigil_associations_refused_total", "Associations refused, or broken off for a breach of protocol", ["reason"]
)
BROKEN_OFF: Final = Counter(
    "vigil_associations_broken_off_total", "Associations that brought images and ended without a release"
)
OPEN: Final = Gauge("vigil_associations_open", "Associations open now", multiprocess_mode="livesum")

# A series that is first seen at 1 has no increase: what may come is there from the start.
for _reason in REJECTIONS:
    REJECTED.labels(_reason)
for _reason in REFUSALS:
    REFUSED.labels(_reason)
