"""Bundles and system over a real bundle, a real database and real outcomes; hostile texts stay texts."""

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app.settings import Settings
from app.switches import switched_off
from app.warmth import BundleState, Teller
from app.web.server import create_app
from app.workflow_database import Heartbeat
from tests.unit.web.pages.reading import CSRF, EVIL, algorithm, bearer, logged_in, read


class TestBundles:
    def test_shows_what_is_served_where_it_comes_from_and_how_certain_it_was(
        self, client: TestClient, settings: Settings, engine: sa.Engine, secrets: dict[str, str]
    ) -> None:
        read(settings)
        Heartbeat(engine, "worker-7", 30).beat()
        Teller(engine, "worker-7").tell(
            [BundleState("brightness", "0.1.0", algorithm(settings).weights_sha256, "cpu", "", 10.0, 1.5, 8, 4, 20.0)]
        )
        page = client.get("/bundles", headers=bearer(secrets["viewer"])).text
        for words in (
            "trained on phantoms",
            "phantom squares",
            algorithm(settings).weights_sha256[:12],
            "worker-7",
            "worker silent",
            "0.50 s (median): 7200 an hour",
            "in 1 report: from 0.93 to 0.93; present in 1",
        ):
            assert words in page
        assert page.count("<rect") == 1
        assert "Switch off" not in page

    def test_a_worker_that_lives_has_it_warm_and_one_with_other_weights_is_told(
        self, client: TestClient, settings: Settings, engine: sa.Engine, secrets: dict[str, str]
    ) -> None:
        state = BundleState("brightness", "0.0.9", "f" * 64, "cpu", "", 10.0, 1.5, 8, 0, None)
        heart = Heartbeat(engine, "worker-7", 30)
        heart.beat()
        Teller(engine, "worker-7").tell([state])
        page = ""
        for _ in range(200):
            heart.beat()
            page = client.get("/bundles", headers=bearer(secrets["viewer"])).text
            if "built in 1.5 s" in page:
                break
        assert "built in 1.5 s; 8 B of weights on cpu" in page
        assert "A worker runs other weights than lie in the folder" in page

    def test_the_card_shows_no_script_and_nothing_from_afar(self, client: TestClient, secrets: dict[str, str]) -> None:
        page = client.get("/bundles/brightness", headers=bearer(secrets["viewer"])).text
        card = page.split("Model card")[1]
        assert EVIL not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in card
        assert '<a href="https://example.org/x"' in card
        assert 'href="javascript' not in card
        assert "configs" not in card.replace("near", "")
        assert '<img src="/bundles/brightness/docs/curve.png"' in card
        assert card.count("<img") == 1
        assert "<td>1</td>" in card
        assert "<h1>Brightness" not in card

    @pytest.mark.parametrize("path", ["../models/model.pt", "..%2f..%2fmodels%2fmodel.pt", "README.md", "none.png"])
    def test_nothing_but_pictures_of_cards_is_given_out(
        self, client: TestClient, secrets: dict[str, str], path: str
    ) -> None:
        headers = bearer(secrets["viewer"])
        assert client.get("/bundles/brightness/docs/curve.png", headers=headers).content == b"\x89PNG"
        assert client.get(f"/bundles/brightness/docs/{path}", headers=headers).status_code in {404, 422}

    def test_an_administrator_switches_off_and_on_with_audit(
        self, client: TestClient, settings: Settings, engine: sa.Engine, secrets: dict[str, str]
    ) -> None:
        csrf = logged_in(client, secrets["admin"])
        answer = client.post(
            "/bundles/brightness/off", data={CSRF: csrf, "reason": f"bad {EVIL}"}, follow_redirects=False
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/bundles#brightness")
        (switch,) = switched_off(engine).values()
        assert (switch.bundle, switch.by, switch.reason) == ("brightness", "the-admin", f"bad {EVIL}")
        page = client.get("/bundles").text
        assert EVIL not in page
        assert "Switched off by the-admin" in page
        for _ in range(2):  # two tabs
            assert client.post("/bundles/brightness/on", data={CSRF: csrf}, follow_redirects=False).status_code == 303
        assert switched_off(engine) == {}
        told = settings.audit.file.read_text() if settings.audit.file else ""
        assert told.count("Software Configuration") == 2
        assert "switched on" in told

    def test_what_cannot_be_switched_off_says_why(
        self, client: TestClient, engine: sa.Engine, secrets: dict[str, str]
    ) -> None:
        csrf = logged_in(client, secrets["admin"])
        for name, reason, status in (("brightness", " ", 422), ("none", "x", 404)):
            assert client.post(f"/bundles/{name}/off", data={CSRF: csrf, "reason": reason}).status_code == status
        assert switched_off(engine) == {}

    def test_a_stale_token_changes_nothing(
        self, client: TestClient, engine: sa.Engine, secrets: dict[str, str]
    ) -> None:
        logged_in(client, secrets["admin"])
        for csrf in ("", "0.forged"):
            answer = client.post("/bundles/brightness/off", data={CSRF: csrf, "reason": "x"})
            assert answer.status_code == 403
        assert switched_off(engine) == {}

    def test_pages_stand_without_a_database(self, settings: Settings, secrets: dict[str, str]) -> None:
        with TestClient(create_app(settings, dict)) as client:
            for path in ("/bundles", "/system"):
                answer = client.get(path, headers=bearer(secrets["viewer"]))
                assert answer.status_code == 200
                assert "does not answer, or is not set up" in answer.text or "is not set up" in answer.text


class TestSystem:
    def test_shows_parts_disks_queues_destinations_and_what_to_do(
        self, client: TestClient, settings: Settings, secrets: dict[str, str]
    ) -> None:
        read(settings, delivered=False)
        page = client.get("/system", headers=bearer(secrets["viewer"])).text
        for words in ("PACS at 127.0.0.1:9", "https://desk.example:443", "No worker is known", "free of", "Analyses"):
            assert words in page
        assert EVIL not in page
        assert "refused &lt;script&gt;" in page
        assert "swordfish" not in page
        assert "C-ECHO" not in page

    def test_damaged_outcomes_and_unfinished_folders_keep_no_page_from_being_shown(
        self, client: TestClient, settings: Settings, secrets: dict[str, str]
    ) -> None:
        read(settings)
        for name, content in (("b" * 32 + "-" + "0" * 16, "{"), ("c" * 32 + "-" + "0" * 16, None)):
            (settings.results / name).mkdir()
            if content is not None:
                (settings.results / name / "outcome.json").write_text(content)
        for path in ("/system", "/bundles"):
            assert client.get(path, headers=bearer(secrets["viewer"])).status_code == 200
        assert "1 of the newest 1" in client.get("/bundles", headers=bearer(secrets["viewer"])).text

    def test_an_operator_asks_a_destination(self, client: TestClient, secrets: dict[str, str]) -> None:
        csrf = logged_in(client, secrets["operator"])
        page = client.post("/system/echo", data={CSRF: csrf, "destination": "pacs"}).text
        assert "127.0.0.1:9" in page.split('role="status">')[1].split("</p>")[0]
        assert client.post("/system/echo", data={CSRF: csrf, "destination": EVIL}).status_code == 404
