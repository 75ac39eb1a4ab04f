"""The two classes of the detector, and which findings of a data set belong to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bundles.common.datalist.problems import DatalistError
from bundles.common.strict import nearest

CLASSES = ("lesion", "pneumothorax")
LESION, PNEUMOTHORAX = range(2)


@dataclass(frozen=True, slots=True)
class Targets:
    """Names of a set's findings to classes; findings that are not named here belong to none."""

    classes: Mapping[str, int]

    def of(self, names: Iterable[str]) -> set[int]:
        """Return the classes among findings."""
        return {self.classes[name] for name in names if name in self.classes}


def targets(lesion: Sequence[str], pneumothorax: Sequence[str], known: Sequence[str]) -> Targets:
    """Map findings to the two classes.

    Args:
        lesion: Findings that count as a lesion.
        pneumothorax: Findings that count as a pneumothorax.
        known: Every finding of the set.

    Raises:
        DatalistError: The set does not know a finding.
    """
    for name in (*lesion, *pneumothorax):
        if name not in known:
            raise DatalistError(f"the set has no finding '{name}'{nearest(name, list(known))}")
    return Targets({**dict.fromkeys(lesion, LESION), **dict.fromkeys(pneumothorax, PNEUMOTHORAX)})
