"""An HTTP side with a token of each role, for the tests of its routes."""

from pathlib import Path

import pytest

from app.access import Role
from app.settings import Settings
from app.tokens import make
from tests.unit.web.house import PROXY, ROLES, House, raw


@pytest.fixture
def house_of(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Makes one with further settings."""

    def build(**more: object) -> House:
        secrets, lines = {}, []
        for role in Role:
            secrets[role.value], token = make(f"the-{role}", role)
            lines.append(token.line())
        (tmp_path / "tokens").write_text("".join(lines))
        proxy = {"addresses": [PROXY], "roles": {"radiology": "viewer", "pacs-admins": "operator"}}
        return House(
            Settings.model_validate({**raw(tmp_path, tokens_file=tmp_path / "tokens", proxy=proxy), **more}), secrets
        )

    return build


@pytest.fixture
def house(tmp_path: Path) -> House:
    secrets, lines = {}, []
    for role in ROLES:
        secrets[role.value], token = make(f"the-{role}", role)
        lines.append(token.line())
    tokens = tmp_path / "tokens"
    tokens.write_text("# who may\n\n" + "".join(lines))
    proxy = {
        "addresses": [PROXY],
        "user_header": "X-Forwarded-User",
        "groups_header": "X-Forwarded-Groups",
        "roles": {"radiology": "viewer", "pacs-admins": "operator", "it": "admin"},
    }
    return House(Settings.model_validate(raw(tmp_path, tokens_file=tokens, proxy=proxy)), secrets)
