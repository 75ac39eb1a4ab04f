"""HL7 v2 messages over MLLP: sent, and delivered once the acknowledgement for it says so.

Framing: HL7 v2 transport specification, MLLP release 1. Acknowledgements: HL7 v2.5.1 chapter 2, sections 2.9 and
2.15.8 (MSA), table 0008; error codes: table 0357 in ERR-3, before version 2.5 in ERR-1 or MSA-6.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import structlog

from app.deliver.connection import broken_off, connect, knock
from app.deliver.payload import content
from app.deliver.statuses import Meaning, Verdict
from app.destinations import Hl7Destination
from app.documents import Document, DocumentKind, Receipt
from app.errors import Rejected, Retryable
from app.tls.client import refusal

START, END = b"\x0b", b"\x1c\r"
LARGEST_ANSWER: Final = 1 << 20
CONTROL_ID: Final = 10

# Table 0008. A commit accept says that the message is in safe storage (2.9.3): the sender need not keep it.
CODES: Final = {
    "AA": Meaning(Verdict.DELIVERED, "AA accepted"),
    "CA": Meaning(Verdict.DELIVERED, "CA commit accepted"),
    # The chapter has AE for faults of the message, CE for any other reason than its header, and AR both for its header
    # and for what passes, as a system that is down. Engines answer any of them where a database is away. Without an
    # error code nobody can tell: trying again costs messages with a known control ID, giving up may cost a finding.
    "AE": Meaning(Verdict.AGAIN, "AE application error"),
    "AR": Meaning(Verdict.AGAIN, "AR application reject"),
    "CE": Meaning(Verdict.AGAIN, "CE commit error"),
    # Of message type, version or processing ID alone (2.9.3.1).
    "CR": Meaning(Verdict.REFUSED, "CR commit reject"),
}
# Table 0357.
ERRORS: Final = {
    "100": Meaning(Verdict.REFUSED, "segment sequence error"),
    "101": Meaning(Verdict.REFUSED, "required field missing"),
    "102": Meaning(Verdict.REFUSED, "data type error"),
    "103": Meaning(Verdict.REFUSED, "table value not found"),
    "104": Meaning(Verdict.REFUSED, "value too long"),
    "200": Meaning(Verdict.REFUSED, "unsupported message type"),
    "201": Meaning(Verdict.REFUSED, "unsupported event code"),
    "202": Meaning(Verdict.REFUSED, "unsupported processing ID"),
    "203": Meaning(Verdict.REFUSED, "unsupported version ID"),
    "204": Meaning(Verdict.REFUSED, "unknown key identifier"),
    "205": Meaning(Verdict.REFUSED, "duplicate key identifier"),
    "206": Meaning(Verdict.AGAIN, "application record locked"),
    "207": Meaning(Verdict.AGAIN, "application internal error"),
}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a peer says of a message.

    Attributes:
        code: MSA-1.
        control_id: MSA-2: of the message that it is about.
        errors: Codes of table 0357, as far as they are known.
    """

    code: str
    control_id: str
    errors: tuple[str, ...] = ()

    def meaning(self) -> Meaning:
        """Verdict and words; an unknown code is a refusal, never a delivery."""
        found = CODES.get(self.code, Meaning(Verdict.REFUSED, "an acknowledgement of no known code"))
        if found.verdict is Verdict.DELIVERED or not self.errors:
            return found
        told = [ERRORS[each] for each in self.errors]
        lasting = found.verdict is Verdict.REFUSED or any(each.verdict is Verdict.REFUSED for each in told)
        words = ", ".join(f"{code} {each.words}" for code, each in zip(self.errors, told, strict=True))
        return Meaning(Verdict.REFUSED if lasting else Verdict.AGAIN, f"{found.words}: {words}")


def deliver(document: Document, destination: Hl7Destination) -> Receipt:
    """Send one message and wait for its acknowledgement; see `app.deliver.ways.deliver`."""
    if document.kind is not DocumentKind.HL7:
        raise Rejected(f"{document.path.name}: {document.kind.value} is no HL7 message")
    message = content(document)
    control_id = _control_id(message, document)
    who = _who(destination)
    with closing(
        connect(destination.host, destination.port, destination.tls, destination.timeout_s, who)
    ) as connection:
        try:
            connection.sendall(START + message + END)
            acknowledgement = _await(connection, control_id, destination)
        except OSError as error:
            raise refusal(error, destination.tls, who) or broken_off(error, destination.tls, who) from error
    meaning = acknowledgement.meaning()
    log.info("document_sent", destination=destination.name, kind=document.kind.value, status=meaning.words)
    if meaning.verdict is Verdict.AGAIN:
        raise Retryable(f"{destination.name}: {meaning.words}")
    if meaning.verdict is Verdict.REFUSED:
        raise Rejected(f"{destination.name}: {meaning.words}")
    return Receipt(destination.name, document.path.name, delivered=True, attempts=1, detail=meaning.words)


