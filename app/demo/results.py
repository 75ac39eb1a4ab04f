"""What came back: files sorted by study, a table, and one picture."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app import outcomes
from app.demo.pacs import Arrived
from app.documents import DocumentKind
from app.findings import Finding, Presence
from app.outcomes import FINAL, StudyOutcome
from app.settings import Settings
from app.words import certainty_in_words

FINISH_TIMEOUT_S = 30.0
GLANCE_S = 0.1
COLUMNS, TILE, CAPTION, GAP = 3, 360, 80, 12
INK, DIM, PAPER, GOOD, BAD = (235, 238, 241), (160, 168, 176), (18, 22, 27), (64, 180, 120), (230, 90, 90)
NAMES = {DocumentKind.SR: "report.sr.dcm", DocumentKind.KEY_IMAGE: "key_image.dcm", DocumentKind.JSON: "report.json"}


@dataclass(frozen=True, slots=True)
class Study:
    """A phantom study that was sent.

    Attributes:
        number: From 1.
        uid: StudyInstanceUID.
        truth: What is in it, in words.
        bleeds: Whether there is any bleed.
        at: Unix time of the last C-STORE response.
    """

    number: int
    uid: str
    truth: str
    bleeds: bool
    at: float


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one study.

    Attributes:
        study: What was sent.
        finding: The main finding; None where no report is known.
        problem: In words, where something went wrong.
        seconds: From the last C-STORE response to the SR at the PACS; None where none came.
        picture: The key image as PNG; None where there is none.
    """

    study: Study
    finding: Finding | None
    problem: str
    seconds: float | None
    picture: Path | None

    @property
    def came_back(self) -> bool:
        """Whether the PACS has a report."""
        return self.seconds is not None

    @property
    def right(self) -> bool | None:
        """Whether the answer is the truth; None where there is no answer."""
        if self.finding is None or self.finding.presence is Presence.UNDETERMINED:
            return None
        return (self.finding.presence is Presence.PRESENT) == self.study.bleeds


def collect(study: Study, settings: Settings, arrived: Arrived | None, out: Path) -> Result:
    """Put the documents of a study side by side: `<out>/<number>/report.sr.dcm`, key image (DICOM, PNG), JSON.

    Waits a moment for the documents that travel behind the SR.
    """
    folder = out / f"study-{study.number}"
    folder.mkdir()
    outcome = _finished(settings, study.uid)
    picture = None
    for document in outcome.documents if outcome else ():
        if document.problem:
            continue
        shutil.copyfile(document.path, folder / NAMES[document.kind])
        if document.kind is DocumentKind.KEY_IMAGE:
            picture = folder / "key_image.png"
            Image.fromarray(dcmread(document.path).pixel_array).save(picture)
    return Result(
        study=study,
        finding=outcome.reports[0].findings[0] if outcome and outcome.reports else None,
        problem=_problem(outcome),
        seconds=None if arrived is None else max(arrived.at - study.at, 0.0),
        picture=picture,
    )


def show(results: Sequence[Result], out: Path, console: Console) -> None:
    """Print the table and draw the picture."""
    table = Table(title="What came back", title_justify="left", header_style="dim", caption_justify="left")
    for column in ("study", "finding", "certainty", "truth", "seconds"):
        table.add_column(column, justify="right" if column in {"study", "certainty", "seconds"} else "left")
    for result in results:
        seconds = Text("no report", style="bold red") if result.seconds is None else Text(f"{result.seconds:.1f}")
        table.add_row(
            str(result.study.number),
            Text(_answer(result), style={True: "green", False: "red", None: "yellow"}[result.right]),
            _certainty(result),
            result.study.truth,
            seconds,
        )
    table.caption = "seconds from the last C-STORE response to the SR at the PACS, idle time of 1 s included"
    console.print(table)
    draw(results, out / "summary.png")
    console.print(f"SR, key images (DICOM and PNG) and JSON of each study: {out}; all in one picture: summary.png")
    console.print("[yellow]Phantom weights, research only: not for clinical use.[/]")


def draw(results: Sequence[Result], path: Path) -> None:
    """Key images side by side, each with the answer and the truth."""
    rows = -(-len(results) // COLUMNS)
    columns = min(COLUMNS, len(results))
    sheet = Image.new("RGB", (columns * (TILE + GAP) + GAP, rows * (TILE + CAPTION + GAP) + GAP), PAPER)
    for place, result in enumerate(results):
        left = GAP + place % COLUMNS * (TILE + GAP)
        top = GAP + place // COLUMNS * (TILE + CAPTION + GAP)
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
    tone = {True: GOOD, False: BAD, None: DIM}[result.right]
    pen.rectangle((left, top, left + TILE - 1, top + TILE - 1), outline=tone, width=2)
    pen.text((left, top + TILE + 6), _answer(result), INK, ImageFont.load_default(20))
    pen.text((left, top + TILE + 32), _certainty(result), INK, ImageFont.load_default(16))
    pen.text((left, top + TILE + 54), f"truth: {result.study.truth}", tone, ImageFont.load_default(16))


def _answer(result: Result) -> str:
    if result.finding is None:
        return result.problem or "no answer"
    name = result.finding.kind.replace("_", " ")
    return f"{name}: {result.finding.presence}" + (f" ({result.problem})" if result.problem else "")


def _certainty(result: Result) -> str:
    return certainty_in_words(result.finding.certainty, result.finding.threshold) if result.finding else ""


def _finished(settings: Settings, uid: str) -> StudyOutcome | None:
    deadline = time.monotonic() + FINISH_TIMEOUT_S
    while True:
        outcome = outcomes.study(settings, uid)
        if (outcome is not None and outcome.state in FINAL) or time.monotonic() > deadline:
            return outcome
        time.sleep(GLANCE_S)


def _problem(outcome: StudyOutcome | None) -> str:
    if outcome is None:
        return "the service does not know this study"
    if outcome.decision is not None and not outcome.decision.assignments:
        return "no bundle wants it: " + "; ".join(r for each in outcome.decision.declined for r in each.reasons)
    return outcome.problem or "; ".join(report.reason for report in outcome.reports if report.reason)
