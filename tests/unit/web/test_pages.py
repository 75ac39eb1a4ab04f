"""Bundles, system and feedback over real bundles, a real database and real outcomes; hostile texts stay texts."""

import json
from collections.abc import Iterator
from html import unescape
from io import BytesIO
from pathlib import Path
from uuid import uuid4
from zipfile import ZipFile

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app import outcomes
from app.access import Role
from app.assemble import assemble
from app.assignment import Assignment, Decision
from app.documents import Document, DocumentKind, Receipt
from app.feedback import Answer, Place, of_bundle, of_study
from app.findings import Algorithm, Finding, Outcome, Presence, Report, SliceScore
from app.outcomes import Shipment, StudyOutcome
from app.receive.spool import Spool
from app.settings import Settings
from app.switches import switched_off
from app.tokens import make
from app.warmth import BundleState, Teller
from app.web.server import create_app
from app.workflow_database import Heartbeat, beats_of, open_engine
from app.workflow_migration import migrate
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_bundle

EVIL = "<script>alert(1)</script>"
UID = "1.2.840.99.1"
KEY = f"{outcomes.uid_hash(UID)}-{'a' * 16}"
CSRF = "csrf"
MISFITS: tuple[tuple[dict[str, str], str], ...] = (
    ({"answer": "yes"}, "agree, disagree, elsewhere, unsure"),
    ({"answer": ""}, "agree, disagree, elsewhere, unsure"),
    ({"answer": "disagree", "place": "point", "slice": "1"}, "contradict each other"),
    ({"answer": "disagree", "place": "as shown"}, "or answer 'elsewhere' and say where"),
    ({"answer": "elsewhere", "place": "as shown"}, "contradict each other"),
    ({"answer": "elsewhere"}, "in which image or slice"),
    ({"finding": "wrist_fracture"}, "does not speak of that finding"),
    ({"finding": "subdural_hemorrhage"}, "undetermined"),
    ({"version": "9"}, "load the page again"),
    ({"bundle": EVIL}, "load the page again"),
    ({"place": "moon"}, "the place is one of"),
    ({"place": "point"}, "in which image or slice"),
    ({"place": "point", "slice": "4"}, "numbers from 1 to 3"),
    ({"place": "point", "slice": "9" * 5000}, "numbers from 1 to 3"),
    ({"place": "point", "slice": "٣"}, "numbers from 1 to 3"),
    ({"place": "point", "sop_instance_uid": "1.2.3"}, "none that this finding was sought in"),
    ({"place": "point", "slice": "1", "column": "nan", "row": "1"}, "column is a number"),
    ({"place": "point", "slice": "1", "column": "1"}, "a column and a row"),
    ({"comment": "x" * 2001}, "2001 letters"),
)


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


def algorithm(settings: Settings) -> Algorithm:
    manifest = json.loads((settings.bundles.folder / "brightness" / "models" / "manifest.json").read_text())
    return Algorithm("brightness", "0.1.0", manifest["sha256"], manifest["training_data"], "research", "Brightness")


def read(settings: Settings, *, delivered: bool = True) -> Report:
    """A study that the bundle has read, present at 0.93."""
    scores = tuple(SliceScore(f"1.9.{n}", n, 0.9) for n in range(3))
    findings = (
        Finding("intracranial_hemorrhage", Presence.PRESENT, 0.93, 0.5, slices=scores),
        Finding("subdural_hemorrhage", Presence.UNDETERMINED),
    )
    report = Report(UID, "a" * 16, "1.5", 0, algorithm(settings), Outcome.SUCCEEDED, findings, seconds=0.5)
    document = Document(
        DocumentKind.SR, "brightness", settings.results / KEY / "b-0.sr.dcm", "2.25.1", series_uid="1.5"
    )
    outcome = StudyOutcome(
        KEY,
        1000.0,
        1002.0,
        files=("a", "b"),
        study_uid=UID,
        decision=Decision((Assignment("brightness", "brightness/accepts", "1.5", 0, 3),), ()),
        reports=(report,),
        documents=(document,),
        shipments=(Shipment("b-0.sr.dcm", "pacs"),),
        receipts=(Receipt("pacs", "b-0.sr.dcm", delivered=delivered, attempts=3, detail=f"refused {EVIL}"),),
    )
    outcomes.begin(settings.results, outcome)
    return report


