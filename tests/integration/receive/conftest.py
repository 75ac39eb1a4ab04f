"""A listener in this process, and a sender that can misbehave."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_context
from pynetdicom.association import Association

from app.receive.listener import running
from app.receive.spool import Spool
from app.settings import Settings
from tests.integration.receive.certificates import Hospital
from tests.unit.receive.objects import make_object, to_file


@dataclass(frozen=True)
class Running:
    """A listener at work."""

    port: int
    folder: Path

    @property
    def spool(self) -> Spool:
        """Its spool, as a worker sees it."""
        return Spool(self.folder, 0)

    def stored(self) -> list[Path]:
        """Every durable instance."""
        return sorted(self.folder.glob("studies/*/*.dcm"))

    def half_received(self) -> list[Path]:
        """What lies in the folder of things being received."""
        return list((self.folder / "incoming").iterdir())


Listen = Callable[..., contextlib.AbstractContextManager[Running]]


@pytest.fixture
def listen(tmp_path: Path) -> Listen:
    """Start a listener; options go to the section `listener`, `min_free_mb` to the spool."""

    @contextlib.contextmanager
    def start(min_free_mb: int = 0, **options: Any) -> Iterator[Running]:
        folder = tmp_path / "spool"
        settings = Settings.model_validate(
            {
                "listener": {"host": "127.0.0.1", "port": 0, **options},
                "spool": {"folder": folder, "min_free_mb": min_free_mb},
            }
        )
        with running(settings) as port:
            yield Running(port, folder)

    return start


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path / "certificates")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.dcm"
    path.parent.mkdir()
    path.write_bytes(to_file(make_object("1.2.3", "1.2.4")))
    return path


@contextlib.contextmanager
def associated(
    port: int, sop_class: str = CTImageStorage, syntax: str = ExplicitVRLittleEndian, calling_ae: str = "TEST"
) -> Iterator[Association]:
    """Open an association with pynetdicom, to send by hand what storescu would not."""
    association = AE(calling_ae).associate("127.0.0.1", port, [build_context(sop_class, syntax)], ae_title="VIGIL")
    try:
        yield association
    finally:
        association.abort()


def store_raw(port: int, file: Path, sop_class: str, syntax: str) -> Dataset:
    """Send a file's data set byte for byte, without decoding it; the response."""
    with associated(port, sop_class, syntax) as association:
        return association.send_c_store(file)


@pytest.fixture(autouse=True)
def byte_exact_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pynetdicom send files as they are."""
    monkeypatch.setattr("pynetdicom._config.STORE_SEND_CHUNKED_DATASET", True)
