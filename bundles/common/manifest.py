"""`models/manifest.json`: where weights come from, and the table of figures that the model card must show."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from bundles.common.strict import ConfigurationError, Strict

MANIFEST = Path("models/manifest.json")
WEIGHTS = Path("models/model.pt")
AREA = "AUC"


class Metric(Strict):
    """One measured figure with its 95 % interval and the number of labels behind it.

    Attributes:
        label: What was measured, for people.
        value, low, high: The figure and its interval.
        positives, negatives: Labels with and without the finding; of boxes, images with and without.
        measure: Which figure it is.
    """

    label: str
    value: float
    low: float
    high: float
    positives: int = Field(ge=0)
    negatives: int = Field(ge=0)
    measure: str = AREA


class Manifest(Strict):
    """Provenance of one file of weights.

    Attributes:
        sha256: Of `models/model.pt`.
        training_data: By name; starts with "phantom" where no patient was involved.
        parent_weights: sha256 of the weights that training started from; None for random ones.
        commit: Of the repository when the training was started.
        command: What makes them again.
        trained: Date, ISO 8601.
        metrics: On held-out test cases, by name.
    """

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    training_data: str = Field(min_length=1)
    parent_weights: str | None
    commit: str
    command: str
    trained: str
    metrics: dict[str, Metric]


def load_manifest(bundle: Path) -> Manifest:
    """Read the manifest of a bundle folder.

    Raises:
        ConfigurationError: It is missing, is no JSON, or lacks something.
    """
    path = bundle / MANIFEST
    try:
        return Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (ValueError, ValidationError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def write_manifest(bundle: Path, manifest: Manifest) -> None:
    """Write the manifest of a bundle folder."""
    text = json.dumps(manifest.model_dump(), indent=2, ensure_ascii=False) + "\n"
    (bundle / MANIFEST).write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Hash of a file, lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def metrics_table(manifest: Manifest) -> str:
    """The figures as the Markdown table that `docs/README.md` holds between its `metrics` marks.

    Where all are areas, the head says so; otherwise each line says what it is.
    """
    alike = all(metric.measure == AREA for metric in manifest.metrics.values())
    head = ("Output", AREA) if alike else ("Output", "Figure", "Value")
    head = (*head, "95 % interval", "With", "Without")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [
        f"| {metric.label} | {'' if alike else f'{metric.measure} | '}{metric.value:.3f} "
        f"| {metric.low:.3f} to {metric.high:.3f} | {metric.positives} | {metric.negatives} |"
        for metric in manifest.metrics.values()
    ]
    return "\n".join(lines)


def replace_metrics(card: str, table: str) -> str:
    """Put a table between `<!-- metrics -->` and `<!-- /metrics -->`.

    Raises:
        ConfigurationError: The marks are missing.
    """
    return replace_marked(card, "metrics", table)


def replace_marked(card: str, mark: str, text: str) -> str:
    """Put a text between `<!-- mark -->` and `<!-- /mark -->`.

    Raises:
        ConfigurationError: The marks are missing.
    """
    first, last = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    head, start, rest = card.partition(first)
    _, end, tail = rest.partition(last)
    if not start or not end:
        raise ConfigurationError(f"the model card lacks the marks {first} and {last}")
    return f"{head}{start}\n{text}\n{end}{tail}"


def shown_metrics(card: str) -> Any:
    """The table that a model card shows between its marks, or None without marks."""
    _, start, rest = card.partition(METRICS_START)
    table, end, _ = rest.partition(METRICS_END)
    return table.strip() if start and end else None


METRICS_START = "<!-- metrics -->"
METRICS_END = "<!-- /metrics -->"
