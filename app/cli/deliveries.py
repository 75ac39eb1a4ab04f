"""The command `deliveries`: a table for people, or JSON for machines."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.breakers import left_alone
from app.cli.show import WIDE
from app.deliveries import Delivery, Standing, undelivered
from app.settings import Settings

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
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    for peer in left_alone(settings.run):
        until = f"{datetime.fromtimestamp(peer.until).astimezone():%H:%M:%S}"
        words = f"{peer.destination} is left alone: {peer.failures} failures in a row, tried again {until}"
        console.print(Text(words, style="yellow"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("received", "document", "destination", "state", "sent", "reason, and what to do"):
        table.add_column(column, overflow="fold", justify="right" if column == "sent" else "left")
    for each in found:
        table.add_row(
            f"{datetime.fromtimestamp(each.received_at).astimezone():%Y-%m-%d %H:%M:%S}",
            Text(f"{each.document}\nof {each.study}"),
            each.destination,
            Text(each.standing, style=TONES.get(each.standing, "yellow")),
            str(each.attempts),
            Text(f"{each.reason}\n→ {each.advice}"),
        )
    console.print(table if found else "Everything is delivered.")


def _plain(each: Delivery) -> dict[str, object]:
    received = datetime.fromtimestamp(each.received_at, UTC).isoformat()
    until = None if each.until is None else datetime.fromtimestamp(each.until, UTC).isoformat()
    return {**asdict(each), "received_at": received, "until": until}
