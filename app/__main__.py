"""The command line: `python -m app COMMAND`, or `vigil COMMAND`.

Every command imports what it needs when it runs, so that `--help` is quick and the listener never meets torch.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import AppError

if TYPE_CHECKING:
    from app.settings import Settings
cli = typer.Typer(
    name="vigil",
    help="Vigil: studies in by DICOM, structured reports out. Research only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

feedback_cli = typer.Typer(help="What readers say of findings.", no_args_is_help=True)
cli.add_typer(feedback_cli, name="feedback", rich_help_panel="Look")

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Settings (YAML), as deploy/vigil.yaml; else the defaults."),
]
Through = Annotated[
    Path | None,
    typer.Option("--database-through", metavar="PIPE", help="Named pipe of who copies PostgreSQL: deploy/backup."),
]
OneStudy = Annotated[str, typer.Argument(help="Key of a study, or its StudyInstanceUID.")]
SEEN_EXIT = 2


def _version(wanted: bool) -> None:
    if wanted:
        from app import __version__

        typer.echo(f"vigil {__version__}")
        raise typer.Exit


@cli.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Vigil: studies in by DICOM, structured reports out. Research only."""


@cli.command(rich_help_panel="Run")
def serve(config: Config = None) -> None:
    """Run listener, worker and web side in one process tree, until SIGTERM or Ctrl-C."""
    from app.cli.serve import serve as run

    raise typer.Exit(run(_settings(config, "serve"), config))


@cli.command(rich_help_panel="Run")
def listen(config: Config = None) -> None:
    """Run the DICOM listener alone."""
    settings = _settings(config, "listener", share_metrics=True)
    from app.exporter import observed
    from app.locks import in_use
    from app.receive.listener import serve as run

    with in_use(settings.run), observed(settings, "listener"):
        run(settings)


@cli.command(rich_help_panel="Run")
def work(config: Config = None) -> None:
    """Run one worker alone: assemble, route, infer, report, deliver."""
    settings = _settings(config, "worker", share_metrics=True)
    from app.audit.trail import Trail
    from app.cli.serve import stop_on_signals
    from app.exporter import observed
    from app.workflow import run_worker

    trail = Trail(settings.audit)
    trail.application("worker", starts=True)
    with observed(settings, "worker"):
        run_worker(settings, stop_on_signals())
    trail.application("worker", starts=False)


@cli.command(rich_help_panel="Run")
def web(config: Config = None) -> None:
    """Run the HTTP side alone: the studies, /health, /metrics."""
    settings = _settings(config, "web", share_metrics=True)
    from app.exporter import observed
    from app.locks import in_use
    from app.web.server import serve as run
    from app.workflow_migration import refuse_newer_at

    refuse_newer_at(settings.database)

    with in_use(settings.run), observed(settings, "web"):
        run(settings)


@cli.command(rich_help_panel="Maintain")
def migrate(config: Config = None) -> None:
    """Bring the workflow database to this program's version. Safe to repeat, and when several call it at once."""
    settings = _settings(config)
    from app.cli.maintain import migrate_with_line

    migrate_with_line(settings)


@cli.command(rich_help_panel="Maintain")
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    config: Config = None,
) -> None:
    """Remove images and results that are done with and older than `retention` says, and show which, and what stays."""
    settings = _settings(config)
    from app.cli.maintain import prune_with_table

    prune_with_table(settings, dry_run=dry_run)


@cli.command(rich_help_panel="Maintain")
def backup(
    folder: Annotated[Path, typer.Argument(help="An empty folder, or one that is not there yet.")],
    through: Through = None,
    config: Config = None,
) -> None:
    """Copy database, results and spool into a folder, while the service runs."""
    settings = _settings(config)
    from app.cli.maintain import backup_with_line

    backup_with_line(settings, folder, through)


