"""Bundles that are switched off, and what workers tell of theirs: on both databases, over restarts."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from app.demo.pacs import Pacs
from app.errors import Rejected, Retryable
from app.outcomes import State
from app.settings import Database
from app.switches import LONGEST_REASON, Switch, switch_off, switch_on, switched_off
from app.warmth import BundleState, Teller, states_of
from app.workflow_database import Heartbeat, open_engine
from app.workflow_migration import migrate
from tests.integration.workflow.conftest import Installation
from tests.integration.workflow.tiny import ct_slices, send_to_spool

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    migrate(Database(url=database_url))
    engine = open_engine(Database(url=database_url))
    yield engine
    engine.dispose()


def off(bundle: str = "brightness", reason: str = "new scanner") -> Switch:
    return Switch(bundle, 1000.0, "ada", reason)


def test_what_is_switched_off_stays_so_until_it_is_switched_on(engine: sa.Engine) -> None:
    assert switched_off(engine) == {}
    switch_off(engine, off())
    switch_off(engine, off("other"))
    assert switched_off(engine) == {"brightness": off(), "other": off("other")}
    assert [switch_on(engine, "brightness"), switch_on(engine, "brightness")] == [True, False]
    assert list(switched_off(engine)) == ["other"]


def test_of_two_who_switch_it_off_the_last_reason_counts(engine: sa.Engine) -> None:
    switch_off(engine, off())
    switch_off(engine, off(reason="recalled  by\n its maker"))
    assert switched_off(engine)["brightness"].words == (
        "the bundle 'brightness' is switched off: recalled by its maker"
    )


@pytest.mark.parametrize(("reason", "words"), [(" \n", "say why"), ("x" * (LONGEST_REASON + 1), "301 letters")])
def test_a_reason_is_needed_and_has_an_end(engine: sa.Engine, reason: str, words: str) -> None:
    with pytest.raises(Rejected, match=words):
        switch_off(engine, off(reason=reason))
    assert switched_off(engine) == {}


def test_a_database_without_tables_says_what_to_do(database_url: str) -> None:
    engine = open_engine(Database(url=database_url))
    with pytest.raises(Retryable, match="python -m app migrate"):
        switched_off(engine)
    engine.dispose()


def test_a_worker_tells_and_takes_back_what_its_bundles_are_like(engine: sa.Engine) -> None:
    cold = BundleState("head", "1.0", "0" * 64, "cpu")
    warm = BundleState("head", "1.0", "0" * 64, "cpu", "", 5.0, 1.5, 4096, 2, 7.0)
    hearts = [Heartbeat(engine, name, 30) for name in ("one", "two")]
    for heart in hearts:
        heart.beat()
    one, two = Teller(engine, "one"), Teller(engine, "two")
    one.tell([cold])
    two.tell([cold])
    one.tell([warm])
    assert states_of(engine) == {"one": (warm,), "two": (cold,)}
    one.retire()
    assert states_of(engine) == {"two": (cold,)}
    hearts[0].bury(["two"])
    assert states_of(engine) == {}
    one.tell([cold])
    with engine.connect() as connection:
        left = connection.execute(sa.text("SELECT worker FROM vigil_bundle_states")).scalars().all()
    assert left == ["one"]


def test_studies_are_declined_while_a_bundle_is_off_and_read_when_it_is_on(
    installation: Installation, pacs: Pacs
) -> None:
    engine = open_engine(installation.settings.database)
    switch_off(engine, off())
    with installation.worker():
        send_to_spool(installation.spool(), ct_slices())
        (held,) = installation.wait_final()
        (state,) = states_of(engine)[installation.settings.worker.id]
        assert (state.bundle, state.problem, state.analyses) == ("brightness", "", 0)
        assert state.warmed_at is not None
        assert state.weights_bytes == 8  # two numbers of four bytes
        assert switch_on(engine, "brightness")
        send_to_spool(installation.spool(), ct_slices())
        done = installation.wait_final(2)
    assert held.state is State.UNWANTED
    assert held.decision is not None
    assert held.decision.declined[0].reasons == ("the bundle 'brightness' is switched off: new scanner",)
    assert {each.state for each in done} == {State.UNWANTED, State.DELIVERED}
    assert len(pacs.arrived) == 1
    assert states_of(engine) == {}
    engine.dispose()
