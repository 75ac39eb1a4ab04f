"""Pages from templates: every text is escaped, what nobody sees in it gets a mark, misspelt names are errors."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app import __version__
from app.web.api.problems import FRAGMENT_HEADER
from app.web.notices import Notice
from app.web.reader import Reader
from app.web.static_files import static_url
from app.words import visible

FOLDER: Final = Path(__file__).parent / "templates"
THEME_COOKIE: Final = "vigil_theme"
MOST_SHOWN: Final = 120
UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def page(request: Request, name: str, reader: Reader, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Fill a template.

    Args:
        request: Of it the path (for what is marked in the navigation), the chosen theme, and the notice that the gate
            found for this page are used.
        name: Of the template in `app/web/templates`.
        reader: For whom.
        status: Of the answer.
        values: What the template names.

    Raises:
        jinja2.TemplateError: The template is missing, broken, or names what it was not given.
    """
    theme = "light" if request.cookies.get(THEME_COOKIE) == "light" else "dark"
    notice: Notice | None = getattr(request.state, "notice", None)
    shared = {"reader": reader, "theme": theme, "path": request.scope["path"], "notice": notice}
    text = ENVIRONMENT.get_template(name).render(**shared, **values)
    return HTMLResponse(text, status)


def wants_fragment(request: Request, element: str) -> bool:
    """Whether a script asks for that element alone, by its id, and not for the whole page."""
    return request.headers.get(FRAGMENT_HEADER) == element


def moment(when: datetime | float | None) -> str:
    """A time for people, UTC: "2026-11-22 09:05:07"; "" for None."""
    if when is None:
        return ""
    at = datetime.fromtimestamp(when, UTC) if isinstance(when, (int, float)) else when.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}"


def size(number: float) -> str:
    """Bytes for people: "4.2 MB"."""
    for unit in UNITS:
        if number < 1000 or unit == UNITS[-1]:
            return f"{number:.0f} {unit}" if unit == UNITS[0] else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError("the last unit takes what is left")


def plain(name: str) -> str:
    """A name of the code table for people: "Intracranial hemorrhage"."""
    return name.replace("_", " ").capitalize()


def clipped(text: str, most: int = MOST_SHOWN) -> Markup:
    """What others wrote, apart from the text around it: in its own direction, and cut where it is long, told as a whole
    in its title.
    """
    whole = visible(text)
    if len(whole) <= most:
        return Markup("<bdi>{}</bdi>").format(whole)
    return Markup('<bdi title="{}">{}…</bdi>').format(whole, whole[:most])


def _finalized(value: Any) -> Any:
    return visible(value) if type(value) is str else value


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    made.globals |= {"static": static_url, "version": __version__}
    made.filters |= {"moment": moment, "size": size, "plain": plain, "clipped": clipped}
    return made


ENVIRONMENT: Final = _environment()
