"""Readers' feedback: /feedback lists it, /feedback/study/{key} takes it, /feedback/export gives it out for training."""

import re
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from zipfile import ZIP_STORED, ZipFile

import sqlalchemy as sa
import structlog
from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from starlette.background import BackgroundTask

from app import outcomes
from app.errors import AppError, Retryable
from app.feedback import Answer, counts, give, newest, of_study
from app.feedback_export import export
from app.feedback_form import read_form
from app.outcomes import StudyOutcome
from app.settings import Settings
from app.web.api.studies import KeyOrUid
from app.web.feedback_views import Said, study_form, where
from app.web.login import CurrentVisitor, Posted
from app.web.shelf import Shelf
from app.web.templating import page, wants_fragment
from app.web.told import refusal
from app.web.witness import Witness

PAGE = 50
BEFORE = r"^[0-9]{1,12}(\.[0-9]{1,12})?,[0-9a-f]{32}$"
FIRST = re.compile(r"[0-9]{1,6}")
FRAGMENT = "feedback"

Before = Annotated[str, Query(max_length=64, pattern=BEFORE, description="time and id of the last one seen")]
First = Annotated[int, Query(alias="from", ge=0, le=1_000_000, description="place of the first finding, from 0")]
Chosen = Annotated[str, Query(max_length=128, pattern=r"^[A-Za-z0-9_.-]*$")]

log = structlog.get_logger()


@dataclass
class Feedbacks:
    """The routes.

    Attributes:
        settings: Of the installation.
        engine: The workflow database.
        witness: Tells the audit trail.
        shelf: The bundles on disk.
    """

    settings: Settings
    engine: sa.Engine
    witness: Witness
    shelf: Shelf
    _exporting: threading.Lock = field(default_factory=threading.Lock, init=False)

    def listed(
        self,
        request: Request,
        visitor: CurrentVisitor,
        bundle: Chosen = "",
        answer: Chosen = "",
        before: Before | None = None,
    ) -> Response:
        """What readers said last, of all studies or of one bundle's."""
        reader = self.witness.reader(visitor)
        since = None if before is None else (float(before.split(",")[0]), before.split(",")[1])
        try:
            found, numbers = newest(self.engine, PAGE + 1, since, bundle, answer), counts(self.engine)
        except Retryable as error:
            raise refusal(error) from error
        shown, more = found[:PAGE], len(found) > PAGE
        return page(
            request,
            "feedback.html",
            reader,
            said=[Said(each, counts=True, where=where(each)) for each in shown],
            next=f"{shown[-1].at!r},{shown[-1].id}" if more else "",
            counts=numbers,
            answers=tuple(Answer),
            bundle=bundle,
            answer=answer,
        )

    def of_study(self, request: Request, visitor: CurrentVisitor, key: KeyOrUid, first: First = 0) -> Response:
        """The form of one study, and what was said of it."""
        outcome = self._known(key)
        self.witness.saw(visitor, outcome)
        return self._form(request, visitor, outcome, first)

    def given(self, request: Request, visitor: CurrentVisitor, key: KeyOrUid, fields: Posted) -> Response:
        """Keep an answer; what a reader said before stays in the history."""
        if not visitor.name:
            raise HTTPException(403, "log in to give feedback: it is kept with the name of who gives it")
        outcome = self._known(key)
        first = int(fields["from"]) if FIRST.fullmatch(fields.get("from", "")) else 0
        try:
            feedback = read_form(outcome, fields, visitor.name)
            new = give(self.engine, feedback)
        except AppError as error:
            raise refusal(error) from error
        if new:
            log.info("feedback_given", study=outcome.key[:12], bundle=feedback.bundle, answer=feedback.answer.value)
            self.witness.answered(visitor, outcome)
        if wants_fragment(request, FRAGMENT):
            return self._form(request, visitor, outcome, first)
        return RedirectResponse(f"/feedback/study/{outcome.key}{f'?from={first}' if first else ''}", 303)

    def exported(self, visitor: CurrentVisitor, fields: Posted) -> Response:
        """A zip of the datalist of one bundle, with copies of images that do not say whose they are."""
        name = fields.get("bundle", "")
        if not self._exporting.acquire(blocking=False):
            raise HTTPException(409, "another export is being written; try again when it is done")
        folder = None
        try:
            bundle = self.shelf.catalogue().get(name)
            self.settings.run.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="feedback-export-", dir=self.settings.run))
            written = export(self.settings, self.engine, bundle, folder / name)
            for outcome in written.studies:
                self.witness.exported(visitor, outcome)
            packed = _packed(folder, name)
        except AppError as error:
            _remove(folder)
            raise refusal(error) from error
        except BaseException:
            _remove(folder)
            raise
        finally:
            self._exporting.release()
        safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        return FileResponse(
            packed,
            media_type="application/zip",
            filename=f"feedback-{safe}.zip",
            background=BackgroundTask(_remove, folder),
        )

    def _known(self, key: str) -> StudyOutcome:
        outcome = outcomes.study(self.settings, key)
        if outcome is None:
            raise HTTPException(404, "no study of that key or StudyInstanceUID; the worklist shows what is known")
        return outcome

    def _form(self, request: Request, visitor: CurrentVisitor, outcome: StudyOutcome, first: int) -> Response:
        try:
            form = study_form(outcome, of_study(self.engine, outcome.key), visitor.name, first)
        except Retryable as error:
            raise refusal(error) from error
        reader = self.witness.reader(visitor)
        return page(request, "feedback_study.html", reader, form=form)


def add_feedback(app: FastAPI, routes: Feedbacks) -> None:
    """Add the routes."""
    router = APIRouter(include_in_schema=False)
    router.get("/feedback")(routes.listed)
    router.get("/feedback/study/{key}")(routes.of_study)
    router.post("/feedback/study/{key}")(routes.given)
    router.post("/feedback/export")(routes.exported)
    app.include_router(router)


def _packed(folder: Path, name: str) -> Path:
    """The exported files as one zip beside their folder, without compressing what hardly gets smaller."""
    packed = folder / "export.zip"
    with ZipFile(packed, "w", ZIP_STORED) as file:
        for path in sorted((folder / name).rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(folder))
    shutil.rmtree(folder / name)
    return packed


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
