"""Another analysis of a revision: an identity of its own, begun once, refused where it cannot be had."""

from dataclasses import replace
from pathlib import Path

import pytest

from app import outcomes, reruns, revisions
from app.assignment import Decision
from app.errors import Rejected, Retryable
from app.outcomes import State, StudyOutcome
from app.reassembly import reassemble
from app.retention import alone
from app.settings import Settings
from app.study import revision_of
from tests.unit.report.factory import make_study
from tests.unit.web.study.received import begun, settings_in, spooled

NOW = 5000.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


def final(settings: Settings, tmp_path: Path, slices: int = 3, **changes: object) -> StudyOutcome:
    """A study that no bundle wants: as done as can be."""
    make_study(tmp_path / f"in{slices}", slices=slices)
    files = spooled(settings, sorted((tmp_path / f"in{slices}").glob("*.dcm")))
    outcome, _ = begun(settings, files, decision=Decision((), ()), **changes)
    assert outcome.state is State.UNWANTED
    return outcome


def end(settings: Settings, outcome: StudyOutcome) -> None:
    outcomes.record(settings.results / outcome.key, lambda known: replace(known, decision=Decision((), ())))


def test_a_run_has_an_identity_of_its_own_and_stands_for_the_one_before(settings: Settings, tmp_path: Path) -> None:
    first = final(settings, tmp_path)
    second = reruns.ask(settings, first.key, NOW)
    assert second.key.partition("-")[0] == first.key.partition("-")[0]
    assert second.key != first.key
    assert (second.run, second.files, second.received_at) == (2, first.files, NOW)
    assert second.state is State.RECEIVED
    assert revisions.is_newer(second, first)
    assert not revisions.is_newer(first, second)
    study = reassemble(settings.spool.folder, second)
    assert study.key == second.key
    assert study.notes == ("analysed again because an operator asked for it (run 2)",)
    assert reassemble(settings.spool.folder, first).key == first.key


def test_a_third_run_follows_the_second_and_says_so_once(settings: Settings, tmp_path: Path) -> None:
    first = final(settings, tmp_path, arrival_notes=("odd",))
    second = reruns.ask(settings, first.key, NOW)
    end(settings, second)
    third = reruns.ask(settings, second.key, NOW - 100)  # a clock that was set back
    assert third.run == 3
    assert third.arrival_notes == ("odd", "analysed again because an operator asked for it (run 3)")
    assert revisions.is_newer(third, second)
    assert len({first.key, second.key, third.key}) == 3


def test_what_was_asked_is_begun_once_whoever_dies(settings: Settings, tmp_path: Path) -> None:
    asked = reruns.ask(settings, final(settings, tmp_path).key, NOW)
    # The asker died before it wrote the outcome: the question alone is enough.
    (settings.results / asked.key / outcomes.OUTCOME).unlink()
    started: list[str] = []

    def dies(key: str) -> None:
        started.append(key)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reruns.take(settings.results, dies)
    assert reruns.take(settings.results, started.append) == 1
    assert reruns.take(settings.results, started.append) == 0
    assert started == [asked.key, asked.key]  # the workflow's key makes the second begin nothing
    assert outcomes.read(settings.results / asked.key) == asked


def test_a_second_tab_is_told_that_it_is_under_way(settings: Settings, tmp_path: Path) -> None:
    first = final(settings, tmp_path)
    second = reruns.ask(settings, first.key, NOW)
    with pytest.raises(Rejected, match="newer revision"):
        reruns.ask(settings, first.key, NOW)
    with pytest.raises(Rejected, match="not finished"):
        reruns.ask(settings, second.key, NOW)


def test_an_older_revision_is_not_analysed_again(settings: Settings, tmp_path: Path) -> None:
    older = final(settings, tmp_path, slices=2)
    newer = final(settings, tmp_path, slices=3)
    with pytest.raises(Rejected, match=newer.key.rpartition("-")[2]):
        reruns.ask(settings, older.key, NOW)


def test_without_its_images_a_study_has_to_be_sent_again(settings: Settings, tmp_path: Path) -> None:
    first = final(settings, tmp_path)
    next((settings.spool.folder / "studies").glob("*/*.dcm")).unlink()
    with pytest.raises(Rejected, match=r"1 of 3 images .* send the study once more"):
        reruns.ask(settings, first.key, NOW)
    with pytest.raises(Rejected, match="no study"):
        reruns.ask(settings, "0" * 32 + "-" + "0" * 16, NOW)


def test_nothing_is_asked_while_images_are_pruned(settings: Settings, tmp_path: Path) -> None:
    first = final(settings, tmp_path)
    with alone(settings.run) as ours:
        assert ours
        with pytest.raises(Retryable, match="ask again"):
            reruns.ask(settings, first.key, NOW)
    assert reruns.ask(settings, first.key, NOW).run == 2


def test_a_damaged_question_is_put_aside(settings: Settings, tmp_path: Path) -> None:
    asked = reruns.ask(settings, final(settings, tmp_path).key, NOW)
    (settings.results / reruns.FOLDER / f"{asked.key}.json").write_text("{")
    assert reruns.take(settings.results, lambda _: pytest.fail("begun")) == 0
    assert [path.suffix for path in (settings.results / reruns.FOLDER).glob(f"{asked.key}*")] == [".damaged"]


def test_a_first_run_keeps_the_name_that_it_always_had(tmp_path: Path) -> None:
    files = [tmp_path / "a.b.dcm"]
    assert revision_of(files) == revision_of(files, run=1) != revision_of(files, run=2)
    assert revision_of(files, interrupted=True, run=2) != revision_of(files, run=2)
