"""One page of paper: words that never run off it, in the fonts that the machine has.

Points (1/72 inch) from the upper left corner of an A4 sheet.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from io import BytesIO
from itertools import groupby, islice
from pathlib import Path

from reportlab import rl_config
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas

from app.errors import Failed
from app.report.words import plain
from app.words import visible

rl_config.useA85 = 0  # pictures as they are: as text they are a quarter longer and take as long as all the rest

WIDTH, HEIGHT = 595.0, 842.0
LEFT = 36.0
INNER = WIDTH - 2 * LEFT
LEADING = 1.32
FONTS = Path("/usr/share/fonts/truetype")
REGULAR, BOLD, EAST_ASIAN = "DejaVuSans", "DejaVuSans-Bold", "DroidSansFallback"
FILES = {
    REGULAR: FONTS / "dejavu" / "DejaVuSans.ttf",
    BOLD: FONTS / "dejavu" / "DejaVuSans-Bold.ttf",
    EAST_ASIAN: Path("/usr/share/fonts-droid-fallback/truetype/DroidSansFallback.ttf"),
}
MISSING = "the page needs DejaVu Sans: install the Debian package fonts-dejavu-core"
NO_GLYPH = "\u25a1"
ELLIPSIS = "\u2026"
RIGHT_TO_LEFT = {"R", "AL", "AN"}
LONGEST = 2000
"""Characters of one text that are looked at: more than a page holds."""
BASIC_PLANE = 0xFFFF
"""Letters beyond it come out of a PDF as another reader wants; they are rare in these fonts."""
NARROWEST = 5
"""Letters to an em: of narrower ones fewer than would fit stand on a line."""

Colour = tuple[float, float, float]
BLACK: Colour = (0, 0, 0)
GREY: Colour = (0.35, 0.35, 0.35)
RED: Colour = (0.6, 0, 0)
WHITE: Colour = (1, 1, 1)


@cache
def font(name: str) -> TTFont | None:
    """A font of this machine, registered with reportlab; None where it is not installed."""
    try:
        found = TTFont(name, str(FILES[name]))
    except (TTFError, OSError):
        return None
    pdfmetrics.registerFont(found)
    return found


class Page:
    """One A4 page, drawn from top to bottom.

    Attributes:
        lost: Whether a character stands as □, because no font draws it, or because its script has to be joined or
            turned.
    """

    def __init__(self, title: str, made_at: datetime) -> None:
        """Start a page.

        Args:
            title: In the properties of the file. No patient data.
            made_at: Likewise.

        Raises:
            Failed: The fonts are not installed.
        """
        if font(REGULAR) is None or font(BOLD) is None:
            raise Failed(MISSING)
        self._buffer = BytesIO()
        self._canvas = Canvas(self._buffer, pagesize=(WIDTH, HEIGHT), invariant=1, pageCompression=1)
        self._canvas.setTitle(plain(title))
        self._canvas.setAuthor("Vigil")
        self._canvas.setCreator("Vigil")
        self._canvas.setSubject("Summary of an automatic image analysis")
        date = _pdf_date(made_at)
        self._canvas.setDateFormatter(lambda *_: date)
        self.lost = False

    def line(
        self,
        text: str,
        x: float,
        y: float,
        width: float,
        size: float = 9,
        *,
        bold: bool = False,
        colour: Colour = BLACK,
    ) -> float:
        """Write one line, shortened to fit; y is its upper edge.

        Returns:
            The upper edge of a line below it.
        """
        shown = self._fitting(self._drawable(text, bold=bold), width, size, bold=bold)
        self._canvas.setFillColorRGB(*colour)
        baseline = HEIGHT - y - size
        for name, run in self._runs(shown, bold=bold):
            self._canvas.setFont(name, size)
            self._canvas.drawString(x, baseline, run)
            x += pdfmetrics.stringWidth(run, name, size)
        return y + size * LEADING

    def paragraphs(  # noqa: PLR0917  a place and a style
        self,
        texts: Sequence[str],
        x: float,
        y: float,
        width: float,
        most: int,
        size: float = 8,
        *,
        bold: bool = False,
        colour: Colour = BLACK,
    ) -> float:
        """Write texts below each other, each on as many lines as it needs, `most` lines in all.

        Where they need more, the last line says how many texts are missing, or ends in "…" where the last is cut.

        Returns:
            The upper edge of a line below them.
        """
        wrapped = self._lines(texts, width, most, size, bold=bold)
        for part in _at_most(wrapped, most, len(texts)):
            y = self.line(part, x, y, width, size, bold=bold, colour=colour)
        return y

    def bar(self, y: float, height: float, colour: Colour, x: float = 0, width: float = WIDTH) -> None:
        """Fill a bar."""
        self._canvas.setFillColorRGB(*colour)
        self._canvas.rect(x, HEIGHT - y - height, width, height, stroke=0, fill=1)

    def rule(self, x: float, y: float, width: float) -> None:
        """Draw a thin line."""
        self._canvas.setStrokeColorRGB(*GREY)
        self._canvas.setLineWidth(0.4)
        self._canvas.line(x, HEIGHT - y, x + width, HEIGHT - y)

    def picture(self, jpeg: bytes, x: float, y: float, width: float, height: float) -> None:
        """Draw a picture; y is its upper edge."""
        self._canvas.drawImage(ImageReader(BytesIO(jpeg)), x, HEIGHT - y - height, width, height)

    def height(self, texts: Sequence[str], width: float, most: int, size: float = 8) -> float:
        """What `paragraphs` will need."""
        lines = sum(len(each) for each in self._lines(texts, width, most, size))
        return min(lines, most) * size * LEADING

    def content(self) -> bytes:
        """The page as a PDF file; the same page gives the same bytes."""
        self._canvas.showPage()
        self._canvas.save()
        return self._buffer.getvalue()

    def _lines(
        self, texts: Sequence[str], width: float, most: int, size: float, *, bold: bool = False
    ) -> list[list[str]]:
        """Lines of each text, of no more texts and no more of each than it takes to see that there are too many."""
        drawable = (self._drawable(text, bold=bold) for text in texts[: most + 1])
        return [list(islice(self._wrapped(text, width, size, bold=bold), most + 1)) for text in drawable]

    def _drawable(self, text: str, *, bold: bool) -> str:
        """In one line, with □ for what cannot be drawn, and a mark for what cannot be seen."""
        out = []
        for character in unicodedata.normalize("NFC", " ".join(visible(text[:LONGEST]).split())):
            kind = unicodedata.category(character)
            if kind in {"Cc", "Cf"}:
                continue
            drawn = unicodedata.bidirectional(character) not in RIGHT_TO_LEFT and _font_of(character, bold=bold)
            self.lost |= not drawn
            out.append(character if drawn else NO_GLYPH)
        return "".join(out)

    @staticmethod
    def _runs(text: str, *, bold: bool) -> Iterator[tuple[str, str]]:
        for name, run in groupby(text, key=lambda character: _font_of(character, bold=bold)):
            yield name, "".join(run)

    def _width(self, text: str, size: float, *, bold: bool) -> float:
        return float(sum(pdfmetrics.stringWidth(run, name, size) for name, run in self._runs(text, bold=bold)))

    def _fitting(self, text: str, width: float, size: float, *, bold: bool) -> str:
        longest = int(NARROWEST * width / size) + 1
        if len(text) > longest:
            text = text[:longest] + ELLIPSIS
        if self._width(text, size, bold=bold) <= width:
            return text
        return text[: self._most(text, width, size, bold=bold, tail=ELLIPSIS)].rstrip() + ELLIPSIS

    def _most(self, text: str, width: float, size: float, *, bold: bool, tail: str = "") -> int:
        """How many characters fit; at least one, so that a narrow column cannot stop the writing."""
        low, high = 1, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self._width(text[:middle] + tail, size, bold=bold) <= width:
                low = middle
            else:
                high = middle - 1
        return low

    def _wrapped(self, text: str, width: float, size: float, *, bold: bool) -> Iterator[str]:
        """Lines that end at a blank where there is one; a word that is too long is cut."""
        longest = int(NARROWEST * width / size) + 1
        while text:
            if len(text) <= longest and self._width(text, size, bold=bold) <= width:
                yield text
                return
            most = self._most(text[:longest], width, size, bold=bold)
            blank = text.rfind(" ", 0, most + 1)
            end = blank if blank > 0 else most
            yield text[:end]
            text = text[end:].lstrip()


@cache
def _font_of(character: str, *, bold: bool) -> str:
    """The first font that draws a character; "" for none."""
    for name in (BOLD if bold else REGULAR, REGULAR, EAST_ASIAN):
        found = font(name)
        if found is not None and ord(character) in found.face.charToGlyph and ord(character) <= BASIC_PLANE:
            return name
    return ""


def _at_most(texts: Sequence[Sequence[str]], most: int, count: int) -> Iterable[str]:
    """The first lines of texts; of how many there are in all, since only the first of them are given."""
    if count <= len(texts) and sum(len(lines) for lines in texts) <= most:
        return [line for lines in texts for line in lines]
    shown: list[str] = []
    for number, lines in enumerate(texts):
        last = number == count - 1
        room = most - len(shown) - (0 if last else 1)
        if len(lines) <= room:
            shown += lines
            continue
        left = count - number
        if last or (number == 0 and room > 0):  # a text by itself is worth its beginning
            shown += [*lines[: room - 1], f"{lines[room - 1]} {ELLIPSIS}"]
            left -= 1
        return [*shown, f"...and {left} more"] if left else shown
    return [*shown, f"...and {count - len(texts)} more"]


def _pdf_date(moment: datetime) -> str:
    offset = f"{moment:%z}"[:5] or "+0000"
    return f"D:{moment:%Y%m%d%H%M%S}{offset[:3]}'{offset[3:]}'"
