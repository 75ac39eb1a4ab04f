"""Everything that is wrong with the rules, told at once."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from app.errors import Rejected

Made = TypeVar("Made")


class Problems(Rejected):
    """One or more rules cannot work.

    Attributes:
        problems: One sentence each, in the order of the files.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def every(makers: Iterable[Callable[[], Made]]) -> tuple[Made, ...]:
    """Call each, and go on after one that fails.

    Returns:
        What they made, in order.

    Raises:
        Problems: What all that failed had to say.
    """
    made, problems = collect(makers)
    if problems:
        raise Problems(problems)
    return made


def collect(makers: Iterable[Callable[[], Made]]) -> tuple[tuple[Made, ...], tuple[str, ...]]:
    """The same; returns what was made, and the problems of those that failed."""
    made: list[Made] = []
    problems: list[str] = []
    for maker in makers:
        try:
            made.append(maker())
        except Problems as error:
            problems += error.problems
        except Rejected as error:
            problems.append(str(error))
    return tuple(made), tuple(problems)
