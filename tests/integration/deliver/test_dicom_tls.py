"""C-STORE over TLS: who is believed, and what is said of the others."""

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Comprehensive3DSRStorage, Verification

from app.deliver import deliver, echo
from app.documents import Document
from app.errors import AppError, Rejected, Retryable
from tests.integration.deliver.certificates import Certificates
from tests.integration.deliver.conftest import MakeDestination

ENDED = {
    "unknown signer": "its certificate is signed by nobody whom we trust; see tls.ca_file",
    "expired": "its certificate has expired",
    "other name": "its certificate is for another name; call it by that name",
    "no certificate of ours": "asks? for a certificate of ours",
    "doubted": "trust our certificate",
    "old": "it speaks no TLS 1.2 or later",
}


@contextmanager
def pacs(context: ssl.SSLContext | None) -> Iterator[tuple[int, list[str]]]:
    """A PACS of pynetdicom; gives its port and the UIDs that it took."""
    taken: list[str] = []

    def store(event: Event) -> int:
        taken.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    entity = AE(ae_title="PACS")
    entity.add_supported_context(Comprehensive3DSRStorage)
    entity.add_supported_context(Verification)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    try:
        yield server.server_address[1], taken
    finally:
        server.shutdown()


@pytest.mark.parametrize("own", [False, True])
def test_the_right_peer_gets_the_document(
    own: bool, sr: Document, destination: MakeDestination, certificates: Certificates
) -> None:
    tls = certificates.with_ours() if own else certificates.trusted()
    with pacs(certificates.server(asks_for_ours=own)) as (port, taken):
        peer = destination(port, tls=tls)
        assert echo(peer) == f"PACS at 127.0.0.1:{port} answers C-ECHO, over TLS"
        assert deliver(sr, peer).delivered
    assert taken == [sr.sop_instance_uid]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("wrong", ENDED)
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_peer_that_does_not_fit_gets_nothing(
    wrong: str, newest: ssl.TLSVersion, sr: Document, destination: MakeDestination, certificates: Certificates
) -> None:
    tls = certificates.trusted()
    match wrong:
        case "unknown signer":
            context = certificates.server(signed_by=certificates.stranger)
        case "expired":
            context = certificates.server(days_left=-1)
        case "other name":
            context = certificates.server(name="pacs.example.org")
        case "no certificate of ours":
            context = certificates.server(asks_for_ours=True)
        case "doubted":
            context, tls = certificates.server(asks_for_ours=True), certificates.with_ours(certificates.stranger)
        case _:
            context = certificates.server()
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            newest = ssl.TLSVersion.TLSv1_1
    context.maximum_version = newest
    with pacs(context) as (port, taken), pytest.raises(AppError) as caught:
        deliver(sr, destination(port, tls=tls))
    assert taken == []
    assert re.search(ENDED[wrong], str(caught.value)), caught.value
    # Of our certificate TLS 1.3 speaks after the handshake, when what we send may have been met by a reset already.
    assert caught.type is Rejected or wrong in {"no certificate of ours", "doubted"}


def test_another_name_is_taken_where_the_settings_say_so(
    sr: Document, destination: MakeDestination, certificates: Certificates
) -> None:
    with pacs(certificates.server(name="pacs.example.org")) as (port, taken):
        assert deliver(sr, destination(port, tls=certificates.trusted(check_host_name=False))).delivered
    assert taken == [sr.sop_instance_uid]


def test_a_peer_without_tls_gets_nothing(
    sr: Document, destination: MakeDestination, certificates: Certificates
) -> None:
    with pacs(None) as (port, taken):
        with pytest.raises(AppError, match=r"does not speak TLS on this port|does it speak TLS"):
            deliver(sr, destination(port, tls=certificates.trusted(), timeout_s=2))
        assert taken == []


def test_we_without_tls_are_given_up_by_a_peer_with_it(
    sr: Document, destination: MakeDestination, certificates: Certificates
) -> None:
    with pacs(certificates.server()) as (port, taken):
        with pytest.raises(Retryable, match="association aborted or not answered in time"):
            deliver(sr, destination(port, timeout_s=2))
        assert taken == []


@pytest.mark.timeout(25)
def test_a_peer_that_never_shakes_hands_is_given_up(
    sr: Document, destination: MakeDestination, certificates: Certificates
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(Retryable, match="no answer in time; does it speak TLS on this port"):
            deliver(sr, destination(port, tls=certificates.trusted(), timeout_s=0.5))


def test_nobody_listens(sr: Document, destination: MakeDestination, certificates: Certificates, free_port: int) -> None:
    with pytest.raises(Retryable, match="is the peer running"):
        deliver(sr, destination(free_port, tls=certificates.trusted()))


def test_missing_files_are_named(sr: Document, destination: MakeDestination, certificates: Certificates) -> None:
    gone = certificates.folder / "gone.pem"
    with pytest.raises(Rejected, match=r"tls\.ca_file .*gone\.pem: No such file or directory"):
        deliver(sr, destination(1, tls={"ca_file": gone}))
    with pytest.raises(Rejected, match=r"tls\.certificate_file .*gone\.pem.*No such file or directory"):
        deliver(sr, destination(1, tls=certificates.trusted(certificate_file=gone, key_file=gone)))
    gone.write_text("no PEM")
    with pytest.raises(Rejected, match="no certificates in PEM"):
        deliver(sr, destination(1, tls={"ca_file": gone}))