def echo(destination: Hl7Destination) -> str:
    """Connect and send nothing: HL7 v2 has no message that means nothing. See `app.deliver.ways.echo`."""
    knock(destination.host, destination.port, destination.tls, destination.timeout_s, _who(destination))
    over = "" if destination.tls is None else " over TLS"
    return f"{destination.host}:{destination.port} takes connections{over}; no message was sent"


def parse(frame: bytes) -> Acknowledgement | None:
    """Read an acknowledgement; None where this is none.

    Its own separators count (MSH-1, MSH-2). Codes are ASCII whatever its character set; other text is not looked at,
    since it may quote the patient.
    """
    lines = [line for line in frame.decode("latin-1").replace("\n", "\r").split("\r") if line]
    if not lines or not lines[0].startswith("MSH") or len(lines[0]) < 5:
        return None
    field, component = lines[0][3], lines[0][4]
    segments = [line.split(field) for line in lines]
    about = next((each for each in segments if each[0] == "MSA" and len(each) > 2), None)
    if about is None:
        return None
    said = [_at(each, 3).split(component)[0] for each in segments if each[0] == "ERR"]
    if not any(said):
        # ERR-1 before version 2.5: segment, sequence, field, then the code, whose parts "&" separates.
        said = [_at([*_at(each, 1).split(component), "", "", ""], 3) for each in segments if each[0] == "ERR"]
    said.append(_at(about, 6).split(component)[0])
    codes = dict.fromkeys(each.split("&")[0].strip() for each in said)
    return Acknowledgement(about[1].strip(), about[2].strip(), tuple(each for each in codes if each in ERRORS))


def _at(fields: list[str], position: int) -> str:
    return fields[position] if position < len(fields) else ""


def _who(destination: Hl7Destination) -> str:
    return f"{destination.name}: {destination.host}:{destination.port}"


def _control_id(message: bytes, document: Document) -> str:
    header = message.split(b"\r", 1)[0]
    fields = header.split(header[3:4]) if header.startswith(b"MSH") and len(header) > 8 else []
    # MSH-1 is the separator itself: the tenth field is the tenth part, counted from nought, less one.
    if len(fields) < CONTROL_ID or not fields[CONTROL_ID - 1]:
        raise Rejected(f"{document.path.name}: no HL7 message with a control ID (MSH-10)")
    if START in message or END[:1] in message:
        raise Rejected(f"{document.path.name}: holds a character that ends an MLLP frame")
    return fields[CONTROL_ID - 1].decode("latin-1").strip()


def _await(connection: socket.socket, control_id: str, destination: Hl7Destination) -> Acknowledgement:
    frames, others = _frames(connection, destination), 0
    try:
        while True:
            acknowledgement = parse(next(frames))
            if acknowledgement is None:
                raise Rejected(f"{_who(destination)}: its answer is no HL7 acknowledgement")
            if acknowledgement.control_id == control_id:
                return acknowledgement
            others += 1
    except Retryable as error:
        if not others:
            raise
        raise Retryable(f"{error}; {others} for other messages than ours (MSA-2)") from error


def _frames(connection: socket.socket, destination: Hl7Destination) -> Iterator[bytes]:
    """Give what comes in frames; ends by an error alone."""
    who, deadline, received = _who(destination), time.monotonic() + destination.timeout_s, bytearray()
    while True:
        while (frame := _next_frame(received)) is not None:
            yield frame
        if received and not received.startswith(START):
            raise Rejected(f"{who}: its answer is not framed as MLLP; is this the port of an HL7 interface?")
        if len(received) > LARGEST_ANSWER:
            raise Rejected(f"{who}: its answer is longer than {LARGEST_ANSWER >> 20} MiB")
        left = deadline - time.monotonic()
        if left <= 0:
            raise Retryable(f"{who}: no acknowledgement within {destination.timeout_s:g} s")
        connection.settimeout(left)
        try:
            part = connection.recv(65_536)
        except TimeoutError:
            continue
        if not part:
            raise Retryable(f"{who}: it closed the connection without an acknowledgement")
        received += part


def _next_frame(received: bytearray) -> bytes | None:
    """Take the first whole frame out of what was received; line ends between frames are passed over."""
    while received.startswith((b"\r", b"\n")):
        del received[:1]
    end = received.find(END)
    if not received.startswith(START) or end < 0:
        return None
    frame = bytes(received[1:end])
    del received[: end + len(END)]
    return frame
