"""`python -m pretraining.experiments run|report|list|check|baseline`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.common.strict import ConfigurationError
from pretraining.data.errors import ArchiveError
from pretraining.experiments.prepare import app

if TYPE_CHECKING:
    from pretraining.experiments.runner import Settings
    from pretraining.experiments.spec import Experiment, Variant

WORK, TABLE = Path("var/experiments"), Path("docs/evidence")
Table = Annotated[Path, typer.Option(help="Folder of the table of results")]


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (ArchiveError, ConfigurationError, OSError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


@contextmanager
def _kept(reasons: list[str], experiment: Experiment) -> Iterator[None]:
    """Keep why an experiment cannot be run, and go on."""
    try:
        yield
    except (ArchiveError, ConfigurationError, OSError, ValueError) as error:
        reasons.append(f"{experiment.name}: {error}")


@app.command()
def run(
    names: Annotated[list[str], typer.Argument(help="Names, files, or `all`")],
    *,
    variant: Annotated[str, typer.Option(help="small or full")] = "small",
    jobs: Annotated[int, typer.Option(help="Trainings at a time on this machine", min=1)] = 1,
    slurm: Annotated[str | None, typer.Option(help="Partition: hand the trainings to Slurm")] = None,
    slurm_hours: Annotated[float, typer.Option(help="Limit of one training there", min=0.1)] = 24.0,
    slurm_gpus: Annotated[int, typer.Option(help="Of one training there", min=0)] = 1,
    slurm_cores: Annotated[int, typer.Option(help="Of one training there", min=1)] = 8,
    only: Annotated[list[str] | None, typer.Option(help="A task, a start, a share such as 25%, or seed=1")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of real images, where one is needed")] = None,
    work: Annotated[Path, typer.Option(help="Where everything is made on the way")] = WORK,
    table: Table = TABLE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is left to do, and do nothing")] = False,
) -> None:
    """Run experiments: what the table has is left out, what was killed goes on.

    Ends with 1 where a run failed and with 2 where an experiment could not be run; the others are run all the same.
    """
    from pretraining.experiments.pool import ClusterPool, LocalPool, Pool
    from pretraining.experiments.runner import Settings

    with _told():
        pool: Pool = LocalPool(jobs)
        if slurm is not None:
            pool = ClusterPool(
                work / "slurm", slurm, hours=slurm_hours, cores=slurm_cores, gpus=slurm_gpus, at_a_time=jobs
            )
        pool.check()
        settings = Settings(work.resolve(), table, data, pool, jobs, tuple(only or ()))
        experiments = list(_read(names, variant))
    failed, refused = _all_of(experiments, settings, dry_run=dry_run)
    for reason in (*failed, *refused):
        typer.echo(f"error: {reason}", err=True)
    if failed or refused:
        raise typer.Exit(2 if refused else 1)


def _all_of(
    experiments: Sequence[tuple[Experiment, Variant]], settings: Settings, *, dry_run: bool
) -> tuple[list[str], list[str]]:
    """Run each; the reasons of runs that failed, and of experiments that could not be run, which stop no other."""
    from pretraining.experiments.preparing import check_images
    from pretraining.experiments.runner import Runner

    failed, refused = list[str](), list[str]()
    able = []
    for experiment, variant in experiments:
        # Before the first training, which can take days.
        with _kept(refused, experiment):
            if not dry_run:
                check_images(experiment.data, settings.images)
            able.append((experiment, variant))
    for reason in refused:
        typer.echo(f"left out: {reason}", err=True)
    for experiment, variant in able:
        with _kept(refused, experiment):
            if dry_run:
                _say_plan(experiment, variant, settings)
                continue
            summary = Runner(experiment, variant, settings, typer.echo).run()
            typer.echo(
                f"{experiment.name}: {summary.done} done, {summary.diverged} diverged, {summary.failed} failed, "
                f"{summary.there} in the table before"
            )
            failed += summary.reasons
    return failed, refused


@app.command()
def report(
    *,
    table: Table = TABLE,
    page: Annotated[Path, typer.Option(help="Page to write; pictures lie beside the table")] = Path("docs/evidence.md"),
    mixed: Annotated[bool, typer.Option("--mixed", help="Also where runs of one table are of different code")] = False,
) -> None:
    """Write the page and its pictures from the table alone; the same table gives the same bytes."""
    from pretraining.experiments.report import write_report

    with _told():
        written = write_report(table, page, mixed=mixed)
    typer.echo(f"{page} and {len(written)} pictures in {table}")


@app.command("list")
def list_() -> None:
    """Name the experiments that are here."""
    from pretraining.experiments.spec import all_files, read_experiment

    with _told():
        for name, path in all_files().items():
            typer.echo(f"{name}: {read_experiment(path, 'full').title}")


@app.command()
def check(
    names: Annotated[list[str], typer.Argument(help="Names, files, or `all`")],
) -> None:
    """Check files without images: keys, baselines, configurations and every override, in both variants."""
    from pretraining.experiments.plan import make_plan
    from pretraining.experiments.spec import VARIANTS

    with _told():
        for variant in VARIANTS:
            for experiment, chosen in _read(names, variant):
                plan = make_plan(experiment, chosen, "not prepared")
                typer.echo(f"{experiment.name} ({variant}): {len(plan.encoders)} encoders, {len(plan.runs)} runs")


@app.command()
def baseline(
    datalist: Annotated[Path, typer.Argument(help="With training, validation and test")],
    output: Annotated[Path, typer.Argument(help="cases.csv to write")],
    key: Annotated[list[str], typer.Option(help="Metadata to learn from")],
    finding: Annotated[list[str] | None, typer.Option(help="Labels to ask for; all without")] = None,
) -> None:
    """Score the test images by their metadata alone."""
    from pretraining.experiments.baseline import write_baseline

    with _told():
        count = write_baseline(datalist, key, output, finding or ())
    typer.echo(f"{count} cases in {output}")


def _read(names: list[str], variant: str) -> Iterator[tuple[Experiment, Variant]]:
    from pretraining.experiments.spec import VARIANTS, all_files, find, read_experiment

    if variant not in VARIANTS:
        raise ConfigurationError(f"--variant {variant}: choose {' or '.join(VARIANTS)}")
    if "all" in names and names != ["all"]:
        raise ConfigurationError(f"'all' stands alone; leave out {', '.join(name for name in names if name != 'all')}")
    paths = list(all_files().values()) if names == ["all"] else [find(name) for name in names]
    chosen: Variant = "full" if variant == "full" else "small"
    experiments = [read_experiment(path, chosen) for path in paths]
    # A file of somebody's own would take the place of ours on the page.
    files = {name: path.resolve() for name, path in all_files().items()}
    for experiment, path in zip(experiments, paths, strict=True):
        if files.setdefault(experiment.name, path.resolve()) != path.resolve():
            raise ConfigurationError(
                f"{files[experiment.name]} and {path} are both called '{experiment.name}': give one another name"
            )
    called = [experiment.name for experiment in experiments]
    if twice := {name for name in called if called.count(name) > 1}:
        raise ConfigurationError(f"{' and '.join(sorted(twice))} is asked for twice")
    return ((experiment, chosen) for experiment in experiments)


def _say_plan(experiment: Experiment, variant: Variant, settings: Settings) -> None:
    from pretraining.experiments.plan import make_plan
    from pretraining.experiments.preparing import folder_of
    from pretraining.experiments.runner import Runner

    folder = folder_of(experiment.data, settings.work, settings.images)
    if not (folder / "outcome.json").is_file():
        plan = make_plan(experiment, variant, "not prepared")
        typer.echo(f"{experiment.name} ({variant}): images are not laid out; then {len(plan.runs)} runs at most")
        return
    runner = Runner(experiment, variant, settings, typer.echo)
    left, there = runner.open_runs()
    encoders = {run.encoder.key for run in left if run.encoder and run.encoder.spec.step}
    typer.echo(
        f"{experiment.name} ({variant}): {there} in the table, {len(left)} left, for them {len(encoders)} encoders"
    )
    for run in left:
        typer.echo(f"  {run.title}")
