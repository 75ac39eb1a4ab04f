"""Boxes of several readers made one: clusters by overlap, then a mean weighted by the readers, or a vote.

Weighted boxes fusion: Solovyev et al., Image Vis. Comput. 107 (2021) 104117, with readers in place of models and the
same weight for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, median

from bundles.common.datalist.boxes import Edges, overlap
from bundles.common.datalist.problems import DatalistError


class Method(StrEnum):
    """How boxes of several readers become one list."""

    WEIGHTED = "weighted"
    VOTE = "vote"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Mark:
    """A reader's box of one class."""

    reader: str
    edges: Edges


@dataclass(frozen=True, slots=True)
class Fused:
    """A box and the share of the readers who drew it, 0…1."""

    edges: Edges
    share: float


@dataclass(frozen=True, slots=True)
class Merging:
    """How to merge.

    Attributes:
        method: `weighted`: clusters, mean edges, every cluster kept. `vote`: clusters, median edges, kept where at
            least `votes` readers agree (all of them where an image has fewer readers). `all`: every box as drawn.
        overlap: Intersection over union with a cluster's mean box from which a box belongs to it.
        votes: For `vote`.
    """

    method: Method = Method.WEIGHTED
    overlap: float = 0.5
    votes: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.overlap <= 1 or self.votes < 1:
            raise DatalistError(f"boxes merge from an overlap in 0…1 and from one vote on, got {self}")

    def needed(self, readers: int) -> int:
        """Return how many of an image's readers must agree."""
        return min(self.votes, readers) if self.method is Method.VOTE else 1


def merge(marks: Sequence[Mark], readers: int, merging: Merging) -> list[Fused]:
    """Merge the boxes of one class on one image; the order of the marks does not matter.

    Args:
        marks: Boxes of all readers.
        readers: How many read the image, those without a box too.
        merging: How.
    """
    ordered = sorted(marks, key=lambda mark: (mark.edges, mark.reader))
    if merging.method is Method.ALL:
        return [Fused(mark.edges, 1 / readers) for mark in ordered]
    fused = []
    for cluster in _clusters(ordered, merging.overlap):
        voters = len({mark.reader for mark in cluster})
        if voters >= merging.needed(readers):
            middle = median if merging.method is Method.VOTE else fmean
            edges = tuple(float(middle(values)) for values in zip(*(mark.edges for mark in cluster), strict=True))
            fused.append(Fused((edges[0], edges[1], edges[2], edges[3]), voters / readers))
    return fused


def _clusters(marks: Sequence[Mark], least: float) -> list[list[Mark]]:
    clusters: list[list[Mark]] = []
    means: list[Edges] = []
    for mark in marks:
        overlaps = [overlap(mean, mark.edges) for mean in means]
        best = max(range(len(means)), key=overlaps.__getitem__, default=-1)
        if best < 0 or overlaps[best] < least:
            clusters.append([mark])
            means.append(mark.edges)
            continue
        clusters[best].append(mark)
        x0, y0, x1, y1 = (fmean(values) for values in zip(*(one.edges for one in clusters[best]), strict=True))
        means[best] = (x0, y0, x1, y1)
    return clusters
