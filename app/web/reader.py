"""For whom a page is made: their name, what they may do, and what their forms carry."""

from dataclasses import dataclass

from app.access import Role


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom a page is made.

    Attributes:
        name: "" of somebody who has not logged in.
        csrf: What forms carry; "" where there are none, since no browser session is there to be misused.
        role: What they may do; None is nothing.
        may_leave: Whether there is a log-in by browser to end.
    """

    name: str = ""
    csrf: str = ""
    role: Role | None = None
    may_leave: bool = False

    def may(self, role: str) -> bool:
        """Whether they may do what that role may: `reader.may("operator")`."""
        return self.role is not None and self.role.covers(Role(role))

    @property
    def may_replay(self) -> bool:
        """Whether a page shows them what only operators may do, and their forms can carry what it takes."""
        return bool(self.csrf) and self.may(Role.OPERATOR)


NOBODY = Reader()
