"""What the API says of itself: /api/v1/openapi.json."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app import __version__
from app.web.api.problems import Problem

ADDRESS: Final = "/api/v1/openapi.json"
DESCRIPTION: Final = (
    "Studies, what was found in them, and how the results went out. **Research only, not for diagnosis.** "
    "Every error is a problem (RFC 9457) whose `detail` says what to do next. Lists give `next`, an opaque cursor. "
    "A viewer reads; an operator sends documents again, has studies analysed again and uploads images."
)
TAGS: Final = (
    {"name": "studies", "description": "Study revisions, their reports, documents and deliveries"},
    {"name": "bundles", "description": "What is served, and what is refused and why"},
    {"name": "uploads", "description": "Images by HTTP, on the same way as those that come by C-STORE"},
    {"name": "service", "description": "Whether the service is well"},
    {"name": "DICOMweb", "description": "QIDO-RS and WADO-RS (PS3.18) over received studies and made results"},
)


def describe(app: FastAPI) -> None:
    """Have the application describe its API completely: how to log in, and what an error looks like."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="Vigil", version=__version__, description=DESCRIPTION, routes=app.routes, tags=[dict(tag) for tag in TAGS]
    )
    parts = document.setdefault("components", {})
    model = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts.setdefault("schemas", {}).update({**model.pop("$defs", {}), "Problem": model})
    parts["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of `python -m app token NAME --role viewer`; a browser's session counts as well",
        }
    }
    document["security"] = [{"token": []}]
    return document
