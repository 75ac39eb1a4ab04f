"""Styles and scripts: open, kept by browsers as long as they stay the same, and nothing beside them."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.web import static_files as module
from app.web.gate import HEADERS
from app.web.static_files import FOR_EVER, add_static, static_files, static_url
from app.web.templating import FOLDER as TEMPLATES


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    add_static(app)
    return TestClient(app)


def test_serves_every_file_with_its_type(client: TestClient) -> None:
    assert {"vigil.css", "vigil.js", "vigil.svg"} <= static_files().keys()
    types = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    for name, file in static_files().items():
        answer = client.get(static_url(name))
        assert (answer.status_code, answer.content) == (200, file.content)
        assert answer.headers["content-type"].partition(";")[0] == types[Path(name).suffix]


def test_browsers_keep_what_has_a_version_and_ask_again_for_what_has_not(client: TestClient) -> None:
    assert client.get(static_url("vigil.css")).headers["cache-control"] == FOR_EVER
    old = client.get("/static/vigil.css?v=0123456789ab")
    assert old.headers["cache-control"] == "public, no-cache"
    again = client.get("/static/vigil.css", headers={"If-None-Match": old.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/static/vigil.css", headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("name", ["none.css", "..", "..%2Freader.py", "%2e%2e%2freader.py", "vigil.css%00", ""])
def test_nothing_else_can_be_asked_for(client: TestClient, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == 404


def test_no_page_holds_a_script_or_style_of_its_own_or_loads_from_elsewhere() -> None:
    """The policy forbids it; a browser would leave it out without a word."""
    assert "'unsafe-inline'" not in HEADERS["Content-Security-Policy"]
    for template in TEMPLATES.glob("*.html"):
        text = template.read_text()
        forbidden = r"<style|\sstyle=|\son[a-z]+=|javascript:|https?://|<script(?![^>]* src=)"
        assert not re.search(forbidden, text), template.name
        assert "|safe" not in text.replace(" ", ""), template.name


def test_scripts_write_no_markup_and_run_no_text() -> None:
    for path in module.FOLDER.glob("*.js"):
        text = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path.name
        )
