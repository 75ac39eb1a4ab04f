"""`check` asks every kind of destination, and names what is missing for it."""

from pathlib import Path

import pytest

from app.check import Result, State, check_destinations
from app.settings import Settings
from tests.integration.deliver.listeners import Reply, web_peer

HOOK = {"kind": "webhook", "name": "desk", "url": "http://127.0.0.1:1/in"}
DOWN = [
    {"name": "pacs", "host": "127.0.0.1", "port": 1, "ae_title": "PACS"},
    {"kind": "dicomweb", "name": "archive", "url": "http://127.0.0.1:1/dicom-web"},
    {"kind": "fhir", "name": "records", "url": "http://127.0.0.1:1/fhir"},
    {"kind": "hl7", "name": "his", "host": "127.0.0.1", "port": 1},
    HOOK,
]


def checked(*destinations: dict[str, object]) -> list[Result]:
    return list(check_destinations(Settings.model_validate({"destinations": destinations})))


@pytest.mark.parametrize("destination", DOWN, ids=lambda each: str(each["name"]))
def test_one_that_is_down_is_a_warning_with_what_to_do(destination: dict[str, object]) -> None:
    (result,) = checked(destination)
    assert (result.what, result.state) == (f"destination {destination['name']}", State.WARNING)
    assert "is it running, and" in result.detail or "is the peer running, and" in result.detail
    assert "? The service starts without it: each document is tried 5 times" in result.detail


@pytest.mark.parametrize("key", ["token_file", "secret_file"])
def test_a_missing_secret_is_an_error_that_names_the_file(key: str, tmp_path: Path) -> None:
    (result,) = checked({**HOOK, key: tmp_path / "gone"})
    assert result.state is State.ERROR
    assert result.detail.startswith(f"desk: {key} {tmp_path / 'gone'}: No such file or directory")


@pytest.mark.parametrize("destination", DOWN, ids=lambda each: str(each["name"]))
def test_missing_certificates_are_an_error_that_names_the_file(destination: dict[str, object], tmp_path: Path) -> None:
    secured = {**destination, "tls": {"ca_file": tmp_path / "gone"}}
    if "url" in destination:
        secured["url"] = str(destination["url"]).replace("http:", "https:")
    (result,) = checked(secured)
    assert result.state is State.ERROR
    assert f"tls.ca_file {tmp_path / 'gone'}: No such file or directory" in result.detail


@pytest.mark.parametrize(("host", "told"), [("no-such-host.invalid", True), ("127.0.0.1", False)])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_token_that_goes_unencrypted_is_a_warning(host: str, told: bool, scheme: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc")
    results = checked({**HOOK, "url": f"{scheme}://{host}:1/in", "token_file": tmp_path / "token"})
    words = [result.detail for result in results if result.detail.startswith("its token")]
    assert words == ["its token and the documents go there unencrypted; give an address that begins with https"] * (
        told and scheme == "http"
    )


def test_one_that_answers_is_told_with_what_was_tried() -> None:
    with web_peer(Reply(200, b"[]")) as heard:
        (result,) = checked({**DOWN[1], "url": f"http://127.0.0.1:{heard.port}/dicom-web"})
    assert (result.state, result.detail) == (
        State.OK,
        f"DICOMweb at http://127.0.0.1:{heard.port} answers a search (QIDO-RS)",
    )
