"""An HTTP side with a token of each role and a log-in proxy, to try its routes on."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from app.access import Role
from app.settings import Settings
from app.web.server import create_app
from app.web.sessions import Signatures, signatures

PROXY, ELSEWHERE = "10.0.0.9", "192.0.2.7"
STUDY = "/api/v1/studies/" + "0" * 32
ROLES = list(Role)


@dataclass
class House:
    """An HTTP side with a token of each role, and a log-in proxy."""

    settings: Settings
    secrets: dict[str, str]
    app: Any = field(init=False)

    def __post_init__(self) -> None:
        self.app = create_app(self.settings, dict)

    def client(self, address: str = ELSEWHERE) -> TestClient:
        return TestClient(self.app, client=(address, 4000), follow_redirects=False)

    def bearer(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secrets[role]}"}

    def logged_in(self, role: str, address: str = ELSEWHERE) -> TestClient:
        client = self.client(address)
        answer = client.post("/login", data={"token": self.secrets[role], "csrf": csrf_in(client.get("/login").text)})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        return client

    @property
    def signatures(self) -> Signatures:
        return signatures(self.settings.run)


def csrf_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


def raw(folder: Path, **access: object) -> dict[str, Any]:
    return {
        "listener": {"host": "127.0.0.1", "port": 0},
        "spool": {"folder": folder / "spool", "min_free_mb": 0},
        "results": folder / "results",
        "run": folder / "run",
        "database": {"url": f"sqlite:///{folder}/vigil.sqlite"},
        "http": {"access": access},
    }
