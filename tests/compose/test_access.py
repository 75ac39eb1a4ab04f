"""Tokens of the web side on a stack that runs: given and taken away by whatever writes files, and no restart."""

import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from app.access import Role
from app.tokens import make
from tests.compose.docker import inspect
from tests.compose.stack import Stack, started_at

SOON_S = 30.0
NAME = "temp"


def answer(stack: Stack, token: str) -> int:
    """The status of a list of studies."""
    address = f"http://localhost:{stack.http_port}/api/v1/studies"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as found:
            return int(found.status)
    except urllib.error.HTTPError as error:
        return error.code


def replace(path: Path, text: str) -> None:
    """As an editor saves: another file in the place of the one before."""
    new = path.with_name("tokens.new")
    new.write_text(text)
    new.chmod(0o644)
    new.rename(path)


def test_a_token_is_given_and_taken_away_without_a_restart(stack: Stack) -> None:
    path, started = stack.folder / "secrets" / "web" / "tokens", started_at(stack.container("web"))
    before = path.read_text()
    secret, token = make(NAME, Role.VIEWER)
    try:
        replace(path, before + token.line())
        stack.until(lambda: answer(stack, secret) == 200, "the new token to count", SOON_S)
        subprocess.run(["sed", "-i", f"/^{NAME} /d", str(path)], check=True, timeout=60)
        stack.until(lambda: answer(stack, secret) == 401, "the token that was taken away to count no more", SOON_S)
        assert answer(stack, stack.token) == 200
        with path.open("a") as file:
            file.write(token.line())
        stack.until(lambda: answer(stack, secret) == 200, "a token after an editor's visit to count", SOON_S)
    finally:
        replace(path, before)
    assert started_at(stack.container("web")) == started


def test_the_web_side_sees_no_secret_of_another_service(stack: Stack) -> None:
    (web,) = inspect(stack.container("web"))
    sources = {mount["Destination"]: Path(mount["Source"]) for mount in web["Mounts"]}
    secrets = stack.folder / "secrets"
    assert sources["/etc/vigil/access"] == secrets / "web"
    assert secrets not in sources.values()
    assert stack.execute("web", "ls", "/etc/vigil/access").split() == ["tokens"]
