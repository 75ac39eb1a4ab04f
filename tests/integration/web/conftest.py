"""What the tests of the HTTP side share."""

from tests.unit.web.conftest import house_of

__all__ = ["house_of"]
