"""A slice of a head CT on its way to a browser, and the page around it: at the server, warm."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from fastapi.testclient import TestClient
from rich.console import Console

from app.outcomes import StudyOutcome
from tests.benchmarks.ingest import Bound
from tests.unit.report.factory import make_study
from tests.unit.report.volumes import lesion_report
from tests.unit.web.study.received import Site, begun, finished, spooled

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

SIDE, SLICES = 512, 60
MOST_MS, MOST_PAGE_KB = 50.0, 300.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[TestClient, StudyOutcome]:
    folder: Path = tmp_path_factory.mktemp("slices")
    site = Site.of(folder)
    make_study(folder / "in", slices=SLICES, size=SIDE)
    outcome, study = begun(site.settings, spooled(site.settings, sorted((folder / "in").glob("*.dcm"))))
    mask = np.zeros((SIDE, SIDE, SLICES), np.int32)
    mask[100:220, 150:260, 20:40] = 1
    report = lesion_report(study, site.settings.results / outcome.key, mask)
    return site.client(), finished(site.settings, outcome, study, report)


def timed_ms(what: Callable[[], object], times: int = 1) -> list[float]:
    found = []
    for _ in range(times):
        started = time.perf_counter()
        what()
        found.append(1000 * (time.perf_counter() - started))
    return found


def test_a_slice_is_sent_in_less_than_fifty_milliseconds(site: tuple[TestClient, StudyOutcome]) -> None:
    client, outcome = site
    address = f"/study/{outcome.key}/series/0/slices"
    opening = timed_ms(lambda: client.get(f"/study/{outcome.key}/series/0").raise_for_status())
    first = [timed_ms(lambda at=at: client.get(f"{address}/{at}").raise_for_status())[0] for at in range(SLICES)]
    again = [timed_ms(lambda at=at: client.get(f"{address}/{at}").raise_for_status())[0] for at in range(SLICES)]
    assert len(client.get(f"{address}/0").content) == 2 * SIDE * SIDE
    page = client.get(f"/study/{outcome.key}")
    page_ms = timed_ms(lambda: client.get(f"/study/{outcome.key}"), 5)
    told = Console()
    told.print(f"a series of {SLICES} slices with outlines, opened first: {opening[0]:.0f} ms")
    told.print(f"a slice of {SIDE}×{SIDE}, first time: median {median(first):.1f} ms, slowest {max(first):.1f} ms")
    told.print(f"the same once more: median {median(again):.1f} ms, slowest {max(again):.1f} ms")
    told.print(f"the page: median {median(page_ms):.0f} ms, {len(page.content) / 1000:.0f} kB without images")
    bounds = (
        Bound("ms for a slice that was not shown before", median(first), MOST_MS, at_least=False),
        Bound("ms for a slice that was", median(again), MOST_MS, at_least=False),
        Bound("kB of the page without images", len(page.content) / 1000, MOST_PAGE_KB, at_least=False),
    )
    for bound in bounds:
        told.print(f"{bound.what}: {bound.value:.1f}, bound {bound.limit:g}: {'kept' if bound.holds else 'NOT KEPT'}")
    assert [bound for bound in bounds if not bound.holds] == []
