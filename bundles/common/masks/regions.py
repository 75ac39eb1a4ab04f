"""What a mask object holds: labels on the voxels of the series, and the names of the regions."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from bundles.common.masks.grid import Indices, Labels, SourceGrid, UnusableMask


@dataclass(frozen=True, slots=True)
class Region:
    """One region.

    Attributes:
        number: Its value among the labels: ROI Number or Segment Number.
        name: ROI Name or Segment Label.
        voxels: How many it covers by itself, those of an overlap included.
    """

    number: int
    name: str
    voxels: int


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Regions on the voxels of a series.

    Attributes:
        labels: (columns, rows, slices) int32, 0 or the number of a region; where regions overlap, that of the first.
        regions: In order of their numbers.
        notes: What was odd, in words.
    """

    labels: Labels
    regions: tuple[Region, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Painting:
    """Labels while regions are put into them, one after the other."""

    grid: SourceGrid
    labels: Labels = field(init=False)
    regions: list[Region] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shared: int = 0

    def __post_init__(self) -> None:
        self.labels = self.grid.empty()

    def add(self, number: int, name: str, voxels: tuple[Indices, Indices, Indices]) -> None:
        """Put in a region: columns, rows and slices of its voxels, each voxel once."""
        if any(region.number == number for region in self.regions):
            raise UnusableMask(f"two regions have the number {number}")
        free = self.labels[voxels] == 0
        self.shared += int(free.size - free.sum())
        self.labels[tuple(indices[free] for indices in voxels)] = number
        self.regions.append(Region(number, name, int(free.size)))

    def done(self, more: Iterable[str] = ()) -> Mask:
        """Return the mask."""
        notes = [*self.notes, *more]
        if self.shared:
            notes.append(f"{self.shared} voxels belong to several regions; the first of them keeps each")
        return Mask(self.labels, tuple(self.regions), tuple(notes))
