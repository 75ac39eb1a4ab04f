"""From an experiment to rows in the table: prepare, pretrain, train, measure, compare; nothing is done twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bundles.common.metrics.cases import FILE as CASES
from pretraining.experiments import panels
from pretraining.experiments.comparing import comparisons, unmade
from pretraining.experiments.datalists import write_share
from pretraining.experiments.identity import commit_beside, cores, digest
from pretraining.experiments.losing import loss_rows
from pretraining.experiments.plan import EncoderJob, Plan, Run, chosen, evaluation, make_plan
from pretraining.experiments.pool import LocalPool, Pool, shown
from pretraining.experiments.preparing import Prepared, prepare
from pretraining.experiments.rows import Rows, row_key
from pretraining.experiments.spec import METADATA, ROOT, Experiment, Variant, base_of
from pretraining.experiments.table import ResultTable, Row
from pretraining.experiments.work import Job, Outcome, bundle_command, read_outcome

ENCODER = "encoder.pt"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How an experiment is run.

    Attributes:
        work: Folder of everything that is made on the way.
        table: Folder of the table of results.
        images: Folder of real images, where one is needed.
        pool: Where work is done; of this machine unless told otherwise.
        at_a_time: Jobs on this machine, for the threads of each.
        only: Words that choose among the runs.
    """

    work: Path
    table: Path
    images: Path | None = None
    pool: Pool = field(default_factory=LocalPool)
    at_a_time: int = 1
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """What a call of the runner did.

    Attributes:
        done, diverged, failed: Runs of this call.
        there: Runs that the table had before.
        reasons: Why some failed.
    """

    done: int = 0
    diverged: int = 0
    failed: int = 0
    there: int = 0
    reasons: tuple[str, ...] = ()


