"""The answer of all experiments in one table: how many differences from the reference are above 0, below 0, or open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pretraining.experiments import changes
from pretraining.experiments.drawing import draw_differences
from pretraining.experiments.reading import Result
from pretraining.experiments.spec import METADATA
from pretraining.experiments.table import Row

PICTURE = "differences.svg"
WORDS = """## At a glance

For each experiment and share of the labels the differences of its starts from the reference ({references}), each
finding and task by itself, all test patients; metadata alone and findings marked *few* are left out. How many 95 %
intervals lie above 0 (better, but where a task asks for what a network need not know, such as where an image is from),
how many below, and how many include 0, which leaves the question open. Nothing is corrected for the number of
questions: of twenty without an answer one comes out above or below by chance. What the starts are is told below.
"""


def groups(results: Sequence[Result]) -> list[tuple[Result, list[Row]]]:
    """Differences from the reference, of each experiment and share that has some."""
    return [(result, asked) for result in results for asked in _asked(result)]


def draw(rows: Sequence[tuple[Result, list[Row]]], folder: Path) -> Path | None:
    """Draw them all into `differences.svg`; None where there is none."""
    path = folder / PICTURE
    if not rows:
        path.unlink(missing_ok=True)
        return None
    draw_differences(path, [(f"{result.name}, {asked[0]['fraction']:.0%}", asked) for result, asked in rows])
    return path


def lines(rows: Sequence[tuple[Result, list[Row]]], picture: str) -> list[str]:
    """The part of the page, in Markdown; nothing where no experiment has a comparison."""
    told = [_line(result, asked) for result, asked in rows]
    if not told:
        return []
    references = dict.fromkeys(result.about["starts"][result.about["reference"]] for result, _ in rows)
    head = "| Experiment | Images | Labels | Above 0 | Below | Open | Largest difference |"
    shown = f"![Differences from the reference with their intervals]({picture})"
    return [WORDS.format(references=", ".join(references)), head, "|---" * 7 + "|", *told, "", shown, ""]


def heading(result: Result) -> str:
    """What the part of an experiment is called."""
    return f"{result.about['title']} ({result.about['variant']})"


def _asked(result: Result) -> list[list[Row]]:
    """Differences from the reference at each share that has some, the largest first; of losses where images change."""
    if changes.kinds(result):
        found = [row for row in result.losses if row["second"] == result.about["reference"]]
    else:
        found = [
            row
            for row in result.comparisons
            if (row["test"], row["stratum"], row["second"]) == ("bootstrap", "all", result.about["reference"])
            and row["first"] != METADATA
        ]
    found = [
        row
        for row in found
        if row["low"] is not None and row["high"] is not None and not result.few(row["task"], row["finding"], "all")
    ]
    shares = sorted({row["fraction"] for row in found}, reverse=True)
    return [[row for row in found if row["fraction"] == share] for share in shares]


def _line(result: Result, asked: Sequence[Row]) -> str:
    about = result.about
    above, below = sum(row["low"] > 0 for row in asked), sum(row["high"] < 0 for row in asked)
    largest = max(asked, key=lambda row: abs(row["value"]))
    what = f"{about['starts'][largest['first']]}, {largest['finding']}"
    if len(about["tasks"]) > 1:
        what += f", {about['tasks'][largest['task']]}"
    ends = f"{largest['low']:+.3f} to {largest['high']:+.3f}"
    return (
        f"| [{heading(result)}](#{_anchor(heading(result))}) | {about['data']} | {asked[0]['fraction']:.0%} | {above} "
        f"| {below} | {len(asked) - above - below} | {largest['value']:+.3f} ({ends}): {what} |"
    )


def _anchor(title: str) -> str:
    """As GitHub names headings."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
