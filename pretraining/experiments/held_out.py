"""Whose images attempts at pretraining are judged on, and whose are looked at once, by what was chosen."""

from __future__ import annotations

from pretraining.data.patients import Shares

# Three tenths of the patients, of whom no attempt sees an image; of the others two sevenths judge attempts. They are
# not those whom `layout.SHARES` tests on, since earlier experiments were measured on those.
HELD_OUT = Shares(0.3, 0.0, 0.7)
TAUGHT = Shares(0.8, 0.0, 0.2)


def is_held_out(patient: str) -> bool:
    """Whether attempts must not see this hashed patient."""
    return HELD_OUT.split_of(patient) == "train"


def judged_by_attempts(patient: str) -> str:
    """The split of a hashed patient of whom attempts may see images: "train" or "test"."""
    return TAUGHT.split_of(patient)


def judged_at_last(patient: str) -> str:
    """The split of a hashed patient in the one comparison at the end: "test" for those held out, else "train"."""
    return "test" if is_held_out(patient) else "train"
