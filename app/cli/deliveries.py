"""The command `deliveries`: a table for people, or JSON for machines."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.breakers import left_alone
from app.cli.show import WIDE
from app.deliveries import Delivery, Standing, undelivered
from app.settings import Settings
from app.words import visible

TONES = {Standing.DEAD_LETTER: "bold red", Standing.NEVER_MADE: "bold red", Standing.UNDER_WAY: "dim"}


def show_deliveries(settings: Settings, *, as_json: bool) -> int:
    """Show what is not delivered; 1 where somebody has to do something about it."""
    found = undelivered(settings)
    if as_json:
        sys.stdout.write(json.dumps([_plain(each) for each in found], indent=1) + "\n")
    else:
        _table(settings, found)
    return 1 if any(each.standing in {Standing.DEAD_LETTER, Standing.NEVER_MADE} for each in found) else 0


def _table(settings: Settings, found: tuple[Delivery, ...]) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    for peer in left_alone(settings.run):
        until = f"{datetime.fromtimestamp(peer.until).astimezone():%H:%M:%S}"
        failures = "1 failure" if peer.failures == 1 else f"{peer.failures} failures in a row"
        console.print(Text(f"{peer.destination} is left alone: {failures}, tried again {until}", style="yellow"))
    for study, group in groupby(found, key=lambda each: each.study):
        rows = list(group)
        received = datetime.fromtimestamp(rows[0].received_at).astimezone()
        console.print(Text(f"study {study}, received {received:%Y-%m-%d %H:%M:%S}", style="bold"), soft_wrap=True)
        console.print(_rows(rows))
        for advice in dict.fromkeys(each.advice for each in rows):
            # One line, however long: it may be a command to copy.
            console.print(Text(f"→ {advice}\n"), soft_wrap=True)
    if not found:
        console.print("Everything is delivered.")


def _rows(rows: Sequence[Delivery]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("document", "destination", "state", "sent", "reason"):
        table.add_column(column, overflow="fold", justify="right" if column == "sent" else "left")
    for each in rows:
        state = Text(each.standing, style=TONES.get(each.standing, "yellow"))
        table.add_row(each.document, each.destination, state, str(each.attempts), Text(visible(each.reason)))
    return table


def _plain(each: Delivery) -> dict[str, object]:
    received = datetime.fromtimestamp(each.received_at, UTC).isoformat()
    until = None if each.until is None else datetime.fromtimestamp(each.until, UTC).isoformat()
    return {**asdict(each), "received_at": received, "until": until}
