"""Callers over TLS, and what the listener counts of them."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY
from pynetdicom import AE, build_context
from pynetdicom.sop_class import Verification


def rejected(reason: str) -> float:
    names = ("vigil_associations_refused_total", "vigil_receive_refused_total")
    return sum(REGISTRY.get_sample_value(name, {"reason": reason}) or 0 for name in names)


@contextmanager
def counted(reason: str, patience_s: float = 20) -> Iterator[None]:
    """One more is counted as refused for that reason when the block ends, or a moment later."""
    before = rejected(reason)
    yield
    deadline = time.monotonic() + patience_s
    while rejected(reason) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert rejected(reason) == before + 1


def c_echo(port: int, context: ssl.SSLContext, calling_ae: str = "CT1") -> bool:
    """Whether an association over TLS is accepted and C-ECHO answered."""
    entity = AE(calling_ae)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    association = entity.associate(
        "127.0.0.1", port, [build_context(Verification)], ae_title="VIGIL", tls_args=(context, "vigil")
    )
    try:
        return bool(association.is_established and association.send_c_echo().get("Status") == 0)
    finally:
        association.release() if association.is_established else association.abort()
