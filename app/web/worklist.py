"""The worklist: `/`, and `/events`, which tells an open page that something has changed."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from app.errors import Rejected, Retryable
from app.outcomes import State
from app.web.health import Pulse
from app.web.login import CurrentVisitor
from app.web.templating import page, wants_fragment
from app.web.told import problem_page
from app.web.witness import Witness
from app.words import certainty_in_words, flagged
from app.worklist import Watch, Worklist
from app.worklist_query import Priority, Query, query_of
from app.worklist_rows import Told, listed_name

GLANCE_S: Final = 0.25
STILL_HERE_S: Final = 15.0
LONGEST_S: Final = 300.0
"""A stream ends after so long; the browser asks anew, and who may no longer see studies is refused then."""
MOST_STREAMS: Final = 500
RECONNECT_MS: Final = 2000

STATES: Final = {
    State.RECEIVED: ("wait", "received"),
    State.PROCESSING: ("wait", "in progress"),
    State.DELIVERED: ("good", "delivered"),
    State.UNDELIVERED: ("bad", "not delivered"),
    State.SUPERSEDED: ("calm", "superseded"),
    State.UNWANTED: ("calm", "no bundle wants it"),
    State.FAILED: ("bad", "failed"),
}
TONES: Final = {"present": "bad", "absent": "good"}


def add_worklist(app: FastAPI, worklist: Worklist, watch: Watch, witness: Witness, pulse: Pulse) -> None:
    """Add the page and its stream.

    Args:
        app: To it.
        worklist: The index of studies.
        watch: Looks after it in the background.
        witness: Knows readers.
        pulse: Of the workers.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def show_worklist(request: Request, visitor: CurrentVisitor) -> Response:
        reader = witness.reader(visitor)
        try:
            query = query_of(request.query_params.multi_items())
            found = worklist.search(query)
            detectors = worklist.detectors()
            turn, whole = worklist.turn()
        except Rejected as error:
            return problem_page(request, reader, 400, str(error), "This address cannot be read")
        except Retryable as error:
            return problem_page(request, reader, 503, str(error), "The worklist cannot be shown now")
        # A page that only brings itself up to date shows what its reader was told already.
        if not wants_fragment(request, "worklist"):
            witness.listed(visitor, f"/{query.address()}")
        return page(
            request,
            "worklist.html",
            reader,
            query=query,
            found=found,
            detectors=sorted({*detectors, *filter(None, [query.detector])}),
            mark=mark_of(turn, silent=pulse.silent()),
            whole=whole,
            silent=pulse.silent(),
            states=STATES,
            priorities=Priority,
            words=_Words,
        )

    streams = _Streams(watch, pulse)

    @router.get("/events")
    async def events() -> Response:
        if not watch.running or streams.full:
            raise HTTPException(503, "nothing can be told now; try again", {"Retry-After": "5"})
        return StreamingResponse(streams.stream(), media_type="text/event-stream")

    app.include_router(router)


def mark_of(turn: int, *, silent: bool) -> str:
    """What tells a list from a newer one: how often the index has changed, and whether no worker answers."""
    return f"{turn}.silent" if silent else str(turn)


class _Streams:
    """The open pages of this process."""

    def __init__(self, watch: Watch, pulse: Pulse) -> None:
        self._watch, self._pulse = watch, pulse
        self._open = 0

    @property
    def full(self) -> bool:
        return self._open >= MOST_STREAMS

    async def stream(self) -> AsyncIterator[str]:
        """The mark of what is shown (`mark_of`), each time that it changes. Nothing of any study."""
        self._open += 1
        try:
            yield f"retry: {RECONNECT_MS}\n\n"
            told, told_at, until = "", 0.0, time.monotonic() + LONGEST_S
            while self._watch.running and time.monotonic() < until:
                mark = mark_of(self._watch.turn, silent=self._pulse.silent())
                if mark != told:
                    told, told_at = mark, time.monotonic()
                    yield f"id: {told}\nevent: turn\ndata: {told}\n\n"
                elif time.monotonic() - told_at > STILL_HERE_S:
                    told_at = time.monotonic()
                    yield ": still here\n\n"
                await asyncio.sleep(GLANCE_S)
        finally:
            self._open -= 1


class _Words:
    """What the template says of a row."""

    name = staticmethod(listed_name)
    flagged = staticmethod(flagged)

    @staticmethod
    def tone(told: Told) -> str:
        return TONES.get(told.presence, "wait")

    @staticmethod
    def certainty(told: Told) -> str:
        return certainty_in_words(told.certainty, told.threshold)

    @staticmethod
    def images(number: int) -> str:
        return "1 image" if number == 1 else f"{number} images"

    @staticmethod
    def day(date: str) -> str:
        return f"{date[:4]}-{date[4:6]}-{date[6:]}" if date else ""

    @staticmethod
    def count(number: int) -> str:
        return "1 study" if number == 1 else f"{number:,} studies".replace(",", "\u202f")

    @staticmethod
    def address(query: Query, **changes: object) -> str:
        return query.address(**changes)
