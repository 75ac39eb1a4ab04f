"""The page of one study: what came, what was found, where, what was made of it and where that went."""

from app.web.study.routes import add_study

__all__ = ["add_study"]
