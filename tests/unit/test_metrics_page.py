"""docs/metrics.md is what the code says, and the names keep Prometheus' conventions."""

import re
from pathlib import Path

from app.cli.metrics_page import LABELS, every_figure, page
from app.receive import storage
from app.receive.metrics import REFUSALS, REJECTIONS
from app.receive.refusals import HINTS

UNITS = ("_seconds", "_bytes", "_ratio", "_info")
COUNTS = {
    "vigil_associations_open",
    "vigil_bundles_refused",
    "vigil_commitments_outstanding",
    "vigil_dead_letters",
    "vigil_destination_left_alone",
    "vigil_documents_never_made",
    "vigil_documents_waiting",
    "vigil_model_ready",
    "vigil_outcomes_damaged",
    "vigil_part_ok",
    "vigil_queue_depth",
    "vigil_studies_arriving",
    "vigil_studies_unfinished",
    "vigil_workers_alive",
}
"""Gauges that count something, or say yes or no: they have no unit."""
CHOSEN_BY_SENDERS = {"ae", "ae_title", "calling_ae", "peer", "address", "host", "study", "uid", "patient", "modality"}


def test_the_page_is_what_the_code_says(root: Path) -> None:
    told = (root / "docs" / "metrics.md").read_text()
    assert told == page(), "run: python -m app.cli.metrics_page > docs/metrics.md"


def test_names_keep_the_conventions() -> None:
    for each in every_figure():
        assert re.fullmatch(r"vigil_[a-z_]+", each.name), each
        assert (each.kind == "counter") == each.name.endswith("_total"), each
        if each.kind == "histogram":
            assert each.name.endswith(UNITS[:2]), each
        if each.kind == "gauge":
            assert each.name.endswith(UNITS) != (each.name in COUNTS), each
        assert each.meaning[0].isupper() or each.meaning[0] == "1", each
        assert "\n" not in each.meaning
        assert "|" not in each.meaning


def test_no_name_is_there_twice() -> None:
    names = [each.name for each in every_figure()]
    assert len(names) == len(set(names))


def test_every_reason_to_turn_somebody_away_is_there_from_the_start() -> None:
    assert set(HINTS) <= set(REJECTIONS)
    refusals = {each.reason for each in vars(storage).values() if isinstance(each, storage.Refusal)}
    assert refusals <= set(REFUSALS)


def test_labels_are_explained_and_none_is_a_senders_choice() -> None:
    used = {label for each in every_figure() for label in each.labels}
    assert used == set(LABELS)
    assert not used & CHOSEN_BY_SENDERS
