"""Tables and progress for people."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.arrivals import Arrivals
from app.findings import Finding, Presence, Report
from app.outcomes import State as StudyState
from app.outcomes import StudyOutcome
from app.outcomes import studies as newest
from app.settings import Settings
from app.structures import shortened
from app.tls.settings import Tls
from app.words import certainty_in_words, flagged, visible

WIDE = 160  # in a file or a pipe, a key stays in one piece
TONES = {
    "ok": "green",
    "warning": "yellow",
    "error": "bold red",
    StudyState.DELIVERED: "green",
    StudyState.UNDELIVERED: "bold red",
    StudyState.FAILED: "bold red",
    StudyState.SUPERSEDED: "dim",
    StudyState.UNWANTED: "dim",
}


def show_findings(config: Path | None) -> int:
    """Examine a configuration and show what was found; 1 where there is an error, 0 with warnings alone."""
    from app.check import State, examine
    from app.log import configure
    from app.settings import Log

    configure(Log(level="error"))
    console = Console()
    with console.status("looking at settings, bundles, disks, database and destinations …"):
        results = examine(config)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("what", "state", "seen, and what to do"):
        table.add_column(column, overflow="fold")
    for result in results:
        table.add_row(result.what, _toned(result.state), Text(visible(result.detail)))
    console.print(table)
    errors = sum(result.state is State.ERROR for result in results)
    warnings = sum(result.state is State.WARNING for result in results)
    console.print(f"\n{_verdict(errors, warnings)}")
    return 1 if errors else 0


def _verdict(errors: int, warnings: int) -> str:
    doubts = f"{warnings} {'warning' if warnings == 1 else 'warnings'}"
    if errors:
        return f"[bold red]{errors} to mend[/], {doubts}."
    return f"[green]Ready[/], with {doubts}." if warnings else "[green]Ready.[/]"


def show_studies(settings: Settings, limit: int) -> None:
    """List the newest studies, and count those that no worker has begun."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("received", "study", "state", "images", "finding", "seconds"):
        table.add_column(column, overflow="fold", justify="right" if column in {"images", "seconds"} else "left")
    for outcome in newest(settings, limit):
        received = datetime.fromtimestamp(outcome.received_at).astimezone()
        seconds = "" if outcome.seconds is None else f"{outcome.seconds:.1f}"
        table.add_row(
            f"{received:%Y-%m-%d %H:%M:%S}",
            outcome.key,
            _toned(outcome.state),
            str(len(outcome.files)),
            Text(visible(headline(outcome))),
            seconds,
        )
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(table if table.row_count else "No study yet.")
    waiting = len(Arrivals(settings).marked())
    if waiting:
        console.print(
            f"{waiting} further {'study was' if waiting == 1 else 'studies were'} received; no worker has begun."
        )


def headline(outcome: StudyOutcome) -> str:
    """What every bundle found, the flag for early reading first, or what went wrong."""
    words = []
    if any(report.urgent for report in outcome.reports):
        research = any(report.algorithm.research_only for report in outcome.reports)
        words.append(flagged(research_only=research).upper())
    for report in outcome.reports:
        words += [_finding(finding) for finding in _told(report)] + list(shortened(report.structures, report.classes))
    if words or outcome.problem:
        return "; ".join([*words, *filter(None, [outcome.problem])])
    if outcome.state is StudyState.UNWANTED and outcome.decision:
        return outcome.decision.why_unwanted
    return ""


def _told(report: Report) -> list[Finding]:
    """The main finding, and a further one that is present where it is urgent or the main one is not present."""
    if not report.findings:
        return []
    main, *others = report.findings
    quiet = main.presence is not Presence.PRESENT
    return [main, *(each for each in others if each.presence is Presence.PRESENT and (each.urgent or quiet))]


def _finding(finding: Finding) -> str:
    certainty = certainty_in_words(finding.certainty, finding.threshold)
    return f"{finding.kind.replace('_', ' ')}: {finding.presence} {certainty}".rstrip()


def send_with_progress(  # noqa: PLR0917  an address and two names are always given in this order
    paths: Sequence[Path], host: str, port: int, called: str, calling: str, tls: Tls | None
) -> int:
    """Send files and show each that was not taken; 1 where there is one, or nothing was sent.

    What lies in a folder beside its DICOM files (a list, a picture) is named and left out; a file that is named in
    `paths` must be DICOM.
    """
    from app.deliver import Sent, send_folder

    console = Console()
    total = sum(sum(file.is_file() for file in path.rglob("*")) if path.is_dir() else 1 for path in paths)
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())

    def left_out(sent: Sent) -> bool:
        return not sent.dicom and sent.path not in paths

    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total)

        def note(sent: Sent) -> None:
            progress.advance(task)
            if left_out(sent):
                progress.console.print(Text(f"left out: {sent.path}: {sent.detail}", style="yellow"))
            elif not sent.delivered:
                progress.console.print(Text(f"{sent.path}: {sent.detail}", style="red"))

        results = send_folder(paths, host, port, called, calling, on_progress=note, tls=tls)
    sought = [sent for sent in results if not left_out(sent)]
    taken = sum(sent.delivered for sent in sought)
    if not sought:
        named = ", ".join(str(path) for path in paths)
        console.print(Text(f"no DICOM files in {named}: nothing was sent", style="red"))
        return 1
    console.print(f"{taken} of {len(sought)} files are at {called} ({host}:{port})")
    return 0 if taken == len(sought) else 1


def _toned(word: str) -> Text:
    return Text(word, style=TONES.get(word, "yellow"))
