"""/api/v1/bundles: what is served, what is refused and why. Read only."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from fastapi import APIRouter, FastAPI, HTTPException
from fastapi import Path as InPath
from pydantic import BaseModel

from app.infer.catalogue import Bundle
from app.web.api.parameters import ONLY_KNOWN
from app.web.api.problems import errors_of
from app.web.shelf import Shelf

BundleName = Annotated[str, InPath(max_length=128, pattern=r"^[A-Za-z0-9_.-]+$", description="name of its folder")]


class BundleEntry(BaseModel):
    """A bundle of this installation.

    Attributes:
        name: Of its folder.
        state: `served`; `refused`, and `reason` says why; `not_served`: it is not made for that.
        reason: In words; "" where it is served.
        version: As its metadata say; "" where they were not read.
        status: `cleared` or `research`; "" likewise.
        research_only: Whether its documents are marked for research alone.
        training_data: What its weights were trained on, by name.
        weights_sha256: Of its weights.
    """

    name: str
    state: Literal["served", "refused", "not_served"]
    reason: str = ""
    version: str = ""
    status: str = ""
    research_only: bool = True
    training_data: str = ""
    weights_sha256: str = ""

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """Describe a bundle that is served."""
        algorithm = bundle.algorithm
        return cls(
            name=bundle.name,
            state="served",
            version=algorithm.version,
            status=algorithm.status,
            research_only=algorithm.research_only,
            training_data=algorithm.training_data,
            weights_sha256=algorithm.weights_sha256,
        )


class BundleList(BaseModel):
    """The bundles of this installation by name."""

    items: list[BundleEntry]


def entries(shelf: Shelf) -> Sequence[BundleEntry]:
    """Every bundle by name."""
    found = shelf.catalogue()
    return sorted(
        [
            *(BundleEntry.of(each) for each in found.bundles.values()),
            *(BundleEntry(name=each.name, state="refused", reason=each.reason) for each in found.refused),
            *(BundleEntry(name=each.name, state="not_served", reason=each.reason) for each in found.not_served),
        ],
        key=lambda each: each.name,
    )


def add_bundles(app: FastAPI, shelf: Shelf) -> None:
    """Add the routes."""
    router = APIRouter(prefix="/api/v1", tags=["bundles"], dependencies=ONLY_KNOWN)

    @router.get("/bundles", responses=errors_of())
    def list_bundles() -> BundleList:
        """Every bundle of this installation, also those that are refused, with the reason."""
        return BundleList(items=list(entries(shelf)))

    @router.get("/bundles/{name}", responses=errors_of(404))
    def show_bundle(name: BundleName) -> BundleEntry:
        """One bundle."""
        found = next((each for each in entries(shelf) if each.name == name), None)
        if found is None:
            raise HTTPException(404, "no bundle of that name; /api/v1/bundles lists them")
        return found

    app.router.routes.extend(router.routes)
