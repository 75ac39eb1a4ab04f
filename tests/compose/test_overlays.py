"""The overlays: DICOM over TLS and HTTPS, and the demonstration that a new user sees first."""

import ssl
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import trustme

from tests.compose.conftest import MakeStudies
from tests.compose.docker import ROOT, docker
from tests.compose.ledger import Ledger
from tests.compose.scanner import SCANNER
from tests.compose.stack import MAIN, Stack, installed

TLS = ROOT / "deploy" / "compose.tls.yml"
DEMO = ROOT / "deploy" / "compose.demo.yml"


@pytest.fixture(scope="module")
def hospital() -> trustme.CA:
    """Who signs the certificates of the service and of its scanners."""
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(vigil_image: str, hospital: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that speaks TLS alone."""
    certificates = tmp_path_factory.mktemp("certificates")
    hospital.cert_pem.write_to_path(str(certificates / "dicom-ca.crt"))
    for name, hosts in (("dicom", ("listener", "localhost")), ("web", ("web", "localhost", "127.0.0.1"))):
        pair = hospital.issue_cert(*hosts)
        pair.private_key_pem.write_to_path(str(certificates / f"{name}.key"))
        for number, part in enumerate(pair.cert_chain_pems):
            part.write_to_path(str(certificates / f"{name}.crt"), append=number > 0)
    # The user of the containers is none of this machine; in a hospital it reads them by its group.
    certificates.chmod(0o755)
    for file in certificates.iterdir():
        file.chmod(0o644)
    more, folder = {"VIGIL_CERTIFICATES": str(certificates)}, tmp_path_factory.mktemp("secure")
    peers = [{"ae_title": SCANNER, "certificate": {"names": ["scanner"]}}]
    with installed(folder, vigil_image, overlays=[TLS], more=more, listener={"peers": peers}) as stack:
        stack.trust = ssl.create_default_context()
        hospital.configure_trust(stack.trust)
        stack.up()
        yield stack


def storescu(stack: Stack, files: Sequence[Path], *options: str) -> int:
    command = ["storescu", "-aet", SCANNER, "-aec", "VIGIL", *options, "localhost", str(stack.dicom_port)]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, check=False, timeout=120)
    return done.returncode


def test_a_scanner_with_a_certificate_is_let_in_and_no_other(
    secure: Stack, hospital: trustme.CA, fresh: MakeStudies, tmp_path: Path
) -> None:
    ledger, (study,) = Ledger(secure), fresh(1)

    def credentials(authority: trustme.CA, name: str, host: str = "scanner") -> tuple[str, ...]:
        pair, key, certificate = authority.issue_cert(host), tmp_path / f"{name}.key", tmp_path / f"{name}.crt"
        pair.private_key_pem.write_to_path(str(key))
        pair.cert_chain_pems[0].write_to_path(str(certificate))
        trusted = tmp_path / f"{name}-ca.crt"
        hospital.cert_pem.write_to_path(str(trusted))
        return ("+tls", str(key), str(certificate), "+cf", str(trusted))

    anonymous = ("+tla", "+cf", credentials(hospital, "unused")[-1])
    another = credentials(hospital, "another", "other-scanner")
    for refused in ((), anonymous, credentials(trustme.CA(), "stranger"), another):
        assert storescu(secure, study.files, *refused) != 0
    assert secure.ask("/api/v1/studies")["items"] == []
    assert storescu(secure, study.files, *credentials(hospital, "scanner")) == 0
    ledger.add(study)
    ledger.await_all()


def test_the_web_side_speaks_https_alone(secure: Stack) -> None:
    assert secure.health()["ok"] is True
    with pytest.raises(OSError, match=r"reset|closed|disconnected|without response"):
        urllib.request.urlopen(f"http://localhost:{secure.http_port}/health/live", timeout=30)


def test_the_demonstration_sends_and_finds_what_came_back(
    vigil_image: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The sender ends with 0 where every study came back as a document."""
    more = {"VIGIL_DEMO_STUDIES": "2"}
    with installed(tmp_path_factory.mktemp("demo"), vigil_image, files=[MAIN], overlays=[DEMO], more=more) as stack:
        stack.up()
        assert stack.containers("scanner")[0]["State"]["ExitCode"] == 0, docker("logs", stack.container("scanner"))
        assert [each["state"] for each in stack.ask("/api/v1/studies")["items"]] == ["delivered"] * 2
