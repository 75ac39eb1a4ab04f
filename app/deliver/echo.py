"""Is a destination there, and does it know us?"""

from pynetdicom import build_context
from pynetdicom.sop_class import Verification

from app.deliver.association import associate, close
from app.deliver.dimse import peer_of
from app.destinations import DicomDestination
from app.documents import DocumentKind
from app.errors import AppError, Rejected, Retryable

SUCCESS = 0x0000


def reachable(destination: DicomDestination) -> str | None:
    """Try C-ECHO.

    Returns:
        None where the destination answers and can carry what it is to get; else why not, and what to do.
    """
    try:
        echo(destination)
    except AppError as error:
        return str(error)
    return None


def echo(destination: DicomDestination) -> None:
    """Try C-ECHO.

    Raises:
        Retryable: The destination does not answer now, and may do so later.
        Rejected: It does not know us, or cannot carry what it is to get; the message says what to do.
    """
    name = destination.name
    if DocumentKind.JSON in destination.documents:
        raise Rejected(f"{name}: JSON cannot be sent by DIMSE; take `json` out of its documents")
    try:
        association = associate(peer_of(destination), [build_context(Verification)])
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
