"""Manifests are typed, and the card's table is theirs."""

from pathlib import Path

import pytest

from bundles.common.manifest import (
    Manifest,
    Metric,
    load_manifest,
    metrics_table,
    replace_metrics,
    sha256_of,
    shown_metrics,
    write_manifest,
)
from bundles.common.strict import ConfigurationError

MANIFEST = Manifest(
    sha256="0" * 64,
    training_data="phantom: none",
    parent_weights=None,
    commit="abc",
    command="make it",
    trained="2026-01-01",
    metrics={"a": Metric(label="Any", value=0.98765, low=0.9, high=1, positives=3, negatives=4)},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    write_manifest(tmp_path, MANIFEST)
    assert load_manifest(tmp_path) == MANIFEST


def test_missing_and_broken_manifests_are_refused_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"manifest\.json"):
        load_manifest(tmp_path)
    (tmp_path / "models").mkdir()
    for text in ("{", "[]", '{"sha256": "short"}'):
        (tmp_path / "models" / "manifest.json").write_text(text)
        with pytest.raises(ConfigurationError, match=r"manifest\.json"):
            load_manifest(tmp_path)


def test_table_goes_between_the_marks_and_comes_back() -> None:
    card = "# Card\n<!-- metrics -->\nold\n<!-- /metrics -->\nrest\n"
    table = metrics_table(MANIFEST)
    assert "| Any | 0.988 | 0.900 to 1.000 | 3 | 4 |" in table
    written = replace_metrics(card, table)
    assert shown_metrics(written) == table
    assert written.endswith("rest\n")


def test_a_card_without_marks_is_refused() -> None:
    assert shown_metrics("# Card") is None
    with pytest.raises(ConfigurationError, match="marks"):
        replace_metrics("# Card", "table")


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert sha256_of(tmp_path / "empty").startswith("e3b0c442")


def test_figures_that_are_no_areas_are_named_in_the_table() -> None:
    share = Metric(label="Boxes", value=0.5, low=0.4, high=0.6, positives=3, negatives=4, measure="fROC average")
    mixed = MANIFEST.model_copy(update={"metrics": {**MANIFEST.metrics, "boxes": share}})
    assert metrics_table(MANIFEST).splitlines()[0] == "| Output | AUC | 95 % interval | With | Without |"
    assert metrics_table(mixed).splitlines() == [
        "| Output | Figure | Value | 95 % interval | With | Without |",
        "|---|---|---|---|---|---|",
        "| Any | AUC | 0.988 | 0.900 to 1.000 | 3 | 4 |",
        "| Boxes | fROC average | 0.500 | 0.400 to 0.600 | 3 | 4 |",
    ]