@cli.command(rich_help_panel="Maintain")
def restore(
    folder: Annotated[Path, typer.Argument(exists=True, help="What `backup` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="In the place of data that are there.")] = False,
    look: Annotated[bool, typer.Option("--verify", help="Only see whether every file is there as written.")] = False,
    through: Through = None,
    config: Config = None,
) -> None:
    """Put a backup in place; the service must not run. The next worker goes on where the backup was taken."""
    from app.cli.maintain import restore_with_line, verify_with_line

    if look:
        verify_with_line(folder)
        return
    settings = _settings(config)
    restore_with_line(settings, folder, through, force=force)


@cli.command(rich_help_panel="Look")
def check(config: Config = None) -> None:
    """Say whether a configuration can work, and what to do where it cannot. Exit code 1 on errors, 0 with warnings."""
    from app.cli.show import show_findings

    raise typer.Exit(show_findings(config))


@cli.command(rich_help_panel="Look")
def health(
    role: Annotated[str, typer.Argument(metavar="listener|worker|web|serve", help="Of this container or machine.")],
    config: Config = None,
) -> None:
    """Say in one line whether one part of the service is well here. Exit code 0 if it is, 1 if not."""
    settings = _settings(config)
    _quiet_libraries()
    from app.health import of

    part = of(role, settings)
    typer.echo(f"{role}: {'well' if part.ok else 'not well'}: {part.detail}")
    raise typer.Exit(0 if part.ok else 1)


@cli.command(rich_help_panel="Look")
def studies(
    config: Config = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
) -> None:
    """List the newest studies and what became of them."""
    from app.cli.show import show_studies

    show_studies(_settings(config), limit)


@cli.command(rich_help_panel="Look")
def deliveries(
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """List documents that have not reached a destination, why, and what to do. Exit code 1 with dead letters."""
    settings = _settings(config)
    from app.cli.deliveries import show_deliveries

    raise typer.Exit(show_deliveries(settings, as_json=as_json))


@feedback_cli.command("export")
def export_feedback(
    bundle: Annotated[str, typer.Option(help="Folder name of the bundle whose findings were answered.")],
    out: Annotated[Path, typer.Option(help="A new or empty folder.")],
    shares: Annotated[
        str, typer.Option(help="Parts of the patients in training, validation and test.")
    ] = "0.8,0.1,0.1",
    config: Config = None,
) -> None:
    """Write a datalist that the bundle's train.yaml reads, with copies of the images that do not say whose they are."""
    settings = _settings(config)
    from app.cli.feedback import export_with_table

    export_with_table(settings, bundle, out, shares)


@cli.command(rich_help_panel="Send")
def send(  # noqa: PLR0917  the options of a command
    folder: Annotated[list[Path], typer.Argument(exists=True, help="Files and folders, searched for files.")],
    host: Annotated[str, typer.Option(help="Where the peer listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Its port.")] = 11112,
    called: Annotated[str, typer.Option(help="Its AE title.")] = "VIGIL",
    calling: Annotated[str, typer.Option(help="Our AE title.")] = "VIGIL-SEND",
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS; trusts what the system trusts, or --tls-ca.")] = False,
    tls_ca: Annotated[Path | None, typer.Option(help="PEM of who signs the peer's certificate.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM of ours, where the peer asks for one.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM of its key.")] = None,
    any_name: Annotated[
        bool, typer.Option("--tls-any-name", help="Take its certificate by whatever name the peer is called.")
    ] = False,
) -> None:
    """Send DICOM files to a peer by C-STORE. Exit code 1 if one was not taken."""
    _quiet_libraries()
    from app.cli.show import send_with_progress
    from app.cli.tls import client_tls

    secure = client_tls(tls, tls_ca, tls_certificate, tls_key, any_name=any_name)
    raise typer.Exit(send_with_progress(folder, host, port, called, calling, secure))


@cli.command(rich_help_panel="Send")
def replay(  # noqa: PLR0917  the options of a command
    study: Annotated[
        str | None, typer.Argument(help="Key of a study, or its StudyInstanceUID; or give --since.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="All studies from then on: 2026-11-20, UTC.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="And before that: 2026-11-20T13:00.")] = None,
    destination: Annotated[str | None, typer.Option(help="Name of one destination; without it all.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also where a newer revision stands for this one.")] = False,
    config: Config = None,
) -> None:
    """Deliver the documents of a study, or of all of some time, once more. Exit code 1 if one was not taken."""
    settings = _settings(config)
    from app.cli.replay import replay_with_table

    raise typer.Exit(replay_with_table(settings, study, destination, since=since, until=until, even_superseded=force))


@cli.command(rich_help_panel="Send")
def rerun(study: OneStudy, config: Config = None) -> None:
    """Have a finished study analysed once more: new documents supersede those that were made. Prints the new key."""
    from app.cli.rerun import rerun_with_line

    rerun_with_line(_settings(config), study)


@cli.command(rich_help_panel="Run")
def token(
    name: Annotated[str, typer.Argument(help="Whose it is: letters, digits and _ . @ -")],
    role: Annotated[str, typer.Option(help="monitor, viewer, operator or admin.")] = "viewer",
    file: Annotated[
        Path | None, typer.Option(help="File to add it to; without it that of http.access.tokens_file.")
    ] = None,
    config: Config = None,
) -> None:
    """Make an access token for the HTTP side, and print it once: its hash alone is kept."""
    from app.cli.token import make_token

    make_token(name, role, file or _settings(config).http.access.tokens_file)


@cli.command(rich_help_panel="Try")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demonstration makes.")] = Path("var/demo"),
    studies: Annotated[
        int | None,
        typer.Option(min=1, max=60, help="How many, head CTs, chests and wrists in turns; without it one round."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Other seeds give other phantoms.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Let it run on, to look at the pages, until Ctrl-C.")] = False,
) -> None:
    """Send phantom head CTs and radiographs through the service to a stand-in PACS and show what comes back.

    Only kinds of studies for which a bundle is served are sent. Exit code 1 if a study did not come back; an answer
    that is wrong is listed as wrong, and is no failure of the service.
    """
    _quiet_libraries()
    from app.demo.demo import demonstrate, until_signal

    raise typer.Exit(demonstrate(out, studies, seed, keep=until_signal if keep else None))


@cli.command(rich_help_panel="Try")
def demo_pacs(
    folder: Annotated[Path, typer.Argument(help="Gets one DICOM file for each object that comes.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 11113,
) -> None:
    """Run the stand-in PACS of the demonstration alone, until SIGTERM or Ctrl-C. It takes everything from everybody."""
    _quiet_libraries()
    from app.cli.serve import stop_on_signals
    from app.demo.apart import stand_in

    stand_in(folder, host, port, stop_on_signals())


@cli.command(rich_help_panel="Try")
def demo_send(
    *,
    pacs: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of `demo-pacs`.")],
    listener: Annotated[str, typer.Option(metavar="HOST:PORT", help="Of the running service.")] = "127.0.0.1:11112",
    out: Annotated[Path, typer.Option(help="Folder for everything the demonstration makes.")] = Path("var/demo"),
    studies: Annotated[
        int | None, typer.Option(min=1, max=60, help="How many, of all kinds in turns; without it one round.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Other seeds give other phantoms.")] = 1,
    config: Config = None,
) -> None:
    """Send phantom studies to a service that runs and delivers to `demo-pacs`, and show what comes back.

    Exit code 1 if a study did not come back; an answer that is wrong is listed as wrong, and is no failure.
    """
    settings = _settings(config)
    _quiet_libraries()
    from app.demo.apart import Address, send

    raise typer.Exit(send(settings, Address.parse(listener), pacs, out, studies=studies, seed=seed))


@cli.command(
    rich_help_panel="Try",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def phantoms(context: typer.Context) -> None:
    """Generate phantom head CTs and radiographs with known findings: DICOM, or training sets. See `phantoms --help`."""
    from app.demo.phantoms.cli import cli as phantoms_cli

    phantoms_cli(context.args, prog_name="vigil phantoms")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error of the service becomes one sentence and exit code 2."""
    try:
        cli(arguments, prog_name="vigil")
    except AppError as error:
        _complain(str(error))
        sys.exit(SEEN_EXIT)


def _settings(config: Path | None, role: str = "", *, share_metrics: bool = False) -> "Settings":
    from app.settings import load

    settings = load(config)
    if share_metrics:
        from app.cli.figures import share

        share(settings, role)
    elif role != "serve":
        # Who looks or sends by hand shows no figures; a folder that the environment names may not be there.
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    from app.log import configure

    configure(settings.log, role)
    return settings


def _quiet_libraries() -> None:
    from app.log import configure
    from app.settings import Log

    configure(Log(level="error"))


def _complain(message: str) -> None:
    from rich.console import Console

    Console(stderr=True, soft_wrap=True, highlight=False).print("[bold red]error:[/]", end=" ")
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(message)


if __name__ == "__main__":
    main()
