"""Documents to a web service of any kind: the body of a POST, signed so that the receiver can tell who sent it.

The signature is Stripe's scheme: HMAC-SHA256 (RFC 2104) over time and body, so that neither can be changed, and an old
request cannot be sent again. docs/destinations.md shows how to verify it.
"""

import hashlib
import hmac
import time
from typing import Final

import structlog

from app.deliver.connection import knock
from app.deliver.payload import content, secret
from app.deliver.web import address, ask, authorisation, failure
from app.destinations import WebhookDestination
from app.documents import Document, DocumentKind, Receipt
from app.errors import Rejected
from app.tls.settings import Tls

MEDIA_TYPES: Final = {DocumentKind.JSON: "application/json", DocumentKind.FHIR: "application/fhir+json"}

log = structlog.get_logger()


def deliver(document: Document, destination: WebhookDestination) -> Receipt:
    """Post one document; see `app.deliver.ways.deliver`. Delivered is what is answered by 2xx."""
    media_type = MEDIA_TYPES.get(document.kind)
    if media_type is None:
        raise Rejected(f"{document.path.name}: {document.kind.value} is not sent to web services")
    body = content(document)
    headers = {
        "Content-Type": media_type,
        "Vigil-Event": event(document),
        "Idempotency-Key": idempotency_key(document),
        **_signed(destination, body),
    }
    answer = ask(destination, "POST", headers=headers, content=body)
    log.info("document_sent", destination=destination.name, kind=document.kind.value, status=str(answer))
    if not answer.succeeded:
        raise failure(answer, destination)
    return Receipt(destination.name, document.path.name, delivered=True, attempts=1, detail=str(answer))


def echo(destination: WebhookDestination) -> str:
    """Connect and send nothing: a service may take any request for an event. See `app.deliver.ways.echo`."""
    name, url = destination.name, destination.url
    authorisation(destination)
    _signed(destination, b"")
    if url.host is None or url.port is None:
        raise Rejected(f"{name}: the url names no host")
    tls = (destination.tls or Tls()) if url.scheme == "https" else None
    knock(url.host.strip("[]"), url.port, tls, destination.timeout_s, f"{name}: {address(destination)}")
    return f"{address(destination)} takes connections{'' if tls is None else ' over TLS'}; nothing was sent"


def event(document: Document) -> str:
    """What is told: `report`, or `report.urgent` of one that is flagged for early reading."""
    return "report.urgent" if document.urgent else "report"


def idempotency_key(document: Document) -> str:
    """The same for every attempt at a document of a revision, and for no other: folder and name of its file.

    The folder's name is the key of the study's revision, a hash; neither tells of the patient.
    """
    return f"{document.path.parent.name}/{document.path.name}"


def signature(secret_key: str, body: bytes, now: int) -> str:
    """Sign a body: "t=1793000000,v1=<64 hexadecimal digits>"; what is signed is `t`, a full stop, and the body."""
    digest = hmac.new(secret_key.encode(), b"%d." % now + body, hashlib.sha256)
    return f"t={now},v1={digest.hexdigest()}"


def _signed(destination: WebhookDestination, body: bytes) -> dict[str, str]:
    if destination.secret_file is None:
        return {}
    key = secret(destination.secret_file, f"{destination.name}: secret_file")
    return {"Vigil-Signature": signature(key, body, int(time.time()))}
