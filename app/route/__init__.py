"""Which bundle wants which series, and why not."""

from app.route.router import Router

__all__ = ["Router"]
