"""The demonstration in parts: a scanner and a PACS in processes of their own, beside a service that runs."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from app.cli.serve import free_port
from app.demo.apart import Address
from app.errors import Failed

HOST = "127.0.0.1"


def test_studies_come_back_to_a_pacs_of_its_own(tmp_path: Path, root: Path) -> None:
    dicom, pacs = free_port(HOST), free_port(HOST)
    config = tmp_path / "vigil.yaml"
    config.write_text(yaml.safe_dump(settings_of(tmp_path, root, dicom, pacs)))
    with (
        running(root, "stand-in PACS:", "demo-pacs", str(tmp_path / "pacs"), "--port", str(pacs)),
        running(root, "vigil ready", "serve", "--config", str(config)),
    ):
        done = vigil(
            root, "demo-send", "--config", str(config), "--listener", f"{HOST}:{dicom}",
            "--pacs", str(tmp_path / "pacs"),
            "--out", str(tmp_path / "out"), "--studies", "2", timeout_s=250,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^study (\d): its report is at the PACS$", done.stdout, re.MULTILINE) == ["1", "2"]
    assert "idle time of 0.5 s included" in " ".join(done.stdout.split())
    assert sorted(path.name for path in (tmp_path / "out").glob("study-*/report.sr.dcm")) == ["report.sr.dcm"] * 2


@pytest.mark.parametrize("words", ["listener", "listener:", ":104", "listener:0", "listener:65536", "listener:١٠٤"])
def test_what_is_no_address_is_refused(words: str) -> None:
    with pytest.raises(Failed, match="give HOST:PORT"):
        Address.parse(words)


def test_an_address_of_ipv6_keeps_its_colons() -> None:
    assert Address.parse("::1:104") == Address("::1", 104)


def test_a_port_that_somebody_holds_is_told(tmp_path: Path, root: Path) -> None:
    port = str(free_port(HOST))
    with running(root, "stand-in PACS:", "demo-pacs", str(tmp_path / "pacs"), "--port", port):
        done = vigil(root, "demo-pacs", str(tmp_path / "pacs"), "--port", port)
    assert (done.returncode, "give another --port" in done.stderr) == (2, True)


def settings_of(folder: Path, root: Path, dicom: int, pacs: int) -> dict[str, object]:
    """A service of two kinds of radiographs, which start and answer quickly."""
    return {
        "listener": {"host": HOST, "port": dicom},
        "spool": {"folder": str(folder / "spool"), "min_free_mb": 0},
        "assembly": {"idle_s": 0.5},
        "bundles": {"folder": str(root / "bundles"), "enabled": ["chest_radiograph", "wrist_fracture"]},
        "database": {"url": f"sqlite:///{folder}/vigil.sqlite"},
        "http": {"port": free_port(HOST)},
        "destinations": [{"name": "pacs", "host": HOST, "port": pacs, "ae_title": "PACS"}],
        "results": str(folder / "results"),
        "run": str(folder / "run"),
    }


def vigil(root: Path, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "app", *arguments)
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=timeout_s)


@contextmanager
def running(root: Path, ready: str, *arguments: str) -> Iterator[None]:
    """A process of ours, from the line that says that it works."""
    command = (sys.executable, "-u", "-m", "app", *arguments)
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(ready)
            yield
        finally:
            process.terminate()
            process.communicate(timeout=60)
