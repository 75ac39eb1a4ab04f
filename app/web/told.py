"""What a page answers where something cannot be done: see `app.web.api.problems` for the form of it."""

from fastapi import HTTPException

from app.errors import AppError, Rejected, Retryable


def refusal(error: AppError) -> HTTPException:
    """Of an error of ours: 422 where it cannot be done, 503 where it can later, 404 where nothing has that name."""
    if isinstance(error, Rejected):
        return HTTPException(422, str(error))
    return HTTPException(503 if isinstance(error, Retryable) else 404, str(error))
