"""What pages count and draw: certainties, certificates' ends, bundles whose files change, studies that are kept."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import trustme
from hypothesis import given
from hypothesis import strategies as st

from app import outcomes
from app.findings import Algorithm, Finding, Outcome, Presence, Report
from app.outcomes import OUTCOME, StudyOutcome
from app.settings import Settings
from app.web.bundle_views import BINS, HEIGHT, WIDTH, histogram
from app.web.recent import GOOD_FOR_S, MOST, Recent
from app.web.shelf import Shelf
from app.web.system_views import certificates
from app.workflow_database import open_engine
from app.worklist import Worklist
from app.worklist_table import WORKLIST
from tests.integration.workflow.tiny import write_bundle
from tests.unit.worklist_cases import settings_in, with_tables

WHO = Algorithm("head", "1", "0" * 64, "phantom", "research")


def report(certainty: float | None, threshold: float | None = 0.5) -> Report:
    there = certainty is not None and threshold is not None and certainty >= threshold
    presence = Presence.UNDETERMINED if certainty is None else Presence.PRESENT if there else Presence.ABSENT
    finding = Finding("intracranial_hemorrhage", presence, certainty, threshold)
    return Report("1", "0" * 16, "1.2", 0, WHO, Outcome.SUCCEEDED, (finding,))


@given(st.lists(st.integers(0, 999).map(lambda number: (number + 0.5) / 1000), min_size=1, max_size=60))
def test_a_histogram_counts_every_certainty_once(certainties: list[float]) -> None:
    drawn = histogram([report(each) for each in certainties])
    assert drawn is not None
    # Slow and plain: each bar by itself; no certainty lies on an edge.
    counts = [sum(number < each * BINS < number + 1 for each in certainties) for number in range(BINS)]
    assert sum(counts) == drawn.count == len(certainties)
    assert drawn.present == sum(each >= 0.5 for each in certainties)
    assert [bar.height for bar in drawn.bars] == [round(HEIGHT * each / max(counts), 2) for each in counts]
    assert [bar.over for bar in drawn.bars] == [False] * (BINS // 2) + [True] * (BINS // 2)
    assert drawn.threshold == WIDTH / 2


def test_reports_without_a_certainty_draw_nothing() -> None:
    assert histogram([]) is None
    assert histogram([report(None, None)]) is None
    assert histogram([replace(report(0.4), findings=())]) is None


def test_certificates_tell_their_ends_and_what_is_wrong(tmp_path: Path) -> None:
    ends = datetime.now(UTC) + timedelta(days=10)
    issued = trustme.CA().issue_cert("vigil.example", not_after=ends)
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    pair = {"certificate_file": tmp_path / "certificate.pem", "key_file": tmp_path / "key.pem"}
    gone = {"certificate_file": tmp_path / "none.pem", "key_file": tmp_path / "key.pem"}
    settings = Settings.model_validate(
        {
            "http": {"tls": pair},
            "destinations": [{"name": "pacs", "host": "h", "port": 1, "ae_title": "P", "tls": gone}],
        }
    )
    ours, lost = certificates(settings)
    assert ours.whose == "web"
    assert ours.until == pytest.approx(ends.timestamp(), abs=1)
    assert ours.problem.startswith("expires in 9 days")
    assert (lost.whose, lost.until) == ("to pacs", None)
    assert "none.pem" in lost.problem


def test_bundles_are_read_again_when_their_files_change_and_only_then(tmp_path: Path) -> None:
    root = write_bundle(tmp_path)
    shelf = Shelf(Settings.model_validate({"bundles": {"folder": tmp_path}}))
    before = shelf.catalogue()
    assert shelf.catalogue() is before
    assert before.get("brightness").algorithm.version == "0.1.0"
    metadata = json.loads((root / "configs" / "metadata.json").read_text())
    (root / "configs" / "metadata.json").write_text(json.dumps({**metadata, "version": "0.2.0 "}))
    assert shelf.catalogue().get("brightness").algorithm.version.strip() == "0.2.0"


@pytest.fixture(params=[True, False], ids=["indexed", "without an index"])
def worklist(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Worklist]:
    settings = settings_in(tmp_path)
    engine = with_tables(settings) if request.param else open_engine(settings.database)
    made = Worklist(settings, engine)
    if request.param:
        made.compare()
    yield made
    engine.dispose()


def test_the_newest_studies_are_kept_for_some_seconds(worklist: Worklist) -> None:
    now = [100.0]
    settings = worklist.settings
    recent = Recent(settings, worklist, lambda: now[0])
    assert recent.studies() == ()
    outcomes.begin(settings.results, StudyOutcome("a" * 32 + "-" + "0" * 16, time.time(), reports=(report(0.7),)))
    assert recent.reports("head") == []
    now[0] += GOOD_FOR_S
    assert [each.findings[0].certainty for each in recent.reports("head")] == [0.7]
    assert recent.reports("other") == []


def test_no_more_than_the_newest_are_read_and_each_once_as_long_as_it_stays(
    worklist: Worklist, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, now = worklist.settings.results, [0.0]
    keys = [f"{number:032x}-{'0' * 16}" for number in range(MOST + 5)]
    for number, key in enumerate(keys):
        outcomes.begin(results, StudyOutcome(key, float(number)))
        os.utime(results / key / OUTCOME, (number, number))
    (results / keys[-2] / OUTCOME).write_text("{")
    os.utime(results / keys[-2] / OUTCOME, (len(keys) - 2, len(keys) - 2))
    indexed = sa.inspect(worklist.engine).has_table(WORKLIST.name)
    while indexed and worklist.catch_up():
        pass
    recent = Recent(worklist.settings, worklist, lambda: now[0])
    newest = [*keys[-1:], *reversed(keys[4:-2])]
    assert [each.key for each in recent.studies()] == newest[:MOST]
    outcomes.record(results / keys[7], lambda known: replace(known, problem="broken"))
    if indexed:
        worklist.catch_up()
    read: list[str] = []
    truly = outcomes.read
    monkeypatch.setattr(outcomes, "read", lambda folder: read.append(folder.name) or truly(folder))
    now[0] += GOOD_FOR_S
    assert [each.key for each in recent.studies()][:2] == [keys[7], keys[-1]]
    assert read == [keys[7], keys[-2]]
