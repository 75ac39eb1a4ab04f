"""What is wrong in a label file, each with file and line; collected, so that one run names everything."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

SHOWN = 20


class DatalistError(ValueError):
    """Labels that cannot become a datalist; the message names files, lines and what to do."""


class Kind(StrEnum):
    """What sort of problem; the value heads its group in a message."""

    DAMAGED = "rows cannot be read"
    BOX = "boxes lie outside of their image or have no area"
    DUPLICATE = "rows are there twice"
    MISSING = "images are listed but missing"
    SPLIT = "patients are in more than one split"


class Damaged(ValueError):
    """One row, entry or element that cannot be used; raised while it is read, caught by `Problems.at`."""

    def __init__(self, words: str, kind: Kind = Kind.DAMAGED) -> None:
        super().__init__(words)
        self.kind = kind


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, counted from 1, shown as `FILE:LINE`, which editors open; 0 for a file that has no lines."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else str(self.file)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    Attributes:
        kind: Its sort.
        place: Where.
        words: What was found and what was expected.
        image: The image that cannot be used because of it, by the key that the reader uses; None where nobody can tell.
    """

    kind: Kind
    place: Place
    words: str
    image: str | None = None

    @property
    def can_be_left_out(self) -> bool:
        """Whether the rest is sound without the row (a duplicate) or without the image."""
        return self.kind is Kind.DUPLICATE or (self.image is not None and self.kind is not Kind.SPLIT)

    def __str__(self) -> str:
        return f"{self.place}: {self.words}"


@dataclass(slots=True)
class Problems:
    """Everything found so far, in the order in which it was found."""

    found: list[Problem] = field(default_factory=list)

    def add(self, kind: Kind, place: Place, words: str, image: str | None = None) -> None:
        """Note one."""
        self.found.append(Problem(kind, place, words, image))

    @contextmanager
    def at(self, place: Place, image: str | None = None) -> Iterator[None]:
        """Note what is `Damaged` inside and go on behind the block."""
        try:
            yield
        except Damaged as error:
            self.add(error.kind, place, str(error), image)

    @property
    def spoiled(self) -> frozenset[str]:
        """Images that cannot be used; a row that is there twice spoils nothing."""
        return frozenset(
            problem.image for problem in self.found if problem.image is not None and problem.kind is not Kind.DUPLICATE
        )

    def stop_unless(self, leave_out: bool) -> None:
        """Go on where nothing was found, or where everything found can be left out and shall be.

        Raises:
            DatalistError: With at most 20 problems of each sort, and the count of the others.
        """
        lasting = [problem for problem in self.found if not problem.can_be_left_out]
        if lasting:
            raise DatalistError(told(lasting if leave_out else self.found))
        if self.found and not leave_out:
            raise DatalistError(
                f"{told(self.found)}\nMend them, or leave out what cannot be used with --leave-out; then it is counted."
            )

    def write_report(self, path: Path) -> bool:
        """Write every problem, one a line, or remove the report of an earlier run; tell whether there is one."""
        if not self.found:
            path.unlink(missing_ok=True)
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{problem.kind.name.lower()}\t{problem}\n" for problem in self.found), "utf-8")
        return True


def told(problems: list[Problem], shown: int = SHOWN) -> str:
    """Tell problems by sort: a heading with their number, at most `shown` of them, then how many more there are."""
    lines: list[str] = []
    for kind in Kind:
        group = [problem for problem in problems if problem.kind is kind]
        if not group:
            continue
        lines.append(f"{len(group)} {kind.value if len(group) > 1 else _single(kind)}:")
        lines += [f"  {problem}" for problem in group[:shown]]
        if len(group) > shown:
            lines.append(f"  … and {len(group) - shown} more")
    return "\n".join(lines)


def _single(kind: Kind) -> str:
    return {
        Kind.DAMAGED: "row cannot be read",
        Kind.BOX: "box lies outside of its image or has no area",
        Kind.DUPLICATE: "row is there twice",
        Kind.MISSING: "image is listed but missing",
        Kind.SPLIT: "patient is in more than one split",
    }[kind]
