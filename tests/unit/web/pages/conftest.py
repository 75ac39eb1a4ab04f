"""An installation with a real bundle whose card is hostile, a real database, and a token of each role."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.access import Role
from app.settings import Settings
from app.tokens import make
from app.web.server import create_app
from app.workflow_database import beats_of, open_engine
from app.workflow_migration import migrate
from tests.integration.workflow.tiny import write_bundle
from tests.unit.web.pages.reading import EVIL


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    made = {role: make(f"the-{role}", role) for role in Role}
    (tmp_path / "tokens").write_text("".join(token.line() for _, token in made.values()))
    return {str(role): secret for role, (secret, _) in made.items()}


@pytest.fixture
def settings(tmp_path: Path, secrets: dict[str, str]) -> Settings:
    (tmp_path / "bundles").mkdir()
    root = write_bundle(tmp_path / "bundles")
    (root / "docs" / "README.md").write_text(
        f"# Brightness\n\n{EVIL} [here](javascript:alert(1)) [far](https://example.org/x) [near](../configs)\n\n"
        "![a curve](curve.png) ![other](https://evil.example/x.png) ![up](../../secret.png)\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    (root / "docs" / "curve.png").write_bytes(b"\x89PNG")
    return Settings.model_validate(
        {
            "listener": {"host": "127.0.0.1", "port": 0},
            "spool": {"folder": tmp_path / "spool", "min_free_mb": 0},
            "bundles": {"folder": tmp_path / "bundles"},
            "results": tmp_path / "results",
            "run": tmp_path / "run",
            "database": {"url": f"sqlite:///{tmp_path}/vigil.sqlite"},
            "audit": {"file": tmp_path / "audit.log"},
            "http": {"access": {"tokens_file": tmp_path / "tokens"}},
            "destinations": [
                {"name": "pacs", "host": "127.0.0.1", "port": 9, "ae_title": "PACS", "timeout_s": 0.2},
                {
                    "name": "desk",
                    "kind": "webhook",
                    "url": "https://desk.example/hook?key=swordfish",
                    "documents": ["json"],
                },
            ],
        }
    )


@pytest.fixture
def engine(settings: Settings) -> Iterator[sa.Engine]:
    migrate(settings.database)
    engine = open_engine(settings.database)
    yield engine
    engine.dispose()


@pytest.fixture
def client(settings: Settings, engine: sa.Engine) -> Iterator[TestClient]:
    with TestClient(create_app(settings, lambda: dict(beats_of(engine)))) as client:
        yield client
