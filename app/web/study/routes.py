"""/study/{key}: the page of a study, its parts, and what an operator may do there."""

from collections.abc import Callable, Sequence
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.documents import Receipt
from app.errors import Rejected
from app.settings import Settings
from app.web.begun import only_begun
from app.web.guard import Visitor
from app.web.health import Pulse
from app.web.login import CurrentVisitor, Posted
from app.web.notices import Notice
from app.web.rerun import ask_again
from app.web.sights import Sights
from app.web.study.documents import KINDS, file_of, find, pdf_of, picture_of, readable
from app.web.study.images import add_images
from app.web.study.known import Known
from app.web.study.lists import COLUMNS, LISTED, PAGE, Part, list_of
from app.web.study.views import page_of
from app.web.templating import page, wants_fragment
from app.web.told import answer
from app.web.witness import Witness
from app.workflow_delivery import replay

LIVE: Final = "progress"
"""The part of the page that is loaded again while a study is on its way."""

First = Annotated[int, Query(alias="from", ge=0, le=10_000_000, description="place of the first one, from 0")]
log = structlog.get_logger()


def add_study(app: FastAPI, settings: Settings, witness: Witness, pulse: Pulse) -> None:
    """Add every route below /study."""
    router = APIRouter(include_in_schema=False)
    known, sights = Known(settings), Sights(witness)
    _Pages(settings, witness, known, sights, pulse).add(router)
    _Deeds(settings, witness, known).add(router)
    add_images(router, known, sights)
    app.include_router(router)


def _explained(witness: Witness, request: Request, visitor: Visitor, make: Callable[[], Response]) -> Response:
    """What `make` answers, or a page that says why there is nothing."""
    try:
        return make()
    except HTTPException as error:
        return answer(request, witness.reader(visitor), error.status_code, str(error.detail), error.headers)


def _sent(receipts: Sequence[Receipt]) -> Notice:
    """What became of documents that were sent again."""
    taken = sum(receipt.delivered for receipt in receipts)
    words = f"Sent again just now: {taken} {'document was' if taken == 1 else 'documents were'} taken"
    if left := len(receipts) - taken:
        words += f", {left} {'was' if left == 1 else 'were'} not"
    return Notice("bad" if left else "good", f"{words}.", "deliveries")


class _Pages:
    """What is looked at."""

    def __init__(self, settings: Settings, witness: Witness, known: Known, sights: Sights, pulse: Pulse) -> None:
        self._settings, self._witness, self._known, self._sights = settings, witness, known, sights
        self._pulse = pulse

    def add(self, router: APIRouter) -> None:
        """Add the routes."""
        router.get("/study/{key}")(self.show)
        router.get("/study/{key}/all/{part}")(self.show_all)
        router.get("/study/{key}/documents/{name}")(self.show_document)
        router.get("/study/{key}/documents/{name}/file")(self.send_file)
        router.get("/study/{key}/documents/{name}/picture")(self.send_picture)
        router.get("/study/{key}/documents/{name}/pdf")(self.send_pdf)

    def show(self, key: str, request: Request, visitor: CurrentVisitor) -> Response:
        """The page of a study."""

        def made() -> Response:
            outcome = self._known.outcome(key)
            looked = self._sights.saw if wants_fragment(request, LIVE) else self._sights.opened
            looked(visitor, outcome)
            shown = page_of(self._settings, self._known, outcome)
            reader = self._witness.reader(visitor)
            return page(
                request,
                "study.html",
                reader,
                study=shown,
                kinds=KINDS,
                listed=LISTED,
                silent=self._pulse.silent(),
            )

        return _explained(self._witness, request, visitor, made)

    def show_all(self, key: str, part: Part, request: Request, visitor: CurrentVisitor, first: First = 0) -> Response:
        """All of one list of a study, a page at a time."""

        def made() -> Response:
            outcome = self._known.outcome(key)
            self._sights.saw(visitor, outcome)
            shown = page_of(self._settings, self._known, outcome)
            every = list_of(shown, part)
            return page(
                request,
                "study_all.html",
                self._witness.reader(visitor),
                study=shown,
                part=part.value,
                columns=COLUMNS[part],
                rows=every[first : first + PAGE],
                first=first,
                size=PAGE,
                total=len(every),
                kinds=KINDS,
            )

        return _explained(self._witness, request, visitor, made)

    def show_document(self, key: str, name: str, request: Request, visitor: CurrentVisitor) -> Response:
        """A document to read."""

        def made() -> Response:
            outcome = self._known.outcome(key)
            document = find(outcome, name)
            self._sights.opened(visitor, outcome)
            return page(
                request,
                "study_document.html",
                self._witness.reader(visitor),
                key=outcome.key,
                document=document,
                kind=KINDS[document.kind],
                shown=readable(document),
            )

        return _explained(self._witness, request, visitor, made)

    def send_file(self, key: str, name: str, request: Request, visitor: CurrentVisitor) -> Response:
        """A document to keep."""
        return self._sent(key, name, request, visitor, file_of)

    def send_picture(self, key: str, name: str, request: Request, visitor: CurrentVisitor) -> Response:
        """A key image."""
        return self._sent(key, name, request, visitor, picture_of)

    def send_pdf(self, key: str, name: str, request: Request, visitor: CurrentVisitor) -> Response:
        """A page of paper."""
        return self._sent(key, name, request, visitor, pdf_of)

    def _sent(self, key: str, name: str, request: Request, visitor: Visitor, send: Callable[..., Response]) -> Response:
        def made() -> Response:
            outcome = self._known.outcome(key)
            document = find(outcome, name)
            self._sights.opened(visitor, outcome)
            return send(document)

        return _explained(self._witness, request, visitor, made)


class _Deeds:
    """What an operator does: the gate has seen to the role and to the form's token."""

    def __init__(self, settings: Settings, witness: Witness, known: Known) -> None:
        self._settings, self._witness, self._known = settings, witness, known

    def add(self, router: APIRouter) -> None:
        """Add the routes."""
        router.post("/study/{key}/replay")(self.send_again)
        router.post("/study/{key}/rerun")(self.analyse_again)

    def send_again(self, key: str, request: Request, visitor: CurrentVisitor, fields: Posted) -> Response:
        """Send the documents of a study once more, as the command `replay` does."""

        def done() -> Response:
            outcome = only_begun(self._known.outcome(key))
            log.info("replay_asked", study=outcome.key[:12], user=visitor.name)
            destination, force = fields.get("destination") or None, fields.get("force") == "yes"
            try:
                receipts = replay(self._settings, outcome.key, destination, even_superseded=force)
            except Rejected as error:
                raise HTTPException(409, str(error)) from error
            self._witness.sent(visitor, outcome, receipts)
            self._witness.guard.notices.leave(visitor.subject, f"/study/{outcome.key}", _sent(receipts))
            return RedirectResponse(f"/study/{outcome.key}#deliveries", 303)

        return _explained(self._witness, request, visitor, done)

    def analyse_again(self, key: str, request: Request, visitor: CurrentVisitor) -> Response:
        """Analyse a revision once more; its documents will be new ones, and supersede those that are there."""

        def done() -> Response:
            outcome = self._known.outcome(key)
            asked = ask_again(self._settings, self._witness, visitor, outcome)
            return RedirectResponse(f"/study/{asked.key}", 303)

        return _explained(self._witness, request, visitor, done)
