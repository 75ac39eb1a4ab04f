"""Settings: parsed once, frozen, and helpful about what is wrong."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.documents import DocumentKind
from app.errors import Rejected
from app.settings import Settings, load

DESTINATION = "destinations:\n  - {name: pacs, host: pacs.local, port: 104, ae_title: PACS}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "vigil.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_gives_the_defaults() -> None:
    assert load(None, {}) == Settings()


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load(write(tmp_path, ""), {}) == Settings()


def test_a_destination_gets_report_and_key_image_by_default(tmp_path: Path) -> None:
    (destination,) = load(write(tmp_path, DESTINATION), {}).destinations
    assert destination.documents == (DocumentKind.SR, DocumentKind.KEY_IMAGE, DocumentKind.SEG)


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "listener: {port: 104, ae_title: SCAN}\n")
    settings = load(path, {"VIGIL_LISTENER__PORT": "4242", "HOME": "/root"})
    assert (settings.listener.port, settings.listener.ae_title) == (4242, "SCAN")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().listener.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("listner: {}\n", "unknown key 'listner', did you mean 'listener'?"),
        ("listener: {prot: 3}\n", "unknown key 'listener.prot', did you mean 'port'?"),
        (DESTINATION.replace("host:", "hots:"), "unknown key 'destinations.0.hots', did you mean 'host'?"),
        ("listener: {port: 70000}\n", "listener.port: Input should be less than or equal to 65535 (got 70000)"),
        ("listener: {ae_title: AAAAAAAAAAAAAAAAA}\n", "listener.ae_title"),
        ("inference: {device: gpu}\n", "inference.device"),
        ("- a\n- b\n", "expected a mapping, got list"),
        ("a: [\n", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_said_in_words(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(Rejected) as caught:
        load(path, {})
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_says_what_to_copy(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"nowhere.yaml: No such file or directory; copy deploy/vigil.yaml"):
        load(tmp_path / "nowhere.yaml", {})


def test_a_folder_in_the_place_of_the_file_says_who_made_it(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"is a folder, .* VIGIL_SETTINGS names is missing: .*rmdir"):
        load(tmp_path, {})


def test_an_override_below_a_plain_value_is_refused() -> None:
    with pytest.raises(Rejected, match="'results' is no section"):
        load(None, {"VIGIL_RESULTS": "var/r", "VIGIL_RESULTS__FOLDER": "x"})


@given(st.dictionaries(st.text(max_size=12), st.integers() | st.text(max_size=5) | st.none(), max_size=4))
def test_any_mapping_is_either_settings_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, raw: dict[str, object]
) -> None:
    path = write(tmp_path_factory.mktemp("settings"), yaml.safe_dump(raw))
    try:
        assert isinstance(load(path, {}), Settings)
    except Rejected as error:
        assert str(path) in str(error)


def test_a_worker_may_be_called_like_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "3f_ab.host ü")
    assert Settings.model_validate({"worker": {"id": "auto"}}).worker.id == "3f_ab.host--"
