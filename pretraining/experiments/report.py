"""The page of evidence, from the table of results alone."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, median, stdev

from pretraining.data.files import whole_file
from pretraining.experiments import changes, glance, losing, means, provenance
from pretraining.experiments.drawing import draw_areas, draw_boxes, draw_changes, draw_curves, plain
from pretraining.experiments.reading import Result, read_results, uncompared
from pretraining.experiments.table import TABLE, Row

DASH = "–"
PICTURES = {
    "areas": "AUROC by share of the labels",
    "runs": "AUROC of each run",
    "curves": "validation by epoch",
    "changes": "what changed images cost",
}
SENSITIVE = "at the threshold that calls 80 % of these test images with the finding, which flatters"
TESTS = {"bootstrap": "Bootstrap", "delong": "DeLong", "mcnemar": "McNemar", "paired_t": "Paired t"}
HEAD = """# Evidence: does pretraining help?

Made by `make evidence-report` from [`{table}`]({table}) alone; do not edit. `make experiments` runs
what that table lacks. A figure here says how an experiment of this repository came out, on the images that it names;
none of it is about patients of anybody, and none is a clinical claim.

**How to read.** AUROC is the area under the ROC curve on test patients that neither training nor pretraining saw.
Brackets are 95 % bootstrap intervals over patients, the mean of the runs' ends where there are several runs; ± is
the standard deviation over runs (seeds). *Random weights* is the same network without pretraining, *metadata alone*
a linear model on what the file's header says: what a start is worth is its distance from both. Differences are
first minus second on the same test images and seeds: the bootstrap draws patients and means over runs; DeLong and
McNemar take the mean score of the runs and images as independent (McNemar on as many calls as there are findings);
the paired t-test takes runs. The bootstrap covers the test patients alone: after another pretraining, or with other
labels, a difference can be another one by more than its interval says. p-values are two-sided and not corrected for
their number. Where the interval of a difference includes 0, nothing was shown. A part is marked *few* where fewer
than 10 of its test images have the finding, fewer than 10 lack it, or they are of fewer than 10 patients: its figures
say next to nothing. A patient may be in several parts. [Encoders that were trained longer](experiments/cxr_nih.md) were
measured before, by hand.
"""


def write_report(table: Path, page: Path, *, mixed: bool = False) -> list[Path]:
    """Write the page and its pictures; pictures of earlier pages that this one lacks are removed.

    Args:
        table: Folder of the table; pictures go there.
        page: Markdown.
        mixed: As in `read_results`.

    Returns:
        The pictures.

    Raises:
        ConfigurationError: As in `read_results`.
    """
    results = read_results(table, mixed=mixed)
    pictures: list[Path] = []
    asked = glance.groups(results)
    with plain():
        first = glance.draw(asked, table)
    parts = [HEAD.format(table=_link(table / TABLE, page))]
    if first:
        pictures.append(first)
        parts += glance.lines(asked, _link(first, page))
    for result in results:
        with plain():
            drawn = list(_drawn(result, table))
        pictures += drawn
        parts += _section(result, [_link(picture, page) for picture in drawn])
    # Pictures of a task or an experiment that is gone, by the names that ours have.
    for path in {path for kind in PICTURES for path in table.glob(f"*_{kind}.svg")} - set(pictures):
        path.unlink()
    page.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(page) as temporary:
        temporary.write_text("\n".join(parts).rstrip("\n") + "\n", encoding="utf-8")
    return pictures


def _drawn(result: Result, folder: Path) -> Iterator[Path]:
    if changes.kinds(result):
        for finding in result.findings(changes.unchanged(result)):
            path = folder / f"{result.name}_{finding.replace(' ', '_')}_changes.svg"
            if draw_changes(path, result, finding):
                yield path
        return
    for task in result.about["tasks"]:
        stem = f"{result.name}_{task}"
        for kind, draw in (("areas", draw_areas), ("runs", draw_boxes), ("curves", draw_curves)):
            path = folder / f"{stem}_{kind}.svg"
            if draw(path, result, task):
                yield path


def _shown(result: Result, link: str) -> str:
    """What a picture shows, in words."""
    name = Path(link).stem.removeprefix(f"{result.name}_")
    what, _, kind = name.rpartition("_")
    return f"{PICTURES[kind]}, {result.about['tasks'].get(what, what.replace('_', ' '))}"


def _link(picture: Path, page: Path) -> str:
    return Path(os.path.relpath(picture, page.parent)).as_posix()


def _section(result: Result, links: Sequence[str]) -> list[str]:
    about = result.about
    lines = [
        f"## {glance.heading(result)}",
        "",
        f"{about['question']} After {about['source']}. Images: {about['data']}. {about['data_notes']}".rstrip(),
        "",
    ]
    if about["near_duplicates"]:
        count = about["near_duplicates"]
        lines += [
            f"{count} pairs of images on different sides look nearly the same when shrunk; this was allowed here.",
            "",
        ]
    expected, there = about["runs"], len(result.runs)
    if there < expected:
        lines += [f"**Not finished:** {there} of {expected} runs are in the table.", ""]
    if not there:
        return lines
    if count := uncompared(result):
        told = (
            f"**Not compared:** {count} pairs of starts; cases of their runs were not where the others were compared."
        )
        lines += [told, ""]
    lines += [line for told in result.mixed for line in (f"**Mixed:** {told}.", "")]
    lines += _changes(result)
    for task, label in about["tasks"].items():
        lines += [
            f"### {label}",
            "",
            *_served(result, task),
            *_areas(result, task),
            *means.lines(result, task),
            *_others(result, task),
            *_differences(result, task),
        ]
        lines += [*_convergence(result, task), *_panels(result, task)]
    lines += [line for link in links for line in (f"![{about['title']}: {_shown(result, link)}]({link})", "")]
    return [*lines, *provenance.lines(result)]


def _changes(result: Result) -> list[str]:
    """What changes of the test images cost, where an experiment changes them."""
    if not changes.kinds(result):
        return []
    lines = [
        "AUROC on changed minus on unchanged test images, mean of the runs (range); below, first minus second of these",
        "losses with the interval over patients: above 0 the first start loses less.",
        "",
    ]
    task = changes.unchanged(result)
    for finding in result.findings(task):
        for fraction in result.fractions(task):
            lines += [f"{finding}, {fraction:.0%} of labels:", "", *changes.lines(result, finding, fraction), ""]
            lost = losing.told(result.losses, result.about, finding, fraction)
            lines += [*lost, ""] if lost else []
    return lines


def _served(result: Result, task: str) -> list[str]:
    """Which starts have one encoder for several runs: those tell nothing of another pretraining."""
    lines = []
    for start in result.about["initialisations"]:
        runs = [row for row in result.runs if (row["task"], row["initialisation"]) == (task, start)]
        seeds = {row["seed"] for row in runs}
        encoders = {row["pretraining"]["encoder"] for row in runs if row.get("pretraining")}
        if len(encoders) == 1 and len(seeds) > 1:
            lines.append(
                f"{result.about['starts'][start]}: one encoder served all {len(seeds)} seeds; ± and the paired t tell "
                "nothing of another pretraining."
            )
    return [line for told in lines for line in (told, "")]


def _areas(result: Result, task: str) -> list[str]:
    fractions = result.fractions(task)
    lines: list[str] = []
    for finding in result.findings(task):
        lines += [f"AUROC, {finding}, by share of the training patients' labels{_taught(result, task)}:", ""]
        lines += [f"| Start | Part | {' | '.join(f'{share:.0%}' for share in fractions)} | With | Without | Patients |"]
        lines += ["|---" * (len(fractions) + 5) + "|"]
        for start in result.about["initialisations"]:
            for stratum in _strata(result, task, finding):
                lines += _area_line(result, (task, start, finding, stratum), fractions)
        lines += [""]
    return lines


def _taught(result: Result, task: str) -> str:
    """Images of each share, of the first seed; old tables tell none."""
    counts = {row["fraction"]: row["taught"]["images"] for row in reversed(result.runs) if row.get("taught")}
    told = [f"{share:.0%} are {counts[share]} images" for share in result.fractions(task) if share in counts]
    return f" ({', '.join(told)})" if told else ""


def _area_line(result: Result, place: tuple[str, str, str, str], fractions: Sequence[float]) -> list[str]:
    task, start, finding, stratum = place
    cells: list[str] = []
    counts: tuple[str, ...] = ("", "", "")
    for fraction in fractions:
        found = [_figure(row, finding, stratum, "auroc") for row in result.of(task, start, fraction)]
        figures = [figure for figure in found if figure]
        if figures:
            counts = tuple(str(figures[0][name]) for name in ("positives", "negatives", "patients"))
        cells.append(_cell(figures))
    if all(cell == DASH for cell in cells):
        return []
    part = _part(result, task, finding, stratum)
    return [f"| {result.about['starts'][start]} | {part} | {' | '.join(cells)} | {' | '.join(counts)} |"]


def _others(result: Result, task: str) -> list[str]:
    metrics = {
        "average_precision": "Average precision",
        "boxes_froc_average": "Boxes, fROC average",
        "boxes_average_precision": "Boxes, average precision",
        "accuracy": "Accuracy of the likeliest class",
        "half_accuracy": "Accuracy at a probability of 0.5",
        "half_recall": "Recall at a probability of 0.5",
        "half_specificity": "Specificity at a probability of 0.5",
        "half_f1": "F1 at a probability of 0.5",
        "sensitive_precision": f"Precision {SENSITIVE}",
        "sensitive_accuracy": f"Accuracy {SENSITIVE}",
        "sensitive_recall": f"Recall {SENSITIVE}",
        "sensitive_specificity": f"Specificity {SENSITIVE}",
    }
    lines: list[str] = []
    for metric, label in metrics.items():
        findings, fractions = result.findings(task, metric), result.fractions(task)
        if not findings:
            continue
        lines += [f"{label}:", "", f"| Start | Finding | {' | '.join(f'{share:.0%}' for share in fractions)} |"]
        lines += ["|---" * (len(fractions) + 2) + "|"]
        for start in result.about["initialisations"]:
            for finding in findings:
                found = [
                    [_figure(row, finding, "all", metric) for row in result.of(task, start, share)]
                    for share in fractions
                ]
                cells = [_cell([figure for figure in figures if figure]) for figures in found]
                if any(cell != DASH for cell in cells):
                    lines += [f"| {result.about['starts'][start]} | {finding} | {' | '.join(cells)} |"]
        lines += [""]
    return lines


def _differences(result: Result, task: str) -> list[str]:
    rows = [row for row in result.comparisons if row["task"] == task]
    groups: dict[tuple[float, str, str, str, str], dict[str, Row]] = {}
    for row in rows:
        place = (row["fraction"], row["finding"], row["stratum"], row["first"], row["second"])
        groups.setdefault(place, {})[row["test"]] = row
    if not groups:
        return []
    lines = [
        (
            "| Labels | Finding | Part | First minus second | Difference | 95 % interval "
            "| p, bootstrap | DeLong | McNemar | Paired t | Runs |"
        ),
        "|---" * 11 + "|",
    ]
    starts = result.about["starts"]
    for (fraction, finding, stratum, first, second), tests in sorted(groups.items(), key=lambda one: _order(one[0])):
        if "bootstrap" not in tests:
            continue
        drawn, part = tests["bootstrap"], _part(result, task, finding, stratum)
        least = 2 / (result.about["replicates"] + 1)
        ps = " | ".join(_p(tests.get(test), least if test == "bootstrap" else 0.0) for test in TESTS)
        lines.append(
            f"| {fraction:.0%} | {finding} | {part} | {starts[first]} {DASH} {starts[second]} "
            f"| {_signed(drawn['value'])} | {_signed(drawn['low'])} to {_signed(drawn['high'])} "
            f"| {ps} | {drawn['runs']} |"
        )
    lines += [""]
    classes = [row for row in rows if row["test"] == "stuart_maxwell"]
    for row in classes:
        pair = f"{starts[row['first']]} against {starts[row['second']]}"
        lines += [f"Stuart-Maxwell, {row['fraction']:.0%} of labels, {pair}: p {_p(row)}.", ""]
    return lines


def _order(place: tuple[float, str, str, str, str]) -> tuple[object, ...]:
    fraction, finding, stratum, first, second = place
    return (-fraction, finding, stratum != "all", stratum, first, second)


def _convergence(result: Result, task: str) -> list[str]:
    fractions = result.fractions(task)
    lines = []
    for start in result.about["initialisations"]:
        epochs = [
            [row["convergence_epoch"] for row in result.of(task, start, share) if row.get("convergence_epoch")]
            for share in fractions
        ]
        if any(epochs):
            cells = [f"{median(each):g} ({min(each)} to {max(each)})" if each else DASH for each in epochs]
            lines.append(f"| {result.about['starts'][start]} | {' | '.join(cells)} |")
    if not lines:
        return []
    head = f"| Start | {' | '.join(f'{share:.0%}' for share in fractions)} |"
    told = "Earliest epoch at 98 % of the best validation figure, median of the runs (range):"
    return [told, "", head, "|---" * (len(fractions) + 1) + "|", *lines, ""]


def _panels(result: Result, task: str) -> list[str]:
    lines = []
    for row in result.panels:
        if row["task"] == task:
            starts = ", ".join(result.about["starts"][start] for start in row["starts"])
            share = f"{row['fraction']:.0%} of labels, seed {row['seed']}, {starts}"
            where = f"`{row['page']}` in the folder of the work (`--work`) where these runs were made"
            lines += [f"Where the networks look (Grad-CAM), {share}: {where}.", ""]
    return lines


def _strata(result: Result, task: str, finding: str) -> list[str]:
    names = {
        figure["stratum"]
        for row in result.runs
        if row["task"] == task
        for figure in row.get("figures") or ()
        if figure["finding"] == finding and figure["metric"] == "auroc"
    }
    return sorted(names, key=lambda name: (name != "all", name))


def _part(result: Result, task: str, finding: str, stratum: str) -> str:
    """The name of a part, marked where too few images lie behind its figures."""
    return f"{stratum} (*few*)" if result.few(task, finding, stratum) else stratum


def _figure(row: Row, finding: str, stratum: str, metric: str) -> Row | None:
    for figure in row.get("figures") or ():
        if (figure["finding"], figure["stratum"], figure["metric"]) == (finding, stratum, metric):
            return figure if figure["value"] is not None else None
    return None


def _cell(figures: Sequence[Row]) -> str:
    if not figures:
        return DASH
    values = [figure["value"] for figure in figures]
    ends = [[figure[end] for figure in figures if figure[end] is not None] for end in ("low", "high")]
    spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    interval = f" ({fmean(ends[0]):.3f} to {fmean(ends[1]):.3f})" if all(ends) else ""
    return f"{fmean(values):.3f}{spread}{interval}"


def _p(row: Row | None, least: float = 0.0) -> str:
    """With the least that a test can tell: a bootstrap of 500 replicates none below 2 of 501."""
    if least and row is not None and row["p"] is not None and row["p"] <= least + 1e-6:
        return f"≤ {least:.3f}"
    if row is None or row["p"] is None or math.isnan(row["p"]):
        return DASH
    return "< 0.001" if row["p"] < 0.001 else f"{row['p']:.3f}"


def _signed(value: float | None) -> str:
    if value is None:
        return DASH
    # So that one sees on which side of 0 it lies.
    return f"{value:+.4f}" if 0 < abs(value) < 0.0005 else f"{value:+.3f}"
