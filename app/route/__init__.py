"""Which bundle wants which series, and why not."""

from app.route.problems import Problems
from app.route.router import Router

__all__ = ["Problems", "Router"]
