"""Who was not let in: counted by a reason of ours, and logged."""

from typing import Final

import structlog

from app.audit.trail import Trail
from app.receive import metrics

_log = structlog.get_logger()

HINTS: Final = {
    "calling_ae": "listener.peers has no such ae_title",
    "peer_address": "listener.peers names other addresses for this ae_title",
    "peer_certificate": "listener.peers names another certificate for this ae_title",
    "called_ae": "the sender calls us by another name than listener.ae_title",
    "too_many": "listener.max_associations are open",
    "tls_plain": "the sender speaks plain DICOM, and this port TLS alone: switch TLS on at the sender",
    "tls_version": "the sender speaks no TLS 1.2 or later",
    "tls_cipher": "the sender knows none of our ciphers: docs/conformance.md lists them",
    "tls_no_certificate": "the sender showed no certificate: give it one that tls.ca_file signed",
    "tls_expired": "the certificate of the sender has expired",
    "tls_not_yet_valid": "the certificate of the sender is not valid yet; do both clocks agree?",
    "tls_unknown_signer": "the certificate of the sender is signed by nobody in tls.ca_file",
    "tls_certificate": "the certificate of the sender does not fit; is it one for clients?",
    "tls_doubts_us": "the sender does not trust our certificate: give it the authority that signed it",
    "tls_timeout": "the sender did not shake hands in time",
    "tls_too_many": "too many senders shake hands at once",
    "tls_broken": "TLS was broken off",
}
_NO_ALERT: Final = frozenset({"too_many", "other"})


def refused(reason: str, address: str | None, calling_ae: str = "", *, trail: Trail) -> None:
    """Tell of a connection or an association that was refused.

    Args:
        reason: One of `HINTS`, or "other".
        address: From where it came.
        calling_ae: As the caller named itself, where it came so far.
        trail: Of audit messages; a full house is no matter of security, and not told there.
    """
    metrics.REJECTED.labels(reason).inc()
    told = {"calling_ae": calling_ae} if calling_ae else {}
    _log.warning("association_rejected", reason=reason, hint=HINTS.get(reason, ""), peer=address, **told)
    if reason not in _NO_ALERT:
        trail.refused(reason, calling_ae, address or "")
