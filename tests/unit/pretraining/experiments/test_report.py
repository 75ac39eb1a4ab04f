"""The page is made from the table alone: the same table, the same bytes; what is mixed or diverged is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from bundles.common.strict import ConfigurationError
from pretraining.experiments import drawing
from pretraining.experiments.reading import read_results
from pretraining.experiments.report import write_report
from pretraining.experiments.table import ResultTable

PRETRAINING = {
    "encoder": "e", "epochs": 2, "first_loss": 4.0, "last_loss": 2.5, "jitter": 0.25, "gradient_peak": None,
}  # fmt: skip
STARTS = {"random": "random weights", "simclr": "SimCLR", "metadata": "metadata alone"}


def about(runs: int = 12) -> dict[str, Any]:
    """The description of an experiment."""
    return {
        "kind": "experiment", "key": f"about{runs}", "experiment": "tried", "variant": "small", "title": "A try",
        "question": "Does it?", "source": "Table 1", "data": "phantom squares", "data_notes": "Drawn.",
        "near_duplicates": 0, "metadata": ["view"], "tasks": {"probe": "Probe"}, "starts": STARTS,
        "initialisations": list(STARTS), "reference": "random", "replicates": 500, "runs": runs,
    }  # fmt: skip


def run(start: str, fraction: float, seed: int, **more: Any) -> dict[str, Any]:
    """One run whose figures follow from its place."""
    value = {"random": 0.6, "simclr": 0.7, "metadata": 0.55}[start] + 0.1 * fraction + 0.01 * seed
    figures = [
        {
            "finding": "mass", "stratum": stratum, "metric": metric, "value": value, "low": value - 0.05,
            "high": value + 0.05, "positives": 20, "negatives": 40, "patients": 50,
        }
        for stratum in ("all", "view = AP")
        for metric in ("auroc", "average_precision")
    ]  # fmt: skip
    curve = [{"epoch": epoch, "score": value * (1 - 0.5**epoch)} for epoch in range(1, 5)]
    return {
        "kind": "run", "key": f"{start}{fraction}{seed}{more.get('code', '')}", "experiment": "tried",
        "variant": "small", "task": "probe", "initialisation": start, "fraction": fraction, "seed": seed,
        "state": "done", "reason": "", "seconds": 36.0, "commit": "abc", "code": "c0de", "data_hash": "da7a",
        "machine": "a processor", "date": "2026-11-22", "figures": figures,
        "pretraining": PRETRAINING if start == "simclr" else None,
        "curve": [] if start == "metadata" else curve, "convergence_epoch": None if start == "metadata" else 3 + seed,
        **more,
    }  # fmt: skip


def compared(test: str, value: float | None, p: float) -> dict[str, Any]:
    """One comparison."""
    ends = {"low": -0.01, "high": 0.21} if test == "bootstrap" else {"low": None, "high": None}
    return {
        "kind": "comparison", "key": test, "experiment": "tried", "variant": "small", "task": "probe", "fraction": 0.5,
        "first": "simclr", "second": "random", "of": ["simclr0.50", "random0.50"], "seeds": [0], "finding": "mass",
        "stratum": "all", "test": test, "value": value, **ends, "p": p, "statistic": None, "runs": 1,
    }  # fmt: skip


def every() -> list[dict[str, Any]]:
    """A whole table."""
    runs = [run(start, fraction, seed) for start in STARTS for fraction in (1.0, 0.5) for seed in (0, 1)]
    return [about(), *runs, compared("bootstrap", 0.1, 0.07), compared("delong", 0.1, 0.0004)]


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    ResultTable(tmp_path / "evidence").append(every())
    made = []
    for _ in range(2):
        pictures = write_report(tmp_path / "evidence", tmp_path / "evidence.md")
        made.append([path.read_bytes() for path in (tmp_path / "evidence.md", *pictures)])
        np.random.default_rng().random()
    names = [f"tried_small_probe_{kind}.svg" for kind in ("areas", "runs", "curves")]
    assert [path.name for path in pictures] == ["differences.svg", *names]
    assert made[0] == made[1]
    assert all(b"<svg" in picture and b"<dc:date" not in picture for picture in made[0][1:])


def test_the_page_says_what_the_table_has(tmp_path: Path) -> None:
    ResultTable(tmp_path).append(every())
    write_report(tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    for line in (
        "## A try (small)",
        "| Start | Part | 100% | 50% | With | Without | Patients |",
        "| SimCLR | all | 0.805 ± 0.007 (0.755 to 0.855) | 0.755 ± 0.007 (0.705 to 0.805) | 20 | 40 | 50 |",
        (
            "| metadata alone | view = AP | 0.655 ± 0.007 (0.605 to 0.705) "
            "| 0.605 ± 0.007 (0.555 to 0.655) | 20 | 40 | 50 |"
        ),
        "| 50% | mass | all | SimCLR – random weights | +0.100 | -0.010 to +0.210 | 0.070 | < 0.001 | – | – | 1 |",
        "| random weights | 3.5 (3 to 4) | 3.5 (3 to 4) |",
        (
            "12 runs, 0.12 hours of training and measuring, 2026-11-22; 500 bootstrap replicates; commit abc; "
            "code c0de, of metadata alone c0de; images da7a; on a processor."
        ),
        "| SimCLR | 2 | 4.000 | 2.500 | 0.250 | – |",
        "![A try: AUROC by share of the labels, Probe](tried_small_probe_areas.svg)",
    ):
        assert line in page.splitlines(), line
    assert "Not finished" not in page
    assert "diverged" not in page


def test_a_run_that_diverged_is_shown_and_in_no_mean(tmp_path: Path) -> None:
    rows = every()
    lost = next(row for row in rows if row.get("initialisation") == "simclr" and row["seed"] == 1)
    for name in ("figures", "curve", "convergence_epoch"):
        del lost[name]
    lost |= {"state": "diverged", "reason": "the validation of epoch 2 is not finite"}
    ResultTable(tmp_path).append(rows)
    write_report(tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "- probe, SimCLR, 100%, seed 1: the validation of epoch 2 is not finite" in page
    assert "| SimCLR | all | 0.800 (0.750 to 0.850) | 0.755 ± 0.007" in page


def test_runs_of_other_code_or_images_are_refused_or_said(tmp_path: Path) -> None:
    rows = every()
    newer = run("simclr", 0.5, 0, code="0ther", commit="def")
    metadata = [run("metadata", share, seed, code="0ther") for share in (1.0, 0.5) for seed in (0, 1)]
    ResultTable(tmp_path / "ok").append([*rows, *metadata])
    write_report(tmp_path / "ok", tmp_path / "page.md")
    ResultTable(tmp_path / "baselines").append([*rows, metadata[0]])
    with pytest.raises(ConfigurationError, match="1 of commit abc, 3 of commit abc"):
        write_report(tmp_path / "baselines", tmp_path / "page.md")
    ResultTable(tmp_path / "mixed").append([*rows, newer])
    with pytest.raises(ConfigurationError) as refused:
        write_report(tmp_path / "mixed", tmp_path / "page.md")
    for words in ("the runs of 'probe' are of 2 different code", "7 of commit abc", "1 of commit def", "--mixed"):
        assert words in str(refused.value)
    write_report(tmp_path / "mixed", tmp_path / "page.md", mixed=True)
    page = (tmp_path / "page.md").read_text()
    assert "**Mixed:** the runs of 'probe' are of 2 different code" in page
    assert "1 older runs are in the table and not shown." in page
    ResultTable(tmp_path / "images").append([*rows, run("simclr", 0.5, 1, data_hash="new", key="k", code="c0de")])
    with pytest.raises(ConfigurationError, match="different images"):
        write_report(tmp_path / "images", tmp_path / "page.md")


def test_a_comparison_of_runs_that_were_replaced_is_not_shown(tmp_path: Path) -> None:
    again = [run(start, fraction, seed, code="new") for start in STARTS for fraction in (1.0, 0.5) for seed in (0, 1)]
    ResultTable(tmp_path).append([*every(), *again])
    write_report(tmp_path, tmp_path / "page.md")
    assert "SimCLR – random weights" not in (tmp_path / "page.md").read_text()


def test_an_unfinished_table_says_so_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    ResultTable(tmp_path).append([about(20), run("random", 1.0, 0)])
    write_report(tmp_path, tmp_path / "page.md")
    assert "**Not finished:** 1 of 20 runs are in the table." in (tmp_path / "page.md").read_text()
    with pytest.raises(ConfigurationError, match="no result is there yet; python -m pretraining"):
        write_report(tmp_path / "none", tmp_path / "page.md")


def test_what_changed_test_images_cost_is_told_and_drawn(tmp_path: Path) -> None:
    changes = {"turned": {"kind": "rotation, degrees", "value": 10.0}}
    described = about(6) | {"tasks": {"plain": "as they are", "turned": "turned by 10°"}, "changes": changes}
    rows = [described]
    for start in ("random", "simclr"):
        for seed in (0, 1):
            before = run(start, 0.5, seed, task="plain")
            after = run(start, 0.5, seed, task="turned", key=f"turned{start}{seed}")
            lost = (0.125 if start == "random" else 0.0625) * (1 + seed)
            for figure in after["figures"]:
                figure["value"] -= lost
            rows += [before, after]
    lost: dict[str, Any] = {"kind": "loss", "experiment": "tried", "variant": "small", "task": "turned"}
    lost |= {"fraction": 0.5, "first": "simclr", "second": "random", "finding": "mass"}
    lost |= {"value": 0.094, "low": 0.01, "high": 0.2, "p": 0.1}
    made = [row["key"] for row in rows[1:]]
    rows += [
        {**lost, "key": "all", "of": made, "runs": 2},
        {**lost, "key": "few", "of": made[:2], "runs": 1, "value": 0.5},
        {**lost, "key": "other", "of": ["of runs that are gone"], "runs": 9, "value": 0.6},
    ]
    ResultTable(tmp_path).append(rows)
    pictures = write_report(tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "| Change | random weights | SimCLR |" in page
    assert "| turned by 10° | -0.188 (-0.250 to -0.125) | -0.094 (-0.125 to -0.062) |" in page
    assert "| turned by 10° | SimCLR – random weights | +0.094 | +0.010 to +0.200 | 2 |" in page
    assert "0.500 |" not in page.split("Difference of these losses")[1].split("###")[0]
    assert sorted(path.name for path in pictures) == ["differences.svg", "tried_small_mass_changes.svg"]
    assert "![A try: what changed images cost, mass]" in page


def test_the_page_begins_with_what_lies_above_and_below_0_and_what_is_open(tmp_path: Path) -> None:
    drawn = compared("bootstrap", 0.125, 0.07)
    ends = [(-0.01, 0.21), (0.01, 0.21), (-0.21, -0.01), (-0.25, -0.125), (None, None)]
    rows = [
        drawn | {"key": f"{number}", "finding": f"finding {number}", "low": low, "high": high}
        for number, (low, high) in enumerate(ends)
    ]
    rows[3] |= {"value": -0.1875}
    other = [
        drawn | {"key": "few", "finding": "rare", "low": 0.2, "high": 0.3},
        drawn | {"key": "patients", "finding": "of few", "low": 0.2, "high": 0.3},
        drawn | {"key": "metadata", "first": "metadata", "low": 0.2, "high": 0.3},
        drawn | {"key": "part", "stratum": "view = AP", "low": 0.2, "high": 0.3},
        drawn | {"key": "another", "second": "metadata", "low": 0.2, "high": 0.3},
    ]
    runs = [row for row in every() if row["kind"] != "comparison"]
    rare = {"finding": "rare", "stratum": "all", "metric": "auroc", "value": 0.5, "low": 0.4, "high": 0.6}
    runs[1]["figures"].append({**rare, "positives": 9, "negatives": 90, "patients": 50})
    runs[1]["figures"].append({**rare, "finding": "of few", "positives": 90, "negatives": 90, "patients": 9})
    ResultTable(tmp_path).append([*runs, *rows, *other])
    write_report(tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    told = "| phantom squares | 50% | 1 | 2 | 1 | -0.188 (-0.250 to -0.125): SimCLR, finding 3 |"
    assert f"| [A try (small)](#a-try-small) {told}" in page
    assert page.index("## At a glance") < page.index("## A try (small)")
    assert "from the reference (random weights)" in page


def test_shares_and_the_time_of_encoders_are_told_where_the_table_knows_them(tmp_path: Path) -> None:
    rows = [row for row in every() if row["kind"] != "run"]
    for start in STARTS:
        for fraction, count in ((1.0, 400), (0.5, 200)):
            for seed in (0, 1):
                one = run(start, fraction, seed, taught={"images": count + seed, "patients": 90})
                if one["pretraining"]:
                    one["pretraining"] = PRETRAINING | {"seconds": 1800.0, "encoder": f"e{seed}"}
                rows.append(one)
    ResultTable(tmp_path).append(rows)
    write_report(tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "labels (100% are 400 images, 50% are 200 images):" in page
    assert "0.12 hours of training and measuring and 1.00 of pretraining" in page
    assert "| SimCLR, seed 1 | 2 |" in page


def test_a_p_that_500_draws_cannot_tell_and_an_end_next_to_0_are_written_so(tmp_path: Path) -> None:
    drawn = compared("bootstrap", 0.1, 2 / 501) | {"low": -0.0002}
    ResultTable(tmp_path).append([*(row for row in every() if row["kind"] != "comparison"), drawn])
    write_report(tmp_path, tmp_path / "page.md")
    assert "| +0.100 | -0.0002 to +0.210 | ≤ 0.004 |" in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize("lacks", ["task", "code", "seconds"])
def test_a_row_that_lacks_something_is_named(tmp_path: Path, lacks: str) -> None:
    rows = every()
    del rows[3][lacks]
    ResultTable(tmp_path).append(rows)
    with pytest.raises(ConfigurationError, match=f"line 4: lacks {lacks}; restore the file"):
        write_report(tmp_path, tmp_path / "page.md")


@pytest.mark.parametrize(("findings", "across"), [(1, 1), (2, 2), (5, 3)])
def test_a_legend_of_many_long_names_lies_below_the_panels_and_hides_nothing(findings: int, across: int) -> None:
    names = [f"SimCLR on the training images of everybody, number {number}" for number in range(8)]
    figure, panels = drawing._panels(findings, len(names))
    for panel in panels:
        for number, name in enumerate(names):
            panel.plot([0, 1], [number, number], label=name)
    drawing._legend(figure)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names
    assert len({round(panel.get_position().x0, 3) for panel in panels}) == across
    below = min(panel.get_tightbbox().y0 for panel in panels)
    assert legend.get_window_extent().y1 <= below
    assert 0 <= legend.get_window_extent().x0 < legend.get_window_extent().x1 <= figure.bbox.x1
    assert min(panel.get_window_extent().height for panel in panels) > 0.5 * figure.bbox.height / (findings / across)


def test_an_experiment_without_runs_says_so_and_has_no_empty_headings(tmp_path: Path) -> None:
    ResultTable(tmp_path / "evidence").append([about()])
    assert write_report(tmp_path / "evidence", tmp_path / "evidence.md") == []
    page = (tmp_path / "evidence.md").read_text()
    assert page.endswith("\n**Not finished:** 0 of 12 runs are in the table.\n")


def test_the_figure_of_the_validation_that_a_task_names_is_drawn(tmp_path: Path) -> None:
    rows = every()
    for row in rows:
        row["curve"] = [{"epoch": one["epoch"], "auroc": one["score"]} for one in row.get("curve") or ()]
    ResultTable(tmp_path / "evidence").append(rows)
    drawn = write_report(tmp_path / "evidence", tmp_path / "evidence.md")
    assert "tried_small_probe_curves.svg" not in [path.name for path in drawn]
    ResultTable(tmp_path / "evidence").append([about() | {"key": "said", "curves": {"probe": "auroc"}}])
    drawn = write_report(tmp_path / "evidence", tmp_path / "evidence.md")
    assert "tried_small_probe_curves.svg" in [path.name for path in drawn]


def test_figures_at_a_probability_of_one_half_have_a_table_each(tmp_path: Path) -> None:
    rows = every()
    for row in rows:
        if row.get("initialisation") == "random":
            row["figures"] = [
                *row["figures"],
                {"finding": "mass", "stratum": "all", "metric": "half_recall", "value": 0.5, "low": 0.25, "high": 0.75},
            ]
    ResultTable(tmp_path).append(rows)
    write_report(tmp_path, tmp_path / "page.md")
    lines = (tmp_path / "page.md").read_text().splitlines()
    cell = "0.500 ± 0.000 (0.250 to 0.750)"
    head = lines.index("Recall at a probability of 0.5:")
    assert lines[head + 4 : head + 6] == [f"| random weights | mass | {cell} | {cell} |", ""]


@pytest.mark.parametrize(("counts", "marked"), [((9, 40), True), ((40, 9), True), ((10, 10), False)])
def test_a_part_with_few_images_of_a_class_is_marked(tmp_path: Path, counts: tuple[int, int], marked: bool) -> None:
    rows = every()
    for row in rows:
        for figure in row.get("figures") or ():
            if figure["stratum"] != "all":
                figure["positives"], figure["negatives"] = counts
    apart = [
        {**row, "stratum": "view = AP", "key": f"apart{row['test']}"} for row in rows if row["kind"] == "comparison"
    ]
    ResultTable(tmp_path).append([*rows, *apart])
    write_report(tmp_path, tmp_path / "page.md")
    lines = (tmp_path / "page.md").read_text().splitlines()
    name = "view = AP (*few*)" if marked else "view = AP"
    assert sum(f"| {name} |" in line for line in lines) == 4
    assert sum("| all |" in line for line in lines) == 4


def test_one_encoder_behind_several_runs_is_said(tmp_path: Path) -> None:
    told = "SimCLR: one encoder served all 2 seeds; ± and the paired t tell nothing of another pretraining."
    ResultTable(tmp_path / "one").append(every())
    write_report(tmp_path / "one", tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text().splitlines().count(told) == 1
    rows = every()
    for row in rows:
        if row.get("pretraining"):
            row["pretraining"] = row["pretraining"] | {"encoder": f"e{row['seed']}"}
    ResultTable(tmp_path / "each").append(rows)
    write_report(tmp_path / "each", tmp_path / "page.md")
    assert "one encoder served" not in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize(
    "edited",
    [
        {"initialisations": ["random", "metadata"], "starts": {"random": "r", "metadata": "m"}, "runs": 8},
        {"fractions": [1.0], "runs": 6},
        {"seeds": [1], "runs": 6},
        {"tasks": {"other": "Other"}, "runs": 12},
    ],
)
def test_runs_that_an_edited_recipe_asks_for_no_more_are_older_ones(tmp_path: Path, edited: dict[str, Any]) -> None:
    # They are of other code, and no run of the new recipe takes their place.
    rows = every()
    plan = {"fractions": [1.0, 0.5], "seeds": [0, 1], **edited, "key": "edited"}
    table = ResultTable(tmp_path)
    table.append(rows)
    table.append([about() | plan])
    write_report(tmp_path, tmp_path / "page.md")
    (result,) = read_results(tmp_path)
    kept = 0 if "tasks" in edited else edited["runs"]
    assert (len(result.runs), result.older) == (kept, 12 - kept)
    page = (tmp_path / "page.md").read_text()
    assert (f"{12 - kept} older runs are in the table and not shown." in page) == bool(kept)


def test_pictures_are_alike_whatever_the_users_settings_and_none_is_left_over(tmp_path: Path) -> None:
    import matplotlib as mpl

    ResultTable(tmp_path).append(every())
    usual = {path.name: path.read_bytes() for path in write_report(tmp_path, tmp_path / "page.md")}
    for name in ("gone_small_probe_areas.svg", "mine.svg"):
        (tmp_path / name).write_text("<svg/>")
    own = {
        "axes.grid": True,
        "font.size": 20,
        "lines.linewidth": 5,
        "savefig.transparent": True,
        "svg.fonttype": "none",
    }
    with mpl.rc_context(own):
        again = {path.name: path.read_bytes() for path in write_report(tmp_path, tmp_path / "page.md")}
        assert mpl.rcParams["font.size"] == 20
    assert again == usual
    assert {path.name for path in tmp_path.glob("*.svg")} == {*usual, "mine.svg"}


def test_the_mean_over_findings_is_tested_over_runs_and_average_precision_is_told(tmp_path: Path) -> None:
    rows = every()
    for row in rows:
        if row["kind"] == "run":
            # One tenth less, and for one seed of one start not as much.
            less = 0.06 if (row["initialisation"], row["seed"]) == ("simclr", 1) else 0.1
            more = [{**figure, "finding": "edema", "value": figure["value"] - less} for figure in row["figures"]]
            row["figures"] = [*row["figures"], *more]
    ResultTable(tmp_path).append(rows)
    write_report(tmp_path, tmp_path / "page.md")
    lines = (tmp_path / "page.md").read_text().splitlines()
    place = lines.index("AUROC, mean over 2 findings:")
    assert lines[place + 4] == "| random weights | 0.655 ± 0.007 | 0.605 ± 0.007 |"
    assert lines[place + 5] == "| SimCLR | 0.765 ± 0.021 | 0.715 ± 0.021 |"
    slow = ttest_rel([0.75, 0.78], [0.65, 0.66])
    ends = slow.confidence_interval()
    wanted = f"| {0.11:+.3f} | {ends.low:+.3f} to {ends.high:+.3f} | {slow.pvalue:.3f} | 2 |"
    told = next(line for line in lines if line.startswith("| 100% | SimCLR – random weights | +0.11"))
    assert told.split("|")[4:] == wanted.split("|")[2:]
    place = lines.index("Average precision:")
    assert lines[place + 4].startswith("| random weights | mass | 0.705 ± 0.007 (0.655 to 0.755)")
    ResultTable(tmp_path / "one").append(every())
    write_report(tmp_path / "one", tmp_path / "one.md")
    assert "mean over" not in (tmp_path / "one.md").read_text()


def test_pairs_that_were_not_compared_are_counted(tmp_path: Path) -> None:
    # Of two pairs at two shares one was compared.
    ResultTable(tmp_path / "some").append(every())
    write_report(tmp_path / "some", tmp_path / "page.md")
    assert "**Not compared:** 3 pairs of starts;" in (tmp_path / "page.md").read_text()
    pairs = [(first, share) for first in ("simclr", "metadata") for share in (1.0, 0.5)]
    whole = [
        compared("bootstrap", 0.1, 0.07)
        | {"key": f"{first}{share}", "first": first, "fraction": share, "of": [f"{first}{share}0", f"random{share}0"]}
        for first, share in pairs
    ]
    ResultTable(tmp_path / "all").append([*every(), *whole])
    write_report(tmp_path / "all", tmp_path / "page.md")
    assert "Not compared" not in (tmp_path / "page.md").read_text()
