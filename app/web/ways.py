"""Ways through the pages: to which page a form belongs, and where a log-in may lead."""

import re
from typing import Final
from urllib.parse import quote, unquote

LONGEST: Final = 2000
FORMS: Final = (
    (re.compile(r"(/study/[^/]+)/(replay|rerun)"), r"\1"),
    (re.compile(r"(/feedback/study/[^/]+)"), r"\1"),
    (re.compile(r"/feedback/export"), "/feedback"),
    (re.compile(r"/bundles/[^/]+/(on|off)"), "/bundles"),
    (re.compile(r"/system/echo"), "/system"),
)
"""Where forms are sent to, and the page that shows them."""

_ADDRESS: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")
_ESCAPED: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NOT_WITHIN: Final = re.compile(r"//|\\|[\x00-\x20\x7f-\x9f]|(^|/)\.\.?(/|$)")
_NO_PAGES: Final = ("/login", "/logout", "/static/", "/api/", "/dicom-web/", "/events")
_LAYERS: Final = 4


def page_of_form(path: str) -> str:
    """The page of a form that is sent to `path`; "" where no page has such a form."""
    for target, page in FORMS:
        if found := target.fullmatch(path):
            return found.expand(page)
    return ""


def own_address(given: str) -> str:
    """An address of a page of this service, as it was given; "/" where it is none, or could lead elsewhere.

    A path from the root, with a query or without: no scheme, no host, no backslash, nothing that a browser or a proxy
    might take for one of these after it has decoded it, and no control characters.
    """
    if len(given) > LONGEST or not _ADDRESS.fullmatch(given) or _ESCAPED.search(given):
        return "/"
    path = given.partition("?")[0]
    for _ in range(_LAYERS):
        if _NOT_WITHIN.search(path) or path.startswith(_NO_PAGES):
            return "/"
        path, before = unquote(path), path
        if path == before:
            return given
    return "/"


def login_address(path: str, query: str) -> str:
    """The log-in that leads to a page afterwards.

    Args:
        path: Of the page, decoded.
        query: Of the page, as it came.
    """
    page = own_address(quote(path, safe="/:@!$&'()*+,;=~") + (f"?{query}" if query else ""))
    return "/login" if page == "/" else f"/login?next={quote(page, safe='')}"
