"""A bundle's docs/README.md as HTML: Markdown alone, raw HTML is shown as text, nothing comes from afar."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

LARGEST: Final = 1 << 20
IMAGE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\.(png|jpg)")
DOCS: Final = Path("docs")
README: Final = DOCS / "README.md"


def model_card(root: Path, images: str) -> Markup | None:
    """Render the model card.

    Args:
        root: Of the bundle.
        images: Address below which the pictures of its `docs` are found.

    Returns:
        HTML, its headings one step below the page's own; None where there is no card, or none that is text.
    """
    try:
        with (root / README).open("rb") as file:
            text = file.read(LARGEST).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
        if token.children:
            token.children = [each for each in _own(token.children, images) if each is not None]
    return Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704  its own escaping, HTML is off


def picture(root: Path, name: str) -> Path | None:
    """A picture of the model card; None where there is none of that name."""
    path = root / DOCS / name
    return path if IMAGE.fullmatch(name) and path.is_file() else None


def _own(children: Sequence[Token], images: str) -> list[Token | None]:
    """Pictures from the bundle alone, and links to the web alone: a path in the repository leads nowhere here."""
    found: list[Token | None] = []
    open_links: list[bool] = []
    for token in children:
        if token.type == "image":
            found.append(_picture(token, images))
        elif token.type == "link_open":
            kept = str(token.attrGet("href") or "").startswith(("https://", "http://"))
            open_links.append(kept)
            token.attrSet("rel", "noreferrer noopener")
            found.append(token if kept else None)
        elif token.type == "link_close":
            found.append(token if open_links.pop() else None)
        else:
            found.append(token)
    return found


def _picture(token: Token, images: str) -> Token | None:
    name = str(token.attrGet("src") or "")
    if not IMAGE.fullmatch(name):
        return None
    token.attrSet("src", f"{images}/{name}")
    token.attrSet("loading", "lazy")
    return token
