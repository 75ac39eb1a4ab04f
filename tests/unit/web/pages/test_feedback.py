"""Feedback over real reports and a real database; hostile texts stay texts."""

import json
from html import unescape
from io import BytesIO
from uuid import uuid4
from zipfile import ZipFile

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from app import outcomes
from app.assemble import assemble
from app.feedback import Answer, Place, of_bundle, of_study
from app.findings import Finding, Outcome, Presence, Report
from app.outcomes import StudyOutcome
from app.receive.spool import Spool
from app.settings import Settings
from tests.integration.workflow.tiny import ct_slices, send_to_spool
from tests.unit.web.pages.reading import CSRF, EVIL, KEY, UID, algorithm, bearer, form, logged_in, read

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
