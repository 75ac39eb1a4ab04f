"""The results for people: a table, what is wrong in words, and one picture."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from app.demo.results import Answer, Result

COLUMNS, TILE, GAP = 4, 360, 12
TITLE, LINE, FOOT = 30, 22, 24
INK, DIM, PAPER, GOOD, BAD = (235, 238, 241), (160, 168, 176), (18, 22, 27), (64, 180, 120), (230, 90, 90)
STYLES = {True: "green", False: "bold red", None: "yellow"}
TONES = {True: GOOD, False: BAD, None: DIM}
VERDICTS = {True: "right", False: "wrong", None: "no answer"}
NORMAL, SMALL = 15, 11
"""Sizes of letters under a tile."""


def show(results: Sequence[Result], out: Path, console: Console, idle_s: float) -> None:
    """Print the table, list what is wrong, and draw the picture; `idle_s` is the service's `assembly.idle_s`."""
    console.print(_table(results, idle_s))
    _list(results, console)
    draw(results, out / "summary.png")
    console.print(
        f"SR, segmentations, key images (DICOM and PNG) and JSON of each study: {out}; all in one picture: summary.png"
    )
    console.print("[yellow]Phantom weights, research only: not for clinical use.[/]")


def _table(results: Sequence[Result], idle_s: float) -> Table:
    table = Table(title="What came back", title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=0)
    table.pad_edge = False
    for column in ("study", "looked for", "answer", "certainty", "truth", "", "seconds"):
        narrow = column in {"study", "certainty", "seconds"}
        table.add_column(column, justify="right" if column == "seconds" else "left", no_wrap=narrow)
    for result in results:
        for index, answer in enumerate(result.answers):
            table.add_row(*_row(result, answer, first=index == 0))
    table.caption = (
        "certainty, and the threshold from which on a finding counts as present; seconds from the last C-STORE response"
        f" to the SR at the PACS, idle time of {idle_s:g} s included"
    )
    return table


def _row(result: Result, answer: Answer, *, first: bool) -> tuple[Text, ...]:
    seconds = Text("no report", style="bold red") if result.seconds is None else Text(f"{result.seconds:.1f}")
    return (
        Text(f"{result.sent.number} {result.sent.drawn.exam}" if first else ""),
        Text(answer.finding),
        Text(_said(answer), style=STYLES[answer.right]),
        Text(answer.certainty.replace("threshold ", "")),
        Text(answer.truth),
        Text(VERDICTS[answer.right], style=STYLES[answer.right]),
        seconds if first else Text(""),
    )


def _said(answer: Answer) -> str:
    """Present, absent or undetermined, and what else is told: "present, urgent", "present, 3 outlined"."""
    outlined = f", {answer.outlined} outlined" if answer.outlined else ""
    return f"{answer.said}{', urgent' if answer.urgent else ''}{outlined}"


def _list(results: Sequence[Result], console: Console) -> None:
    """How many answers are right, and each that is not; then what was rightly left alone."""
    answers = [answer for result in results for answer in result.answers]
    right = sum(bool(answer.right) for answer in answers)
    complaints = [complaint for result in results for complaint in result.complaints]
    told = "; listed as wrong or without an answer:" if complaints else "."
    console.print(f"\n{right} of {len(answers)} answers are right{told}")
    for complaint in complaints:
        console.print(f"  [red]•[/] {escape(complaint)}", soft_wrap=True)
    for result in results:
        for what, why in result.passed_over.items():
            if why:
                words = f"study {result.sent.number}: its {what} was passed over ({why})"
                console.print(f"  [dim]• {escape(words)}[/]", soft_wrap=True)


def draw(results: Sequence[Result], path: Path) -> None:
    """Key images side by side, each with the answers and the truth."""
    caption = TITLE + LINE * max(len(result.answers) for result in results) + FOOT
    rows, columns = -(-len(results) // COLUMNS), min(COLUMNS, len(results))
    size = (columns * (TILE + GAP) + GAP, rows * (TILE + caption + GAP) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    for place, result in enumerate(results):
        left = GAP + place % COLUMNS * (TILE + GAP)
        top = GAP + place // COLUMNS * (TILE + caption + GAP)
        _draw_tile(sheet, result, left, top)
    sheet.save(path)


def _draw_tile(sheet: Image.Image, result: Result, left: int, top: int) -> None:
    pen = ImageDraw.Draw(sheet)
    if result.picture is None:
        pen.text((left + TILE // 2, top + TILE // 2), "no key image", DIM, ImageFont.load_default(18), anchor="mm")
    else:
        with Image.open(result.picture) as image:
            image.thumbnail((TILE, TILE), Image.Resampling.LANCZOS)
            sheet.paste(image, (left + (TILE - image.width) // 2, top + (TILE - image.height) // 2))
    pen.rectangle((left, top, left + TILE - 1, top + TILE - 1), outline=TONES[result.right], width=2)
    y = top + TILE + 6
    pen.text((left, y), f"{result.sent.number}  {result.sent.drawn.exam}", INK, ImageFont.load_default(20))
    y += TITLE - 4
    for answer in result.answers:
        _write(pen, (left, y), _line(answer), TONES[answer.right])
        y += LINE
    _write(pen, (left, y), f"truth: {result.sent.drawn.words}", DIM)


def _write(pen: ImageDraw.ImageDraw, at: tuple[float, float], line: str, tone: tuple[int, int, int]) -> None:
    """Write a line as wide as a tile at the most: in smaller letters, and what is too long for these is cut off."""
    font = ImageFont.load_default(SMALL)
    for size in range(NORMAL, SMALL - 1, -1):
        font = ImageFont.load_default(size)
        if pen.textlength(line, font) <= TILE:
            break
    while pen.textlength(line, font) > TILE:
        line = f"{line[:-2]}…"
    pen.text(at, line, tone, font)


def _line(answer: Answer) -> str:
    """One answer in one line: "right: pneumothorax present, 93 % (threshold 50 %)"."""
    certainty = f", {answer.certainty}" if answer.certainty else ""
    outlined = f", {answer.outlined} outlined" if answer.outlined else ""
    return f"{VERDICTS[answer.right]}: {answer.finding} {answer.said}{certainty}{outlined}"
