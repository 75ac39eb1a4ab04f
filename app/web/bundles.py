"""The bundles: /bundles shows them all, /bundles/{name} the card of one; administrators switch them off and on."""

import time
from dataclasses import dataclass
from typing import Annotated

import sqlalchemy as sa
import structlog
from fastapi import APIRouter, FastAPI, HTTPException, Path, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from app.errors import AppError, Retryable
from app.settings import Settings
from app.switches import Switch, switch_off, switch_on, switched_off
from app.warmth import states_of
from app.web.bundle_views import BundleView, bundle_views
from app.web.health import Pulse
from app.web.login import CurrentVisitor, Posted
from app.web.model_card import model_card, picture
from app.web.recent import Recent
from app.web.shelf import Shelf
from app.web.templating import page
from app.web.told import refusal
from app.web.witness import ANONYMOUS, Witness

Name = Annotated[str, Path(max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")]
DAY_S = 86400

log = structlog.get_logger()


@dataclass(frozen=True)
class BundlePages:
    """The routes.

    Attributes:
        settings: Of the installation.
        engine: The workflow database.
        witness: Tells the audit trail.
        shelf: The bundles on disk.
        pulse: Knows who lives.
        recent: The newest studies.
    """

    settings: Settings
    engine: sa.Engine
    witness: Witness
    shelf: Shelf
    pulse: Pulse
    recent: Recent

    def all(self, request: Request, visitor: CurrentVisitor) -> Response:
        """Every bundle: served, warm or cold, on or off, and how certain it was lately."""
        catalogue = self.shelf.catalogue()
        views, problem = self._views()
        return page(
            request,
            "bundles.html",
            self.witness.reader(visitor),
            bundles=views,
            problem=problem,
            alive=self.pulse.alive(),
            refused=catalogue.refused,
            not_served=catalogue.not_served,
            studies=len(self.recent.studies()),
        )

    def one(self, request: Request, visitor: CurrentVisitor, name: Name) -> Response:
        """The model card of a bundle."""
        views, problem = self._views()
        view = next((each for each in views if each.bundle.name == name), None)
        reader = self.witness.reader(visitor)
        if view is None:
            raise HTTPException(404, "no bundle of this name is served here; /bundles shows those that are")
        card = model_card(view.bundle.root, f"/bundles/{name}/docs")
        return page(request, "bundle.html", reader, view=view, problem=problem, card=card)

    def picture(self, name: Name, image: Name) -> Response:
        """A picture of a model card."""
        bundle = self.shelf.catalogue().bundles.get(name)
        path = None if bundle is None else picture(bundle.root, image)
        if path is None:
            raise HTTPException(404, "the model card has no picture of this name")
        return FileResponse(path)

    def off(self, visitor: CurrentVisitor, name: Name, fields: Posted) -> Response:
        """Switch a bundle off: from now on no study is given to it."""
        try:
            self.shelf.catalogue().get(name)
            switch = Switch(name, time.time(), visitor.name or ANONYMOUS, fields.get("reason", ""))
            switch_off(self.engine, switch)
        except AppError as error:
            raise refusal(error) from error
        log.warning("bundle_switched_off", bundle=name, user=visitor.name)
        self.witness.configured(visitor, f"bundle '{name}' switched off: {' '.join(switch.reason.split())}")
        return RedirectResponse(f"/bundles#{name}", 303)

    def on(self, visitor: CurrentVisitor, name: Name) -> Response:
        """Switch a bundle on again; also one whose folder is gone."""
        try:
            changed = switch_on(self.engine, name)
        except Retryable as error:
            raise refusal(error) from error
        if changed:
            log.warning("bundle_switched_on", bundle=name, user=visitor.name)
            self.witness.configured(visitor, f"bundle '{name}' switched on")
        return RedirectResponse(f"/bundles#{name}", 303)

    def _views(self) -> tuple[tuple[BundleView, ...], str]:
        """What is shown of each, and why something is missing in it."""
        catalogue, problem = self.shelf.catalogue(), ""
        try:
            off, told = switched_off(self.engine), states_of(self.engine)
        except Retryable as error:
            off, told, problem = {}, {}, str(error)
        said = {name: self.recent.reports(name) for name in catalogue.bundles}
        return bundle_views(catalogue, off, told, self.pulse.alive(), said), problem


def add_bundles(app: FastAPI, pages: BundlePages) -> None:
    """Add the routes."""
    router = APIRouter(include_in_schema=False)
    router.get("/bundles")(pages.all)
    router.get("/bundles/{name}")(pages.one)
    router.get("/bundles/{name}/docs/{image}")(pages.picture)
    router.post("/bundles/{name}/off")(pages.off)
    router.post("/bundles/{name}/on")(pages.on)
    app.include_router(router)
