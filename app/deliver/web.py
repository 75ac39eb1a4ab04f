"""HTTP as a sender needs it: bounded in time and size, no redirects, no proxies, every answer judged."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from app.deliver.payload import secret
from app.destinations import DicomWebDestination, FhirDestination, WebhookDestination
from app.errors import AppError, Rejected, Retryable
from app.tls.client import about_ours, client_context, refusal

Web = DicomWebDestination | FhirDestination | WebhookDestination

LARGEST_ANSWER = 16 << 20
LONGEST_WAIT_S = 3600.0
"""What a peer may ask for by Retry-After; more is taken as this."""
AGAIN = frozenset({408, 425, 429})
ADVICE = {
    401: "; is the token in token_file right?",
    403: "; may the holder of the token do this?",
    404: "; is the url right?",
    405: "; is the url right?",
    413: "; it takes no document of this size",
    415: "; it takes no such content",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer answered.

    Attributes:
        status: Of HTTP.
        content_type: Without parameters, in lower case.
        retry_after_s: Not before so many seconds, 0 where nothing was said.
        body: All of it.
    """

    status: int
    content_type: str
    retry_after_s: float
    body: bytes

    @property
    def succeeded(self) -> bool:
        """Whether HTTP calls it a success, whatever the body says."""
        return 200 <= self.status < 300

    def __str__(self) -> str:
        """Give the status in words of the standard: "409 Conflict". A peer's own words may quote a header."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return f"status {self.status}"


def ask(
    destination: Web, method: str, path: str = "", *, headers: Mapping[str, str] | None = None, content: bytes = b""
) -> Answer:
    """Make one request over a connection of its own.

    Args:
        destination: Whom; its token is read and sent.
        method: GET or POST.
        path: Added to the url of the destination: "/studies".
        headers: Beside authorisation.
        content: The body.

    Raises:
        Retryable: No answer, or none in time.
        Rejected: Certificates do not fit, or a file that the settings name is missing; or the answer has no end.
    """
    url = str(destination.url) if not path else f"{str(destination.url).rstrip('/')}{path}"
    asked = {"Accept-Encoding": "identity", "User-Agent": "Vigil", **(headers or {}), **authorisation(destination)}
    context = client_context(destination.tls, destination.name) if destination.url.scheme == "https" else False
    try:
        with (
            httpx.Client(verify=context, timeout=destination.timeout_s, trust_env=False) as client,
            client.stream(method, url, headers=asked, content=content or None) as response,
        ):
            return _answer(response, destination)
    except httpx.HTTPError as error:
        raise _why(error, destination) from error


def authorisation(destination: Web) -> dict[str, str]:
    """Read the token of a destination. One word is a bearer token (RFC 6750); "Basic …" is sent as it stands.

    Raises:
        Rejected: The file is missing, or holds no token.
    """
    if destination.token_file is None:
        return {}
    token = secret(destination.token_file, f"{destination.name}: token_file")
    return {"Authorization": token if " " in token else f"Bearer {token}"}


def failure(answer: Answer, destination: Web, told: str = "") -> AppError:
    """What an answer that is no success means: 408, 425, 429 and 5xx pass, everything else stays.

    Args:
        answer: With its status.
        destination: Who gave it.
        told: What its body says, in words of ours.
    """
    words = f"{destination.name}: {answer}{f': {told}' if told else ''}"
    if answer.status in AGAIN or answer.status >= 500:
        return Retryable(words, after_s=answer.retry_after_s)
    if 300 <= answer.status < 400:
        return Rejected(f"{words}; it has moved: enter the address where it is now")
    return Rejected(f"{words}{ADVICE.get(answer.status, '') if not told else ''}")


def address(destination: Web) -> str:
    """Where a destination is, without path, query and fragment: those may hold secrets."""
    return f"{destination.url.scheme}://{destination.url.host}:{destination.url.port}"


def _answer(response: httpx.Response, destination: Web) -> Answer:
    deadline = time.monotonic() + destination.timeout_s
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > LARGEST_ANSWER:
            raise Rejected(f"{destination.name}: its answer is longer than {LARGEST_ANSWER >> 20} MiB")
        if time.monotonic() > deadline:
            raise Retryable(f"{destination.name}: its answer did not end within {destination.timeout_s:g} s")
    return Answer(
        response.status_code,
        response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
        retry_after_s(response.headers.get("Retry-After", ""), datetime.now(UTC)),
        bytes(body),
    )


def retry_after_s(said: str, now: datetime) -> float:
    """Read a Retry-After header (RFC 9110 section 10.2.3), in seconds or as a date; 0 where it says nothing."""
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(said) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT_S) if math.isfinite(seconds) else 0.0


def _why(error: httpx.HTTPError, destination: Web) -> AppError:
    who = f"{destination.name}: {address(destination)}"
    secured = destination.url.scheme == "https"
    if secured and (found := refusal(error, destination.tls, who)):
        return found
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return Retryable(f"{who}: no connection; is it running, and is the url right?")
    if isinstance(error, httpx.TimeoutException):
        return Retryable(f"{who}: no answer within {destination.timeout_s:g} s")
    if isinstance(error, httpx.ProtocolError):
        return Retryable(f"{who}: its answer broke off, or is no HTTP; is the url right?")
    return Retryable(f"{who}: the connection was lost{f'; {about_ours(destination.tls)}?' if secured else ''}")
