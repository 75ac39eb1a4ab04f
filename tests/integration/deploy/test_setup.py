"""`deploy/setup --token` and `--revoke`: in a copy of the tree, read by the code of the web side."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from app.access import Role
from app.tokens import TokenFile
from tests.integration.unreadable import unreadable

BEFORE = "    tokens_file: /run/secrets/web_tokens      # deploy/setup --token NAME=ROLE makes one\n"
PATIENCE_S = 60


@pytest.fixture
def site(root: Path, tmp_path: Path) -> Path:
    """A tree with what setup needs."""
    (tmp_path / "deploy").mkdir()
    for name in ("setup", "lib.sh"):
        shutil.copy2(root / "deploy" / name, tmp_path / "deploy" / name)
    return tmp_path


def setup(site: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [str(site / "deploy" / "setup"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def token_of(site: Path, name: str, role: str = "viewer") -> str:
    done = setup(site, "--token", f"{name}={role}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def tokens(site: Path) -> Path:
    return site / "deploy" / "secrets" / "web" / "tokens"


def test_a_token_counts_until_it_is_revoked_and_no_other_with_it(site: Path) -> None:
    temporary, near, jane = token_of(site, "temp.1"), token_of(site, "tempx1"), token_of(site, "jane", "operator")
    web = TokenFile(tokens(site))
    assert [token.name for token in map(web.find, (temporary, near, jane)) if token] == ["temp.1", "tempx1", "jane"]
    done = setup(site, "--revoke", "temp.1")
    assert done.returncode == 0, done.stderr
    assert web.find(temporary) is None
    found = web.find(jane)
    assert found is not None
    assert found.role is Role.OPERATOR
    assert web.find(near) is not None


def test_a_token_is_added_behind_a_line_without_an_end(site: Path) -> None:
    first = token_of(site, "first")
    tokens(site).write_text(tokens(site).read_text().rstrip("\n"))
    second = token_of(site, "second")
    web = TokenFile(tokens(site))
    assert web.find(first) is not None
    assert web.find(second) is not None


def test_a_name_that_is_there_and_one_that_is_not_are_told(site: Path) -> None:
    token_of(site, "jane")
    again, unknown = setup(site, "--token", "jane=viewer"), setup(site, "--revoke", "jan")
    assert again.returncode == 1
    assert "deploy/setup --revoke jane takes it away" in again.stderr
    assert unknown.returncode == 1
    assert "has no token of jan" in unknown.stderr


def test_the_containers_may_read_the_tokens_and_others_of_the_server_may_not(site: Path) -> None:
    token_of(site, "jane")
    token_of(site, "joe")
    assert setup(site, "--revoke", "joe").returncode == 0
    modes = [path.stat().st_mode & 0o777 for path in (tokens(site).parents[1], tokens(site).parent, tokens(site))]
    assert modes == [0o700, 0o755, 0o644]


def test_an_installation_of_before_is_moved_with_its_tokens(site: Path) -> None:
    kept = token_of(site, "kept")
    old = site / "deploy" / "secrets" / "web_tokens"
    tokens(site).rename(old)
    tokens(site).parent.rmdir()
    inode = old.stat().st_ino
    settings = site / "deploy" / "site" / "vigil.yaml"
    settings.write_text(f"http:\n  access:\n{BEFORE}")
    done = setup(site, "--token", "new=viewer")
    assert done.returncode == 0, done.stderr
    assert "docker compose up --detach makes it count" in done.stderr
    assert not old.exists()
    assert tokens(site).stat().st_ino == inode, "containers that still run see what is added"
    raw = yaml.safe_load(settings.read_text())
    assert raw == {"http": {"access": {"tokens_file": "/etc/vigil/access/tokens"}}}
    assert TokenFile(tokens(site)).find(kept) is not None
    assert "makes it count" not in setup(site, "--token", "newer=viewer").stderr


def test_secrets_that_lie_elsewhere_are_found(site: Path) -> None:
    elsewhere = site / "elsewhere"
    (site / ".env").write_text(f"VIGIL_SECRETS={elsewhere}\n")
    token_of(site, "jane")
    assert (elsewhere / "web" / "tokens").exists()
    assert not (site / "deploy" / "secrets").exists()


def test_a_file_that_was_replaced_unreadable_says_what_to_do(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = token_of(site, "jane")
    web = TokenFile(tokens(site))
    with unreadable(tokens(site)):
        assert web.find(secret) is None
    assert "chmod 644" in capsys.readouterr().out
    assert web.find(secret) is not None
