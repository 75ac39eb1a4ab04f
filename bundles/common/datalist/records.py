"""One labelled image, and what a reader of label files hands over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundles.common.datalist.boxes import Edges
from bundles.common.datalist.problems import Place

TRAINING, VALIDATION, TEST = SPLITS = ("training", "validation", "test")

Plain = str | int | float | bool | None | list["Plain"] | Mapping[str, "Plain"]


@dataclass(frozen=True, slots=True)
class Record:
    """One image and what is known of it.

    Attributes:
        key: How problems name the image: as the label file does.
        image: Path relative to the root of the images, with `/`.
        patient: Who it is of, as the data set names the person; the image itself where the set does not tell.
        place: The line that brought the image in.
        boxes: Edges x0, y0, x1, y1 in pixels of the source image.
        classes: One number a box.
        labels: Name to 1 (present), 0 (absent) or None (unknown).
        view: AP, PA, LATERAL, …, or None.
        boxed: Whether the boxes are all there are. False: something present has no box, or nobody drew boxes.
        pool: Splits among which the patient's hash chooses; a single one is the set's own choice.
        more: What else the set knows, as JSON takes it.
    """

    key: str
    image: str
    patient: str
    place: Place
    boxes: tuple[Edges, ...] = ()
    classes: tuple[int, ...] = ()
    labels: Mapping[str, int | None] = field(default_factory=dict)
    view: str | None = None
    boxed: bool = True
    pool: tuple[str, ...] = SPLITS
    more: Mapping[str, Plain] = field(default_factory=dict)

    @property
    def unlabelled(self) -> bool:
        """Whether nothing at all is known: no box, and every label unknown."""
        return not self.boxes and all(value is None for value in self.labels.values())

    def item(self) -> dict[str, Plain]:
        """Return the item of the datalist."""
        return {
            "image": self.image,
            "boxes": [list(box) for box in self.boxes],
            "classes": list(self.classes),
            "labels": dict(self.labels),
            "patient": self.patient,
            "view": self.view,
            "boxed": self.boxed,
            **self.more,
        }


@dataclass(frozen=True, slots=True)
class VolumeRecord(Record):
    """One volume: a NIfTI file, or the files of a DICOM series.

    A volume has no boxes and no view. Its paths may also be absolute (masks that the command wrote elsewhere);
    `write_datalist` writes them relative to the datalist's folder, as the loaders of volumes read them.

    Attributes:
        files: Of a DICOM series, in the order of its slices, relative to the root; `image` is then the first of them.
        mask: A NIfTI file on the grid of the volume; None where nobody drew one.
        label: 1 (present), 0 (absent) or None (unknown) of the volume as a whole.
    """

    files: tuple[str, ...] = ()
    mask: str | None = None
    label: int | None = None

    def item(self) -> dict[str, Plain]:
        """Return the item of the datalist."""
        return {
            "image": list(self.files) or self.image,
            "mask": self.mask,
            "patient": self.patient,
            "label": self.label,
            **self.more,
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """A data set as read.

    Attributes:
        name: Of the set.
        classes: Names of the classes of boxes; a box's number is the place in here.
        records: One for each image.
        files: The label files.
        notes: What people should know: counts of what was passed over, what was assumed.
        root: Of volumes, whose paths are written relative to the datalist's folder; None leaves paths as they are.
    """

    name: str
    classes: tuple[str, ...]
    records: tuple[Record, ...]
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    root: Path | None = None
