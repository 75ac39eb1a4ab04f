"""The command line as people use it: quick help, errors as sentences, exit codes, no torch where none is needed."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import app
from app.__main__ import main
from app.check import State, examine
from app.settings import Settings, load
from tests.integration.workflow.tiny import write_bundle

COMMANDS = ["serve", "listen", "work", "web", "check", "studies", "deliveries", "send", "replay", "rerun", "demo"]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    return int(exit_.value.code or 0)


def write_settings(folder: Path, **sections: object) -> Path:
    raw = {
        "spool": {"folder": str(folder / "spool"), "min_free_mb": 0},
        "bundles": {"folder": str(folder / "bundles")},
        "database": {"url": f"sqlite:///{folder}/vigil.sqlite"},
        "listener": {"host": "127.0.0.1", "port": 0},
        "http": {"port": 0},
        "results": str(folder / "results"),
        "run": str(folder / "run"),
        **sections,
    }
    path = folder / "vigil.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert command in capsys.readouterr().out


def test_version_is_that_of_the_package(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    assert run("--version") == 0
    assert (capsys.readouterr().out, app.__version__) == (f"vigil {declared}\n", declared)


def test_an_error_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text("listener: {prot: 1}")
    assert run("serve", "--config", str(config)) == 2
    error = capsys.readouterr().err
    assert "did you mean 'port'?" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("loaded", "forbidden"),
    [
        ("app.__main__", ("torch", "monai", "numpy", "pydicom", "fastapi", "dbos", "structlog", "yaml")),
        ("app.receive.listener", ("torch", "monai", "dbos", "fastapi")),
        ("app.web.server", ("torch", "monai", "highdicom")),
        ("app.cli.serve", ("torch", "monai", "dbos", "fastapi", "pydicom")),
        ("app.check", ("torch", "monai")),
    ],
)
def test_a_process_loads_only_what_it_needs(loaded: str, forbidden: tuple[str, ...]) -> None:
    code = f"import sys, {loaded}; print(*[name for name in {forbidden!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_the_example_settings_are_the_defaults(root: Path) -> None:
    assert load(root / "deploy" / "vigil.yaml", {}) == Settings()


class TestCheck:
    def test_a_good_configuration_has_no_errors(self, tmp_path: Path) -> None:
        write_bundle(tmp_path / "bundles")
        results = examine(write_settings(tmp_path))
        assert [result for result in results if result.state is State.ERROR] == []
        assert "1 rule: brightness/accepts" in [result.detail for result in results]

    def test_every_problem_is_told_at_once(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        bundle = write_bundle(tmp_path / "bundles")
        (bundle / "models" / "model.pt").write_bytes(b"other weights")
        rules = tmp_path / "rules.yaml"
        rules.write_text("rules: [{name: x, bundle: brightness, when: {Modality: CT}}]")
        (tmp_path / "results").write_text("a file where a folder belongs")
        config = write_settings(
            tmp_path,
            spool={"folder": str(tmp_path / "spool"), "min_free_mb": 10**9},
            database={"url": "nonsense"},
            routes=[str(rules)],
            destinations=[{"name": "pacs", "host": "127.0.0.1", "port": 1, "ae_title": "PACS"}],
        )
        errors = {result.what for result in examine(config) if result.state is State.ERROR}
        assert errors == {
            "bundle brightness",
            "routes",
            "results folder",
            "disk",
            "database",
        }
        assert run("check", "--config", str(config)) == 1
        assert "5 to mend, 3 warnings." in capsys.readouterr().out

    def test_a_destination_that_is_down_is_a_warning_and_nothing_else_is_said(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Nor do libraries talk before the table."""
        write_bundle(tmp_path / "bundles")
        down = {"name": "pacs", "host": "127.0.0.1", "port": 1, "ae_title": "PACS"}
        config = write_settings(tmp_path, destinations=[down])
        assert run("check", "--config", str(config)) == 0
        shown = capfd.readouterr()
        assert " ".join(shown.out.split()).endswith("Ready, with 3 warnings.")
        assert shown.err == ""
        assert shown.out.startswith("what")
        (result,) = [each for each in examine(config) if each.what == "destination pacs"]
        assert result.state is State.WARNING
        assert "is the peer running, and are host and port right? The service starts without it" in result.detail

    def test_a_destination_that_can_never_take_its_documents_is_an_error(self, tmp_path: Path) -> None:
        write_bundle(tmp_path / "bundles")
        peer = {"name": "pacs", "host": "127.0.0.1", "port": 1, "ae_title": "PACS", "documents": ["json"]}
        errors = [each for each in examine(write_settings(tmp_path, destinations=[peer])) if each.state is State.ERROR]
        assert [(each.what, "destination 'pacs' cannot take json" in each.detail) for each in errors] == [
            ("settings", True)
        ]

    @pytest.mark.parametrize(
        ("enabled", "name", "reason"),
        [([], "brightness", "sha256 is"), (["brigthness"], "brigthness", "did you mean 'brightness'?")],
    )
    def test_a_refused_bundle_gets_its_reason_alone(
        self, tmp_path: Path, enabled: list[str], name: str, reason: str
    ) -> None:
        bundle = write_bundle(tmp_path / "bundles")
        (bundle / "models" / "model.pt").write_bytes(b"other weights")
        config = write_settings(tmp_path, bundles={"folder": str(tmp_path / "bundles"), "enabled": enabled})
        errors = [each for each in examine(config) if each.state is State.ERROR]
        assert [(each.what, reason in each.detail) for each in errors] == [(f"bundle {name}", True)]
        assert "bundles.folder" not in errors[0].detail

    def test_every_wrong_rule_has_a_line(self, tmp_path: Path) -> None:
        write_bundle(tmp_path / "bundles")
        rules = tmp_path / "rules.yaml"
        rules.write_text(
            "rules:\n"
            "- {name: x, bundle: brightness, when: {Modalty: CT}}\n"
            "- {name: y, bundle: bright, when: {Modality: CT}}"
        )
        errors = [each for each in examine(write_settings(tmp_path, routes=[str(rules)])) if each.state is State.ERROR]
        assert [(each.what, each.detail.partition(": ")[2][:8]) for each in errors] == [
            ("routes", "rule 'x'"),
            ("routes", "rule 'y'"),
        ]

    def test_a_wrong_settings_file_is_a_result_too(self, tmp_path: Path) -> None:
        (result,) = examine(tmp_path / "missing.yaml")
        assert (result.what, result.state) == ("settings", State.ERROR)


def test_sending_nothing_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("no DICOM")
    assert run("send", str(tmp_path), "--port", "1") == 1
    assert "nothing was sent" in " ".join(capsys.readouterr().out.split())
    (tmp_path / "empty").mkdir()
    assert run("send", str(tmp_path / "empty"), "--port", "1") == 1
    assert "no DICOM files in" in capsys.readouterr().out


def test_a_file_named_by_hand_must_be_dicom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no DICOM")
    assert run("send", str(notes), "--port", "1") == 1
    assert "0 of 1 files" in capsys.readouterr().out


def test_replay_of_an_unknown_study_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_settings(tmp_path)
    assert run("replay", "1.2.3", "--config", str(config)) == 2
    assert "no study of that key" in capsys.readouterr().err
