"""Is a destination there, and does it know us?"""

from pynetdicom import build_context
from pynetdicom.sop_class import Verification

from app.deliver.association import associate, close
from app.deliver.dimse import peer_of
from app.destinations import DicomDestination
from app.errors import Rejected, Retryable

SUCCESS = 0x0000


def echo(destination: DicomDestination) -> str:
    """Try C-ECHO; see `app.deliver.ways.echo`."""
    name, peer = destination.name, peer_of(destination)
    try:
        association = associate(peer, [build_context(Verification)])
    except Retryable as error:
        raise Retryable(f"{name}: {error}") from error
    except Rejected as error:
        raise Rejected(f"{name}: {error}") from error
    try:
        status = association.send_c_echo().get("Status")
    except RuntimeError as error:
        raise Retryable(f"{name}: the association was lost during C-ECHO") from error
    finally:
        close(association)
    if status != SUCCESS:
        raise Retryable(f"{name}: C-ECHO was not answered with success")
    return f"{peer} answers C-ECHO{'' if destination.tls is None else ', over TLS'}"
