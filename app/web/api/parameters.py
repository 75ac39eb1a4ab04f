"""Parameters that a route does not know are refused: one that is misspelt would silently ask for something else."""

from typing import Final

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

LONGEST_NAME: Final = 64


def only_known(request: Request) -> None:
    """Look at the query of a request.

    Raises:
        RequestValidationError: It names what the route does not take; says what it takes.
    """
    known = parameters_of(request.scope["route"])
    unknown = sorted(set(request.query_params) - set(known))
    if unknown:
        takes = f"this route takes {', '.join(known)}" if known else "this route takes none"
        raise RequestValidationError(
            [
                {
                    "type": "extra_forbidden",
                    "loc": ("query", name[:LONGEST_NAME]),
                    "msg": f"there is no such parameter; {takes}",
                }
                for name in unknown
            ]
        )


def parameters_of(route: APIRoute) -> tuple[str, ...]:
    """What may stand in the query of a route, sorted."""
    return tuple(sorted(_names(route.dependant)))


def _names(dependant: Dependant) -> set[str]:
    return {each.alias for each in dependant.query_params}.union(*map(_names, dependant.dependencies))


ONLY_KNOWN: Final = (Depends(only_known),)
"""For every router below /api/v1."""
