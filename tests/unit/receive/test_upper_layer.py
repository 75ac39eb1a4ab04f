"""What app/receive/upper_layer.py and association.py assume about pynetdicom's insides."""

import hashlib
import inspect

import pynetdicom
import pytest
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.transport import RequestHandler

from app.errors import Failed
from app.receive.upper_layer import check_version


@pytest.mark.parametrize(
    ("function", "digest"),
    [
        (DULServiceProvider.run_reactor, "e3a10eb3a093"),
        (DULServiceProvider._is_transport_event, "8725ed03bb8f"),
        (DULServiceProvider._read_pdu_data, "19f2d4e38c13"),
        (Association._run_reactor, "f28838c5559e"),
        (Association.run_reactor, "ed8bbbe3b3d6"),
        (RequestHandler._create_association, "05c8d12b7986"),
    ],
)
def test_what_is_replaced_has_not_changed(function: object, digest: str) -> None:
    """A mismatch means: read the new version beside ours, then write the new digest here."""
    source = inspect.getsource(function)  # type: ignore[arg-type]
    assert hashlib.sha256(source.encode()).hexdigest()[:12] == digest


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_version()
    monkeypatch.setattr(pynetdicom, "__version__", "3.1.0")
    with pytest.raises(Failed, match=r"found 3\.1\.0"):
        check_version()
