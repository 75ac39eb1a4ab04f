"""Is a destination there, and does it know us?"""

from pynetdicom import build_context
from pynetdicom.sop_class import Verification

from app.deliver.association import associate, close
from app.deliver.dimse import peer_of
from app.documents import DocumentKind
from app.errors import AppError
from app.settings import Destination

SUCCESS = 0x0000


def reachable(destination: Destination) -> str | None:
    """Try C-ECHO.

    Returns:
        None where the destination answers and can carry what it is to get; else why not, and what to do.
    """
    if DocumentKind.JSON in destination.documents:
        return f"{destination.name}: JSON cannot be sent by DIMSE; take `json` out of its documents"
    try:
        association = associate(peer_of(destination), [build_context(Verification)])
    except AppError as error:
        return f"{destination.name}: {error}"
    try:
        status = association.send_c_echo().get("Status")
    except RuntimeError:
        return f"{destination.name}: the association was lost during C-ECHO"
    finally:
        close(association)
    return None if status == SUCCESS else f"{destination.name}: C-ECHO was not answered with success"