class Runner:
    """One experiment in one variant.

    Args:
        experiment: What.
        variant: Which.
        settings: How.
        say: Told what happens.
    """

    def __init__(self, experiment: Experiment, variant: Variant, settings: Settings, say: Say) -> None:
        self.experiment, self.variant, self.settings, self.say = experiment, variant, settings, say
        self.table = ResultTable(settings.table)
        self.prepared: Prepared = prepare(experiment.data, settings.work, settings.images, say)
        self.plan: Plan = make_plan(experiment, variant, self.prepared.data_hash)
        # Whose networks are measured: its runs are made here where they are missing, and its rows are left to itself.
        self.base = Runner(base_of(experiment, variant), variant, settings, say) if experiment.after else None
        self.rows = Rows(experiment, variant, settings.work, self.prepared, self.plan, commit_beside(settings.table))

    def open_runs(self) -> tuple[list[Run], int]:
        """Runs that the table lacks, and how many it has."""
        there = self.table.keys()
        wanted = list(chosen(self.plan.runs, self.settings.only))
        left = [run for run in wanted if row_key(self.plan, run) not in there]
        return left, len(wanted) - len(left)

    def run(self) -> Summary:
        """Do all that is left, and write it into the table as it comes.

        Raises:
            ArchiveError: A fraction that leaves a class empty.
        """
        left, there = self.open_runs()
        self.table.append([self.rows.described()])
        shares = {(run.fraction, run.seed): self._share(run.fraction, run.seed) for run in left}
        bases = {run.base.key: run.base for run in left if run.base}
        trained = {key for key, base in bases.items() if read_outcome(self._folder(base)) is not None}
        starting = [run for run in left if run.base is None or run.base.key not in trained]
        needed = {run.encoder.key: run.encoder for run in starting if run.encoder and run.encoder.spec.step}
        outcomes: dict[str, Outcome] = {}
        with shown(len(needed) + len(bases) + len(left), f"{self.experiment.name} ({self.variant})") as advance:
            jobs = {self._encoder_job(one).folder: key for key, one in needed.items()}

            def encoder_ended(job: Job, outcome: Outcome) -> None:
                outcomes[jobs[job.folder]] = outcome
                advance(_told(job, outcome))

            self._do([self._encoder_job(one) for one in needed.values()], encoder_ended)
            if self.base:
                outcomes |= self.base.make(list(bases.values()), shares, outcomes, advance)
            summary = self._train(left, shares, outcomes, advance)
        done, keys = self._finished()
        here = {run: path for run, path in done.items() if path.is_file()}
        self.table.append(comparisons(self.plan, here, keys, self.prepared.datalist.metadata(), self.table.rows()))
        self.table.append(loss_rows(self.plan, here, keys, self.table.rows()))
        if len(here) < len(done) and (count := unmade(self.plan, done, keys, self.table.rows())):
            self.say(
                f"{count} comparisons cannot be made here: cases of {len(done) - len(here)} runs are not in "
                f"{self.settings.work}; compare where these runs were made, or run them again with another --table"
            )
        lost = self._look(here, keys)
        return Summary(summary.done, summary.diverged, summary.failed + len(lost), there, (*summary.reasons, *lost))

    def make(
        self,
        runs: Sequence[Run],
        shares: dict[tuple[float, int], Path],
        encoders: dict[str, Outcome],
        advance: Callable[[str], None],
    ) -> dict[str, Outcome]:
        """What became of runs by key, where they are made for another experiment; those that are done are not again."""
        ready = {self._folder(run): run for run in runs if _blocked(encoders, run) is None}
        made: dict[str, Outcome] = {}

        def ended(job: Job, outcome: Outcome) -> None:
            made[ready[job.folder].key] = outcome
            advance(_told(job, outcome))

        self._do([self._job(run, shares[run.fraction, run.seed]) for run in ready.values()], ended)
        return made

    def _train(
        self,
        left: Sequence[Run],
        shares: dict[tuple[float, int], Path],
        before: dict[str, Outcome],
        advance: Callable[[str], None],
    ) -> Summary:
        ended: list[Outcome] = []

        def finish(run: Run, outcome: Outcome) -> None:
            if outcome.state != "failed":
                self.table.append([self.rows.of(run, outcome, self._folder(run))])
            ended.append(outcome)

        ready: dict[Path, Run] = {}
        for run in left:
            if (outcome := _blocked(before, run)) is not None:
                finish(run, outcome)
                advance(f"{outcome.state}: {run.title}: {outcome.reason}")
            else:
                ready[self._folder(run)] = run

        def run_ended(job: Job, outcome: Outcome) -> None:
            finish(ready[job.folder], outcome)
            advance(_told(job, outcome))

        self._do([self._job(run, shares[run.fraction, run.seed]) for run in ready.values()], run_ended)
        counts = {state: sum(one.state == state for one in ended) for state in ("done", "diverged", "failed")}
        return Summary(**counts, reasons=tuple(one.reason for one in ended if one.state == "failed"))

    def _do(self, jobs: Sequence[Job], ended: Callable[[Job, Outcome], None]) -> None:
        """The first alone where a store of decoded images is still to be made: two cannot make it at once."""
        first: dict[str, Job] = {}
        for job in jobs:
            for name in sorted(_stores(job, self._store)):
                if not (self._store.with_name(name) / "complete.json").is_file():
                    first.setdefault(name, job)
        alone = [job for job in jobs if job in first.values()]
        for job in alone:
            self.settings.pool.run([job], ended)
        self.settings.pool.run([job for job in jobs if job not in alone], ended)

    @property
    def _store(self) -> Path:
        return self.prepared.folder.parent / "store"

    def _folder(self, run: Run) -> Path:
        return self.settings.work / "runs" / run.key

    def _threads(self) -> int:
        return max(1, cores() // self.settings.at_a_time)

    def _values(self, folder: Path, seed: int | None, datalist: Path | None = None) -> dict[str, str | None]:
        laid_out = self.prepared.folder
        return {
            "cache": str(folder / "cache"),
            "data": str(self.settings.images),
            "datalist": str(datalist or self.prepared.datalist.path),
            "encoder": None,
            "folder": str(laid_out),
            "images": str(self.prepared.datalist.images),
            "labels": str(laid_out / "labels.csv"),
            "pretrain": str(laid_out / "pretrain"),
            "run": str(folder),
            "seed": None if seed is None else str(seed),
            "store": str(self._store),
            "trained": None,
            "work": str(self.settings.work),
        }

    def _encoder_job(self, encoder: EncoderJob) -> Job:
        folder = self.settings.work / "encoders" / encoder.key
        seed = self.experiment.seeds[0] if encoder.seed is None else encoder.seed
        values = self._values(folder, seed)
        if encoder.spec.step is None:
            raise ValueError(f"encoder {encoder.name} is a file; nothing is to be trained")
        named = (("first", encoder.spec.first), ("pretrain", encoder.spec.step))
        steps = tuple((name, bundle_command(step, values)) for name, step in named if step is not None)
        return Job(f"encoder {encoder.name}", folder, steps, (ENCODER, "encoder.json"), self._threads())

    def _weights(self, encoder: EncoderJob) -> str | None:
        if encoder.spec.file is not None:
            return str(ROOT / encoder.spec.file)
        if encoder.spec.step is None:
            return None
        return str(self.settings.work / "encoders" / encoder.key / ENCODER)

    def _job(self, run: Run, share: Path) -> Job:
        folder, task = self._folder(run), self.experiment.tasks[run.task]
        if run.initialisation == METADATA:
            data = self.experiment.data
            asked = (("--key", data.metadata), ("--finding", task.findings or data.findings))
            keys = [part for option, names in asked for name in names for part in (option, name)]
            command = ("-m", "pretraining.experiments", "baseline", str(share), str(folder / CASES), *keys)
            return Job(run.title, folder, (("baseline", command),), (CASES,), self._threads())
        values = self._values(folder, run.seed, share)
        values["encoder"] = self._weights(run.encoder) if run.encoder else None
        values["trained"] = str(self._folder(run.base)) if run.base else None
        # Prepared images are kept for runs of the same code and settings alone: MONAI knows them by their file.
        prepared = digest([run.code, task.train.model_dump(mode="json") if task.train else None])
        values["cache"] = str(self.settings.work / "cache" / prepared)
        named = (("train", task.train), ("evaluate", evaluation(task, run.encoder)))
        steps = tuple((name, bundle_command(step, values)) for name, step in named if step is not None)
        return Job(run.title, folder, steps, (CASES,), self._threads())

    def _share(self, fraction: float, seed: int) -> Path:
        # Written each time: a file that is there may be of code that drew other patients.
        asked = digest(self.experiment.data.findings)[:6]
        path = self.prepared.folder / f"share_{fraction:g}_{seed}_{asked}.json"
        return write_share(self.prepared.datalist, self.experiment.data.findings, fraction, seed, path)

    def _finished(self) -> tuple[dict[Run, Path], dict[Run, str]]:
        """Runs that the table has, with where their cases would be, and the keys of all."""
        folders = {run: self._folder(run) / CASES for run in self.plan.runs}
        keys = {run: row_key(self.plan, run) for run in self.plan.runs}
        done = {row["key"] for row in self.table.rows() if row["kind"] == "run" and row["state"] == "done"}
        return {run: path for run, path in folders.items() if keys[run] in done}, keys

    def _look(self, here: dict[Run, Path], keys: dict[Run, str]) -> list[str]:
        """Draw where the networks look, where a task wants it; the reasons of what failed."""
        made: list[tuple[Job, Row]] = []
        there = self.table.keys()
        for asked in panels.asked(self.plan, here, keys):
            if asked.key not in there:
                folder = self.settings.work / panels.FOLDER / asked.key
                values = self._values(folder, asked.seed)
                made.append((panels.job(asked, folder, values, self._threads()), asked.row()))
        rows, reasons = {job.folder: row for job, row in made}, list[str]()

        def ended(job: Job, outcome: Outcome) -> None:
            if outcome.state == "done":
                self.table.append([rows[job.folder]])
            else:
                reasons.append(f"{job.title}: {outcome.reason}")
            self.say(_told(job, outcome))

        self.settings.pool.run([job for job, _ in made], ended)
        return reasons


def _stores(job: Job, store: Path) -> set[str]:
    """Names of the stores that a job reads: an experiment may have several, whose names begin alike."""
    found = (re.findall(re.escape(str(store)) + r"\w*", part) for _, step in job.steps for part in step)
    return {Path(path).name for paths in found for path in paths}


def _blocked(before: dict[str, Outcome], run: Run) -> Outcome | None:
    """What becomes of a run whose encoder, or whose network of another experiment, there is not."""
    needs = (("encoder", run.encoder), ("training", run.base))
    for what, one in needs:
        outcome = before.get(one.key) if one else None
        if outcome is not None and outcome.state != "done":
            return Outcome(outcome.state, 0.0, f"its {what} {outcome.state}: {outcome.reason}")
    return None


def _told(job: Job, outcome: Outcome) -> str:
    why = f": {outcome.reason}" if outcome.reason else ""
    return f"{outcome.state}: {job.title}, {outcome.seconds:.0f} s{why}"
