"""A stand-in PACS for the demonstration and for tests: takes everything, and fails on request."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification

SUCCESS = 0x0000
TRANSIENT = (2, 3, 2)  # result, source, reason: rejected for now, local limit exceeded (PS3.8 table 9-21)


@dataclass(frozen=True, slots=True)
class Arrived:
    """One object that was stored.

    Attributes:
        path: A DICOM file, byte for byte what came over the wire after its file meta information.
        sop_class_uid, sop_instance_uid: Of the object.
        calling_ae: Who sent it.
        at: Unix time.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    calling_ae: str
    at: float


@dataclass(frozen=True, slots=True)
class Faults:
    """How the PACS misbehaves; by default it does not.

    Attributes:
        reject: Every association: `permanent` (called AE title unknown) or `transient` (too busy).
        status: Answer C-STOREs with this status, and store nothing.
        abort: Abort the association at C-STOREs.
        times: How many C-STOREs meet `status` or `abort`; -1 is all, else the first ones.
        hang_s: Take this long over every C-STORE.
        storage: Whether any storage SOP class is accepted at all.
    """

    reject: Literal["", "permanent", "transient"] = ""
    status: int = SUCCESS
    abort: bool = False
    times: int = -1
    hang_s: float = 0.0
    storage: bool = True


class Pacs:
    """A storage SCP on the loopback interface, running while its context is open.

    Files are named by a hash of the SOP Instance UID, so that a repeated object replaces itself.
    """

    def __init__(
        self,
        folder: Path,
        ae_title: str = "PACS",
        port: int = 0,
        faults: Faults = Faults(),
        host: str = "127.0.0.1",
    ) -> None:
        self.folder, self.ae_title, self.host, self.port = folder, ae_title, host, port
        self._faults, self._wanted_port = faults, port
        self._arrived: list[Arrived] = []
        self._refused = 0
        self._changed = threading.Condition()
        self._stopping = threading.Event()

    @property
    def arrived(self) -> tuple[Arrived, ...]:
        """What was stored so far, in order."""
        with self._changed:
            return tuple(self._arrived)

    def wait(self, enough: Callable[[tuple[Arrived, ...]], bool], timeout_s: float) -> bool:
        """Wait until what has arrived is enough; False where it was not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: enough(tuple(self._arrived)), timeout_s)

    def __enter__(self) -> Self:
        """Start listening; `port` then holds the real one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        entity = AE(ae_title="NOBODY" if self._faults.reject == "permanent" else self.ae_title)
        entity.require_called_aet = self._faults.reject == "permanent"
        entity.maximum_associations = 100
        entity.add_supported_context(Verification)
        _config.UNRESTRICTED_STORAGE_SERVICE = self._faults.storage
        handlers = [
            (evt.EVT_CONN_OPEN, self._on_open),
            (evt.EVT_REQUESTED, self._on_request),
            (evt.EVT_C_STORE, self._on_store),
        ]
        self._server = entity.start_server((self.host, self._wanted_port), block=False, evt_handlers=handlers)
        self.port = self._server.socket.getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def _on_open(self, event: evt.Event) -> None:
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _on_request(self, event: evt.Event) -> None:
        if self._faults.reject == "transient":
            event.assoc.acse.send_reject(*TRANSIENT)
            event.assoc.kill()

    def _on_store(self, event: evt.Event) -> int:
        faults = self._faults
        if faults.hang_s:
            self._stopping.wait(faults.hang_s)
        if (faults.abort or faults.status != SUCCESS) and self._is_due():
            if faults.abort:
                event.assoc.abort()
            return faults.status
        self._keep(event)
        return SUCCESS

    def _is_due(self) -> bool:
        with self._changed:
            self._refused += 1
            return self._faults.times < 0 or self._refused <= self._faults.times

    def _keep(self, event: evt.Event) -> None:
        uid = str(event.request.AffectedSOPInstanceUID)
        path = self.folder / f"{blake2b(uid.encode(), digest_size=16).hexdigest()}.dcm"
        path.write_bytes(event.encoded_dataset())
        arrived = Arrived(
            path=path,
            sop_class_uid=str(event.request.AffectedSOPClassUID),
            sop_instance_uid=uid,
            calling_ae=str(event.assoc.requestor.ae_title).strip(),
            at=time.time(),
        )
        with self._changed:
            self._arrived.append(arrived)
            self._changed.notify_all()
