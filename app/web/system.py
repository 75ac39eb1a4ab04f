"""The system: /system shows disks, queues, workers, destinations and what went wrong; operators ask C-ECHO."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog
from dbos import DBOSClient
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError

from app.breakers import left_alone
from app.build import commit
from app.deliver import reachable
from app.settings import Settings
from app.web.figures import Figures
from app.web.health import examine
from app.web.login import CurrentVisitor, Posted
from app.web.recent import Recent
from app.web.system_views import (
    Queue,
    arrivals_of,
    associations,
    certificates,
    destination_rows,
    disks,
    troubles,
    worker_rows,
)
from app.web.templating import page
from app.web.witness import Witness
from app.workflow_database import versions_of

QUEUES: Mapping[str, str] = {"inference": "analyses", "redelivery": "deliveries that are tried again"}
"""Names of `app.workflow`'s queues, which this process does not load, and what waits in them."""

log = structlog.get_logger()


@dataclass(frozen=True)
class SystemPages:
    """The routes.

    Attributes:
        settings: Of the installation.
        engine: The workflow database.
        witness: Tells for whom a page is.
        figures: What was found the last time somebody looked.
        recent: The newest studies.
        registry: The figures of every process, as far as this one sees them.
    """

    settings: Settings
    engine: sa.Engine
    witness: Witness
    figures: Figures
    recent: Recent
    registry: Callable[[], CollectorRegistry]

    def show(self, request: Request, visitor: CurrentVisitor) -> Response:
        """Everything at a glance."""
        return self._page(request, visitor, "", None)

    def echo(self, request: Request, visitor: CurrentVisitor, fields: Posted) -> Response:
        """Ask one destination whether it is there: C-ECHO, or what comes nearest to it."""
        name = fields.get("destination", "")
        destination = next((each for each in self.settings.destinations if each.name == name), None)
        if destination is None:
            raise HTTPException(404, "the settings name no such destination")
        started = time.monotonic()
        problem = reachable(destination)
        seconds = time.monotonic() - started
        log.info("echo_asked", destination=name, user=visitor.name, ok=problem is None, seconds=round(seconds, 3))
        answer = {"ok": problem is None, "words": problem or f"answers, after {seconds:.2f} s"}
        return self._page(request, visitor, name, answer)

    def _page(self, request: Request, visitor: CurrentVisitor, echoed: str, answer: dict[str, Any] | None) -> Response:
        backlog, studies, pulse = self.figures.backlog, self.recent.studies(), self.figures.pulse
        known, queues, problem = self._database()
        return page(
            request,
            "system.html",
            self.witness.reader(visitor),
            health=examine(self.settings, self.figures.knock, pulse),
            commit=commit(),
            disks=disks(self.settings),
            min_free_mb=self.settings.spool.min_free_mb,
            workers=worker_rows(known, pulse.alive()),
            queues=queues,
            problem=problem,
            backlog=backlog,
            associations=associations(self.registry()),
            destinations=destination_rows(self.settings, backlog, left_alone(self.settings.run), studies),
            arrivals=arrivals_of(self.settings),
            troubles=troubles(studies, backlog),
            certificates=certificates(self.settings),
            studies=len(studies),
            echoed=echoed,
            answer=answer,
            now=time.time(),
        )

    def _database(self) -> tuple[Mapping[str, str], tuple[Queue, ...], str]:
        """Workers and queues, and why they cannot be told."""
        try:
            known = versions_of(self.engine)
            client = DBOSClient(system_database_engine=self.engine, lazy=True)
            queues = tuple(_queue(client, name, what) for name, what in QUEUES.items())
        except SQLAlchemyError as error:
            words = "the database does not answer or is not set up; start it and a worker, see database.url"
            return {}, (), f"{words} ({type(error).__name__})"
        return known, queues, ""


def add_system(app: FastAPI, pages: SystemPages) -> None:
    """Add the routes."""
    router = APIRouter(include_in_schema=False)
    router.get("/system")(pages.show)
    router.post("/system/echo")(pages.echo)
    app.include_router(router)


def _queue(client: DBOSClient, name: str, what: str) -> Queue:
    waiting = client.list_queued_workflows(queue_name=name, load_input=False, load_output=False)
    begun = [each.created_at / 1000 for each in waiting if each.created_at]
    return Queue(name, what, len(waiting), max(time.time() - min(begun), 0.0) if begun else 0.0)