def logged_in(client: TestClient, secret: str) -> str:
    """Log in by the form; what forms then carry."""
    page = client.get("/login").text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    assert client.post("/login", data={"csrf": token, "token": secret}, follow_redirects=False).status_code == 303
    return unescape(client.get("/feedback").text.split('name="csrf" content="')[1].split('"')[0])


def form(report: Report, **more: str) -> dict[str, str]:
    who = report.algorithm
    return {
        "bundle": who.name,
        "version": who.version,
        "series_uid": report.series_uid,
        "stack": str(report.stack),
        "finding": "intracranial_hemorrhage",
        "answer": "agree",
        **more,
    }


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}", "Accept": "text/html"}


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


class TestFeedback:
    def test_an_answer_is_kept_with_the_identity_of_its_report_and_its_history(
        self, client: TestClient, settings: Settings, engine: sa.Engine, secrets: dict[str, str]
    ) -> None:
        report = read(settings)
        csrf = logged_in(client, secrets["viewer"])
        where = {"place": "point", "slice": "2", "column": "10.5", "row": "20"}
        for data in (form(report), form(report), form(report, answer="elsewhere", comment=EVIL, **where)):
            answer = client.post(f"/feedback/study/{KEY}", data={CSRF: csrf, **data}, follow_redirects=False)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/feedback/study/{KEY}")
        first, second = of_study(engine, KEY)  # what was sent twice is there once
        who = report.algorithm
        assert first.report == (KEY, who.name, who.version, who.weights_sha256, "1.5", 0)
        assert (first.answer, first.presence, first.certainty, first.truth) == (Answer.AGREE, "present", 0.93, True)
        assert (second.answer, second.place, second.truth) == (Answer.ELSEWHERE, Place.POINT, True)
        assert (second.sop_instance_uid, second.column, second.row) == ("1.9.1", 10.5, 20.0)
        for path in (f"/feedback/study/{KEY}", "/feedback"):
            page = client.get(path).text
            assert EVIL not in page
            assert "&lt;script&gt;" in page
        assert "slice 2, column 10.5, row 20" in client.get(f"/feedback/study/{KEY}").text
        assert "(changed since)" in client.get(f"/feedback/study/{KEY}").text
        told = settings.audit.file.read_text() if settings.audit.file else ""
        assert told.count("feedback on a finding was given") == 2
        assert EVIL not in told

    def test_a_comment_on_a_page_that_was_too_old_is_shown_again_in_its_form_and_kept_nowhere(
        self, client: TestClient, settings: Settings, engine: sa.Engine, secrets: dict[str, str]
    ) -> None:
        report = read(settings)
        logged_in(client, secrets["viewer"])
        data = {CSRF: "1.AAAA", **form(report, answer="disagree", comment=f"half an hour {EVIL}")}
        browser = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
        page = client.post(f"/feedback/study/{KEY}", data=data, headers=browser).text
        assert "This page was too old: nothing was done." in page
        assert f">half an hour {EVIL.replace('<', '&lt;').replace('>', '&gt;')}</textarea>" in page
        assert 'value="disagree" id="answer-1-1-2" required checked' in page
        assert of_study(engine, KEY) == ()
        assert "half an hour" not in client.get(f"/feedback/study/{KEY}", headers=browser).text

    def test_what_fits_no_report_is_refused_with_the_reason(
        self, client: TestClient, settings: Settings, engine: sa.Engine, secrets: dict[str, str]
    ) -> None:
        report = read(settings)
        csrf = logged_in(client, secrets["viewer"])
        for changes, words in MISFITS:
            answer = client.post(f"/feedback/study/{KEY}", data={CSRF: csrf, **form(report), **changes})
            assert (changes, answer.status_code) == (changes, 422)
            assert words in answer.json()["detail"]
        assert of_study(engine, KEY) == ()

    def test_pages_of_the_list_follow_each_other_without_loss(
        self, client: TestClient, settings: Settings, engine: sa.Engine, secrets: dict[str, str]
    ) -> None:
        from app.feedback import Feedback, give

        who = algorithm(settings)
        for number in range(120):
            about = (f"{number:032x}-{'0' * 16}", who.name, who.version, who.weights_sha256, "1.5", 0)
            # Many at the same moment: the id decides.
            said = Feedback(
                uuid4().hex, float(number // 60), f"r{number}", *about, "lung_lesion", "present", 0.9, Answer.AGREE
            )
            assert give(engine, said)
        seen: list[str] = []
        path = "/feedback?bundle=brightness"
        while path:
            page = client.get(path, headers=bearer(secrets["viewer"])).text
            seen += [line.split("<td>r")[1].split("<")[0] for line in page.splitlines() if "<td>r" in line]
            path = unescape(page.split('class="button" href="')[1].split('"')[0]) if 'class="button"' in page else ""
        assert sorted(map(int, seen)) == list(range(120))
        assert len(seen) == 120

    @pytest.mark.parametrize("query", ["before=x", "before=1,zz", "bundle=%00", "answer='", "before=" + "9" * 100])
    def test_malformed_queries_are_refused(self, client: TestClient, secrets: dict[str, str], query: str) -> None:
        assert client.get(f"/feedback?{query}", headers=bearer(secrets["viewer"])).status_code == 422

    def test_a_study_that_is_gone_is_told(self, client: TestClient, secrets: dict[str, str]) -> None:
        assert client.get(f"/feedback/study/{KEY}", headers=bearer(secrets["viewer"])).status_code == 404

    def test_an_export_without_images_says_so_and_leaves_nothing(
        self, client: TestClient, settings: Settings, engine: sa.Engine, secrets: dict[str, str]
    ) -> None:
        report = read(settings)
        csrf = logged_in(client, secrets["admin"])
        client.post(f"/feedback/study/{KEY}", data={CSRF: csrf, **form(report)})
        assert len(of_bundle(engine, "brightness")) == 1
        answer = client.post("/feedback/export", data={CSRF: csrf, "bundle": "brightness"})
        assert answer.status_code == 422
        assert "its images or results were removed" in answer.json()["detail"]
        assert list(settings.run.glob("feedback-export-*")) == []

    def test_an_export_is_a_zip_whose_making_leaves_nothing_behind(
        self, client: TestClient, settings: Settings, engine: sa.Engine, secrets: dict[str, str]
    ) -> None:
        slices = ct_slices(UID, slices=3)
        send_to_spool(Spool(settings.spool.folder, 0), slices)
        study = assemble(sorted((settings.spool.folder / "studies" / outcomes.uid_hash(UID)).iterdir()))
        (series,) = study.series
        finding = Finding("intracranial_hemorrhage", Presence.PRESENT, 0.93, 0.5)
        report = Report(UID, study.revision, series.uid, 0, algorithm(settings), Outcome.SUCCEEDED, (finding,))
        files = tuple(each.path.name for each in series.instances)
        outcomes.begin(settings.results, StudyOutcome(study.key, 1.0, 2.0, files, study_uid=UID, reports=(report,)))
        csrf = logged_in(client, secrets["admin"])
        client.post(f"/feedback/study/{study.key}", data={CSRF: csrf, **form(report)})
        answer = client.post("/feedback/export", data={CSRF: csrf, "bundle": "brightness"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
        assert answer.headers["content-disposition"] == 'attachment; filename="feedback-brightness.zip"'
        with ZipFile(BytesIO(answer.content)) as file:
            assert file.testzip() is None
            content = json.loads(file.read("brightness/datalist.json"))
            (row,) = [row for part in ("training", "validation", "test") for row in content[part]]
            assert row["label"] == 1
            inside = [name for name in file.namelist() if name.startswith(f"brightness/{row['image']}/")]
            assert len(inside) == 3
        assert list(settings.run.glob("feedback-export-*")) == []
        assert settings.audit.file is not None
        assert settings.audit.file.read_text().count('originalText="Export"') == 1
