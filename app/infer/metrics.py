"""Figures of networks and accelerators. Imports no torch, so that anybody can name them."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from app.infer.catalogue import Bundle

PARTS: Final = ("read", "forward", "post")

MODEL_SECONDS: Final = Histogram(
    "vigil_model_seconds",
    "One run of a bundle: reading and preparing images, the network, and what makes findings of its output",
    ("bundle", "part"),
    buckets=(0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 100, 300),
)
MODEL_READY: Final = Gauge(
    "vigil_model_ready",
    "1 where the network of a bundle is built and warm, 0 where it is not",
    ("bundle",),
    multiprocess_mode="livemin",
)
MODEL_WARM_SECONDS: Final = Gauge(
    "vigil_model_warm_seconds", "Time it took to build and warm the network", ("bundle",), multiprocess_mode="livemax"
)
BUNDLE_INFO: Final = Gauge(
    "vigil_bundle_info",
    "1 for each bundle that is served, with its version, the first twelve digits of the SHA-256 of its weights, and "
    "whether it is cleared, for research, or trained on phantoms alone",
    ("bundle", "version", "weights", "status"),
    multiprocess_mode="livemax",
)
BUNDLES_REFUSED: Final = Gauge(
    "vigil_bundles_refused", "Bundles that lie there and cannot be served", multiprocess_mode="livemax"
)
GPU_MEMORY_USED: Final = Gauge(
    "vigil_gpu_memory_used_bytes",
    "Memory of the accelerator in use, by whomever",
    ("gpu",),
    multiprocess_mode="livemax",
)
GPU_MEMORY: Final = Gauge(
    "vigil_gpu_memory_size_bytes", "Memory of the accelerator", ("gpu",), multiprocess_mode="livemax"
)
GPU_UTILIZATION: Final = Gauge(
    "vigil_gpu_utilization_ratio",
    "Part of the last second in which the accelerator was busy, 0 to 1; absent where its driver does not tell",
    ("gpu",),
    multiprocess_mode="livemax",
)
OUT_OF_MEMORY: Final = Counter("vigil_gpu_out_of_memory_total", "Analyses that ran out of accelerator memory")


def announce(bundles: Iterable[Bundle], refused: int) -> None:
    """Show what is served, and at zero what has not happened yet.

    Args:
        bundles: Those that are served.
        refused: How many cannot be.
    """
    BUNDLES_REFUSED.set(refused)
    for bundle in bundles:
        algorithm = bundle.algorithm
        status = "phantom" if algorithm.trained_on_phantoms else algorithm.status
        BUNDLE_INFO.labels(bundle.name, algorithm.version, algorithm.weights_sha256[:12], status).set(1)
        MODEL_READY.labels(bundle.name).set(0)
        for part in PARTS:
            MODEL_SECONDS.labels(bundle.name, part)
