"""The model card's section about an evaluation: Markdown made from its JSON alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bundles.common.metrics.report import FIGURES, FORMAT

Found = Mapping[str, Any]
UNDEFINED = "–"


def card_section(path: Path) -> str:
    """Fill the section from what `report.write_json` wrote; nothing is measured here.

    Raises:
        ValueError: The file is no evaluation of this format.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: expected an evaluation as JSON: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f'{path}: expected "format": "{FORMAT}"; evaluate the bundle again')
    parts = [_head(found)]
    if found["classification"]:
        parts += [_areas(found["classification"]), _points(found["classification"]), _calibration(found)]
    if found["detection"]:
        parts.append(_boxes(found["detection"]))
    if found["notes"]:
        parts.append("\n".join(f"- {note}" for note in found["notes"]))
    return "\n\n".join(parts) + "\n"


def _head(found: Found) -> str:
    warning = (
        "**Measured on phantoms:** the figures say nothing about patients.\n\n"
        if str(found["data"]).lower().startswith("phantom")
        else ""
    )
    return (
        f"{warning}{found['bundle']}, weights `{str(found['weights_sha256'])[:12]}`, measured on {found['created']} on "
        f"{found['data']}. In brackets: 95 % intervals, {found['replicates']} bootstrap replicates over patients."
    )


def _areas(findings: Found) -> str:
    rows = [
        (
            name,
            _interval(one["auroc"]),
            _interval(one["average_precision"]),
            str(one["positives"]),
            str(one["negatives"]),
            str(one["patients"]),
        )
        for name, one in findings.items()
    ]
    return _table(("Finding", "AUROC", "Average precision", "With", "Without", "Patients"), rows)


def _points(findings: Found) -> str:
    rows = [
        (
            name,
            point if value["chosen_on"] != "these cases" else f"{point} *",
            _number(value["threshold"]),
            *(_interval(value["figures"][figure]) for figure in FIGURES),
        )
        for name, one in findings.items()
        for point, value in one["points"].items()
    ]
    head = ("Finding", "Operating point", "Threshold", "Accuracy", "Sensitivity", "Specificity", "Precision", "F1")
    table = _table(head, rows) if rows else "No operating point: one of the classes is missing."
    starred = any(v["chosen_on"] == "these cases" for one in findings.values() for v in one["points"].values())
    note = "\n\n\\* Chosen on these very cases, which flatters it; expect less on others." if starred else ""
    return table + note


def _calibration(found: Found) -> str:
    errors = [f"{name} {_number(one['calibration_error'])}" for name, one in found["classification"].items()]
    return f"Expected calibration error (ten bins): {', '.join(errors)}."


def _boxes(findings: Found) -> str:
    rates = sorted({rate for one in findings.values() for rate in one["rates"]})
    rows = []
    for name, one in findings.items():
        at = dict(zip(one["rates"], one["sensitivity_at_rates"], strict=True))
        rows.append(
            (
                name,
                _interval(one["froc_average"]),
                *(_number(at.get(rate), 2) for rate in rates),
                _interval(one["average_precision"]),
                f"{one['min_iou']:g}",
                str(one["findings"]),
                str(one["images"]),
            )
        )
    head = (
        "Boxes",
        "fROC average",
        *(f"at {rate:g}" for rate in rates),
        "Average precision",
        "IoU",
        "Findings",
        "Images",
    )
    return _table(head, rows) + "\n\n*At …*: share of findings found with so many false boxes per image."


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    # A bar or a line break in a name would break the table.
    return "\n".join("| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in row) + " |" for row in lines)


def _interval(value: Found) -> str:
    if value["value"] is None:
        return UNDEFINED
    ends = f" ({_number(value['low'])} to {_number(value['high'])})" if value["low"] is not None else ""
    return _number(value["value"]) + ends


def _number(value: float | None, digits: int = 3) -> str:
    return UNDEFINED if value is None else f"{value:.{digits}f}"
