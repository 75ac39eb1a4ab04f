"""The worklist of 100 000 studies: time at the server of the first page, of each filter and of deep pages, and size."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.outcomes import State
from app.settings import Settings
from app.study import uid_hash
from app.tables import asking
from app.web.server import create_app
from app.worklist_rows import Names, Row, Shown, Told
from app.worklist_table import advance, put
from tests.unit.worklist_cases import settings_in, with_tables

pytestmark = pytest.mark.bench

STUDIES = 100_000
BATCH = 2000
BOUND_S, BOUND_BYTES = 0.150, 300_000
REPEATS = 7
FAMILIES = ("Doe", "Müller", "Okafor", "Yamada", "O'Neil", "Nguyễn", "García", "Kowalski", "Smith", "Rossi")
GIVEN = ("Jane", "Jörg", "Chidi", "Tarou", "Pat", "An", "Lucía", "Ewa", "John", "Ugo", "Mia")
KINDS = (
    ("CT", "Head CT without contrast agent", "head_ct_hemorrhage", "intracranial_hemorrhage"),
    ("DX", "Chest, two views", "chest_radiograph", "pneumothorax"),
    ("MR", "Head MR with contrast agent", "brain_metastasis", "brain_metastasis"),
    ("CR", "Wrist", "wrist_fracture", "wrist_fracture"),
)
STATES = (
    *[State.DELIVERED] * 90,
    *[State.UNWANTED] * 6,
    State.UNDELIVERED,
    State.FAILED,
    State.PROCESSING,
    State.RECEIVED,
)

ASKED = {
    "first page": "",
    "state delivered": "state=delivered",
    "state failed": "state=failed",
    "detector": "detector=brain_metastasis",
    "flagged": "priority=urgent",
    "not flagged": "priority=routine",
    "patient": "q=okafor+lucía",
    "accession": "q=ACC0077123",
    "finding": "q=pneumothorax",
    "study date": "q=2025-03-14",
    "StudyInstanceUID": "q=1.2.826.0.1.77123",
    "nobody": "q=nobody+at+all",
    "days": "since=2025-06-01&until=2025-06-07",
    "all at once": "q=doe&state=delivered&detector=head_ct_hemorrhage&priority=routine&until=2025-12-31",
}


def a_study(number: int) -> Row:
    modality, words, bundle, kind = KINDS[number % len(KINDS)]
    state, at = STATES[number * 37 % len(STATES)], 1735700000.0 + 300.0 * number
    present = state is State.DELIVERED and number % 11 == 0
    told = Told(kind, "present" if present else "absent", 0.9 if present else 0.1, 0.5)
    day = time.strftime("%Y%m%d", time.gmtime(at))
    person = f"{FAMILIES[number % len(FAMILIES)]}^{GIVEN[number % len(GIVEN)]}"
    uid, accession = f"1.2.826.0.1.{number}", f"ACC{number:07d}"
    return Row(
        key=f"{uid_hash(uid)}-{number:016x}",
        changed=1,
        urgent=int(present and number % 3 == 0),
        received_at=at,
        finished_at=at + 3.0,
        state=state,
        shown=Shown(36, (told,), research_only=True),
        names=Names(uid, modality, person, f"PID{number % 60000:06d}", accession, day, words),
        bundles=(bundle,) if state is not State.UNWANTED else (),
        findings=(kind,) if present else (),
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings: Settings = settings_in(Path(tmp_path_factory.mktemp("worklist")))
    engine = with_tables(settings)
    for start in range(0, STUDIES, BATCH):
        with asking(engine) as connection:
            put(connection, [a_study(number) for number in range(start, start + BATCH)])
    with asking(engine) as connection:
        advance(connection, whole=True)
    yield TestClient(create_app(settings, dict))
    engine.dispose()


def measured(client: TestClient, address: str) -> tuple[float, int, str]:
    """Median seconds of an answer, its bytes, and itself; says the median of the processor's time too."""
    times, busy = [], []
    for _ in range(REPEATS):
        begun, began = time.perf_counter(), time.process_time()
        answer = client.get(address)
        times.append(time.perf_counter() - begun)
        busy.append(time.process_time() - began)
        assert answer.status_code == 200
    size = len(answer.content)
    told = f"{1000 * statistics.median(times):.0f} ms (≤ {1000 * BOUND_S:.0f}), {1000 * statistics.median(busy):.0f} ms"
    print(f"\nworklist of {STUDIES}, {address[:60]}: {told} of the processor, {size} bytes (≤ {BOUND_BYTES})")
    return statistics.median(times), size, answer.text


@pytest.mark.parametrize("name", ASKED)
def test_page_and_filters(client: TestClient, name: str) -> None:
    seconds, size, text = measured(client, f"/?{ASKED[name]}")
    shown = text.count('class="open"')
    assert (shown == 0) == (name == "nobody")
    assert seconds < BOUND_S
    assert size < BOUND_BYTES


def test_deep_pages(client: TestClient) -> None:
    """A page in the middle costs what the first one costs."""
    middle = a_study(STUDIES // 2 + 1)
    place = f"0~{middle.received_at!r}~{middle.key}"
    for way in ("after", "before"):
        seconds, size, _ = measured(client, f"/?{way}={place}")
        assert seconds < BOUND_S
        assert size < BOUND_BYTES
