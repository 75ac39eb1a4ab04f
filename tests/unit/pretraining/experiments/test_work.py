"""One piece of work in processes: what is done is not done again, what diverged is kept, what failed is tried again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bundles.common.metrics.cases import FILE, write_cases
from bundles.common.strict import ConfigurationError
from pretraining.experiments.pool import ClusterPool, LocalPool, Pool
from pretraining.experiments.spec import ROOT, Step
from pretraining.experiments.work import Job, Outcome, bundle_command, perform, read_outcome
from tests.unit.pretraining.experiments.made import cases

COUNT = "import pathlib; p = pathlib.Path({path!r}); p.write_text(p.read_text() + 'x' if p.is_file() else 'x')"


def counted(path: Path) -> tuple[str, str]:
    """A step that leaves one more letter in a file each time it is done."""
    return "-c", COUNT.format(path=str(path))


def test_a_step_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    failing = ("-c", f"import pathlib; assert pathlib.Path({str(tmp_path / 'go')!r}).is_file(), 'not yet'")
    job = Job("work", tmp_path / "work", (("first", counted(tmp_path / "a")), ("second", failing)), ("../a",))
    failed = perform(job)
    assert failed.state == "failed"
    assert "second ended with 1" in failed.reason
    assert "AssertionError: not yet" in failed.reason
    assert read_outcome(job.folder) is None
    (tmp_path / "go").touch()
    assert perform(job).state == "done"
    assert perform(job).state == "done"
    assert (tmp_path / "a").read_text() == "x"


def test_work_that_leaves_nothing_has_failed(tmp_path: Path) -> None:
    outcome = perform(Job("work", tmp_path / "work", (("first", ("-c", "")),), ("cases.csv",)))
    assert (outcome.state, "cases.csv is missing" in outcome.reason) == ("failed", True)


def test_a_figure_that_never_was_finite_is_no_divergence(tmp_path: Path) -> None:
    (tmp_path / "work" / "train").mkdir(parents=True)
    rows = [{"epoch": epoch, "score": 0.4, "dice": float("nan")} for epoch in (1, 2)]
    (tmp_path / "work" / "train" / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "work" / "train" / "best.pt").touch()
    assert perform(Job("work", tmp_path / "work", (("train", ("-c", "")),), ())).state == "done"


def test_a_training_that_is_not_finite_is_a_result_and_stays_one(tmp_path: Path) -> None:
    told = ("-c", "raise ValueError('4 of 9 scores are NaN or infinite')")
    for name, steps in (("told", (("train", told),)), ("shown", (("train", ("-c", "")), ("evaluate", told)))):
        folder = tmp_path / name
        if name == "shown":
            (folder / "train").mkdir(parents=True)
            rows = [{"epoch": 1, "score": 0.4}, {"epoch": 2, "score": float("nan")}]
            (folder / "train" / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        outcome = perform(Job(name, folder, steps, ("cases.csv",)))
        assert outcome.state == "diverged"
        assert read_outcome(folder) == outcome
    assert read_outcome(tmp_path / "shown") == Outcome(
        "diverged", pytest.approx(outcome.seconds), "the validation of epoch 2 is not finite"
    )


@pytest.mark.parametrize(
    ("printed", "state", "reason"),
    [
        (
            "ValueError: nothing is told of it",
            "failed",
            "ValueError: nothing is told of it",
        ),
        ("FloatingPointError: the loss is not finite", "diverged", "FloatingPointError: the loss is not finite"),
        ("a.b.UnreadableImage: values are NaN or infinite", "failed", "UnreadableImage: values are NaN or infinite"),
        ("a warning: the score is NaN\nOSError: [Errno 28] No space left", "failed", "OSError: [Errno 28] No space"),
        ("error: no image shows it; take more images", "failed", "ended with 1; see"),
        ("error: no image shows it; take more images", "failed", "error: no image shows it; take more images"),
        ("killed", "failed", "no error was printed"),
    ],
)
def test_the_cause_is_told_and_not_what_passed_it_on(tmp_path: Path, printed: str, state: str, reason: str) -> None:
    passed = "The above exception was the direct cause\nRuntimeError: Failed to evaluate ConfigExpression: 'x'"
    log = printed if printed == "killed" else f"{printed}\n\n{passed}\n"
    outcome = perform(Job("work", tmp_path / "work", (("train", ("-c", f"print({log!r}); raise SystemExit(1)")),), ()))
    assert outcome.state == state
    assert reason in outcome.reason
    assert "ConfigExpression" not in outcome.reason


def test_scores_that_are_no_numbers_are_a_divergence(tmp_path: Path) -> None:
    import dataclasses

    rows = cases(6, 0)
    write_cases(tmp_path / "work" / FILE, [dataclasses.replace(rows[0], score=float("nan")), *rows[1:]])
    outcome = perform(Job("work", tmp_path / "work", (("evaluate", ("-c", "")),), (FILE,)))
    assert (outcome.state, outcome.reason) == ("diverged", "1 scores are not finite")


def test_a_second_runner_waits_for_the_step_of_one_that_was_killed(tmp_path: Path) -> None:
    slow = ("-c", f"import time; time.sleep(6); {COUNT.format(path=str(tmp_path / 'a'))}")
    script = (
        "from pathlib import Path; from pretraining.experiments.work import Job, perform\n"
        f"perform(Job('slow', Path({str(tmp_path / 'work')!r}), (('first', {slow!r}),), ()))"
    )
    runner = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    deadline = time.monotonic() + 120
    while not (tmp_path / "work" / "log.txt").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    assert not (tmp_path / "a").exists()
    outcome = perform(Job("quick", tmp_path / "work", (("second", counted(tmp_path / "a")),), ()))
    assert outcome.state == "done"
    # The orphan was done with its letter before ours was written.
    assert (tmp_path / "a").read_text() == "xx"


@pytest.mark.parametrize("where", ["here", "cluster"])
def test_a_pool_does_everything_and_tells_of_each(tmp_path: Path, where: str) -> None:
    pool: Pool = LocalPool(2) if where == "here" else ClusterPool(tmp_path / "submitit", cluster="local", cores=1)
    fails = (("first", ("-c", "raise SystemExit(3)")),)
    jobs = [Job(f"job{n}", tmp_path / f"job{n}", (("first", counted(tmp_path / f"file{n}")),), ()) for n in range(3)]
    told: dict[str, str] = {}
    pool.run(
        [*jobs, Job("bad", tmp_path / "bad", fails, ())], lambda job, outcome: told.update({job.title: outcome.state})
    )
    assert told == {"job0": "done", "job1": "done", "job2": "done", "bad": "failed"}
    assert [(tmp_path / f"file{n}").read_text() for n in range(3)] == ["x", "x", "x"]


def test_without_slurm_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"--slurm: .*start the runner where sbatch is"):
        ClusterPool(tmp_path, "gpu").run([], lambda _job, _outcome: None)


def test_placeholders_become_options_and_random_weights_are_none() -> None:
    step = Step(
        configs=("a.yaml", "b.yaml"),
        set={"weights": "{encoder}", "seed": "{seed}", "out": "{run}/x", "shares": [0.5, 0.5], "name": "it's"},
    )
    command = bundle_command(step, {"encoder": None, "seed": "3", "run": "/tmp/r"})
    configs = str([str(ROOT / name) for name in ("a.yaml", "b.yaml")])
    assert command == (
        *("-m", "monai.bundle", "run", "--config_file", configs, "--weights", "None", "--seed", "3"),
        *("--out", "'/tmp/r/x'", "--shares", "[0.5, 0.5]", "--name", '"it\'s"'),
    )
    with pytest.raises(ConfigurationError, match="let it stand alone"):
        bundle_command(step.model_copy(update={"set": {"weights": "{encoder}/x"}}), {"encoder": None})
