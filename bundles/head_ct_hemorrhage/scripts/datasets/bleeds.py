"""What this bundle's datalist says of a head CT: the five types, masks of types, and one record.

A record's item is `{"image", "mask", "patient", "label", "types", "slices", …}`, as `scripts/training.load_cases` reads
it. In a mask 0 is nothing and 1 + index in `TYPES` is that type.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bundles.common.datalist.problems import Place
from bundles.common.datalist.records import Plain, VolumeRecord
from bundles.common.datalist.volumes import Labels

TYPES = ("subarachnoid", "subdural", "epidural", "intraventricular", "intraparenchymal")
"""As `scripts/network.TYPES`, which loads torch; a test holds both together."""
ANY = "hemorrhage"
FLAGS: Mapping[str, str | int | None] = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}


@dataclass(frozen=True, slots=True)
class Head:
    """One head CT.

    Attributes:
        key: As problems name it.
        image: NIfTI path relative to the root; the first file of a DICOM series.
        patient: Who it is of.
        place: Line of the label file.
        label: 1 with any bleed, 0 without.
        types: One flag for each of `TYPES`; None where unknown.
        slices: One flag for each slice, in the order in which the reader of pixels gives them; None where unknown.
        files: Of a DICOM series, in that order.
        mask: Path of the mask, None where there is none.
        more: What else is known.
    """

    key: str
    image: str
    patient: str
    place: Place
    label: int
    types: Sequence[int] | None = None
    slices: Sequence[int] | None = None
    files: tuple[str, ...] = ()
    mask: str | None = None
    more: Mapping[str, Plain] = field(default_factory=dict)

    @property
    def record(self) -> VolumeRecord:
        """Return the record for the datalist."""
        flags = dict(zip(TYPES, self.types, strict=True)) if self.types is not None else dict.fromkeys(TYPES)
        return VolumeRecord(
            key=self.key,
            image=self.image,
            patient=self.patient,
            place=self.place,
            labels={ANY: self.label, **flags},
            files=self.files,
            mask=self.mask,
            label=self.label,
            more={
                "types": None if self.types is None else list(self.types),
                "slices": None if self.slices is None else list(self.slices),
                **self.more,
            },
        )


def types_of(names: Iterable[str]) -> list[int]:
    """Return a flag for each of `TYPES`."""
    present = set(names)
    return [int(name in present) for name in TYPES]


def renumbered(labels: Labels, names: Mapping[int, str]) -> Labels:
    """Turn a data set's numbers of types into ours.

    Args:
        labels: Any shape; 0 and the numbers in `names`.
        names: A data set's number to a name in `TYPES`.
    """
    table = np.zeros(max((0, *names)) + 1, dtype=np.int32)
    for number, name in names.items():
        table[number] = 1 + TYPES.index(name)
    return np.asarray(table[labels])


def types_in(mask: Labels) -> list[int]:
    """Return a flag for each of `TYPES`: whether a mask with our numbers holds it."""
    present = np.unique(mask)
    return [int(1 + index in present) for index in range(len(TYPES))]


def slices_in(mask: Labels) -> list[int]:
    """Return a flag for each slice of (columns, rows, slices): whether anything is marked on it."""
    return [int(mask[:, :, index].any()) for index in range(mask.shape[2])]
