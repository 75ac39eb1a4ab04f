"""`check` warns where others can read log-ins on the way, and not where a container's port is this server's alone."""

from pathlib import Path

import pytest

from app.check import State, check_access
from app.settings import Settings

OTHERS = "10.1.2.3"


@pytest.mark.parametrize(
    ("host", "published", "warned"),
    [
        ("127.0.0.1", None, False),
        ("0.0.0.0", None, True),
        ("0.0.0.0", "127.0.0.1", False),
        ("0.0.0.0", "0.0.0.0", True),
        ("0.0.0.0", OTHERS, True),
    ],
)
def test_plain_http_beyond_this_server(tmp_path: Path, host: str, published: str | None, warned: bool) -> None:
    tokens = tmp_path / "tokens"
    tokens.touch()
    http = {"host": host, "published": published, "access": {"tokens_file": tokens}}
    found = {result.what: result for result in check_access(Settings.model_validate({"http": http}))}
    assert ("web log-in" in found) == warned
    if warned:
        assert found["web log-in"].state is State.WARNING
        assert f"come to {published or host} unencrypted" in found["web log-in"].detail
