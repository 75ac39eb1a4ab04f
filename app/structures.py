"""What a Model Zoo bundle measured: volumes of structures, or how its output divides over classes.

No findings: nothing is called present or absent, since nobody set an operating point, and no code table of ours says
what a bundle's words mean to a reader.
"""

from dataclasses import dataclass

from app.codes import Code

STRUCTURES = "structures"
"""Key of the mask of all structures of a report (`app.masks`), where that of a finding has the finding's name."""
UNTESTED = (
    "Read from the metadata of a Model Zoo bundle alone: no operating point was set, and nobody tested it here. "
    "Nothing is called present or absent."
)


@dataclass(frozen=True, slots=True)
class Structure:
    """What a network outlined, measured in the geometry of the source series.

    Attributes:
        name: The bundle's word: "spleen".
        code, category: As coded in documents (CID 7150 for the category).
        segment: Its value in the mask of the report, from 1, and its segment in the DICOM segmentation; 0 where it has
            no voxel, or nothing was determined.
        volume_mm3: Its voxels times what each stands for; None where nothing was determined.
        centre_mm: Mean of its voxels in DICOM patient coordinates (LPS); None where there is none.
        sop_instance_uid: The source instance that shows most of it; "" where none does.
        index: Position of that slice in the sorted series, from 0; None where none shows it.
    """

    name: str
    code: Code
    category: Code
    segment: int = 0
    volume_mm3: float | None = None
    centre_mm: tuple[float, float, float] | None = None
    sop_instance_uid: str = ""
    index: int | None = None

    @property
    def words(self) -> str:
        """For people: "spleen 212.0 ml"."""
        if self.volume_mm3 is None:
            return f"{self.name}: undetermined"
        return f"{self.name} {self.volume_mm3 / 1000:.1f} ml" if self.segment else f"{self.name}: nothing outlined"


@dataclass(frozen=True, slots=True)
class ClassScore:
    """The output of a classifier for one class.

    Attributes:
        name: The bundle's word.
        code: As coded in documents.
        score: 0 to 1, as the network gave it, not fitted to observed frequencies; None where undetermined.
        sop_instance_uid: Of which image; "" for the series as a whole.
        image: Its place among the images that were read, from 1; None for the series as a whole.
    """

    name: str
    code: Code
    score: float | None = None
    sop_instance_uid: str = ""
    image: int | None = None

    @property
    def words(self) -> str:
        """For people: "class B, score 61.2 %"."""
        of_image = "" if self.image is None else f"image {self.image}: "
        told = "undetermined" if self.score is None else f"score {100 * self.score:.1f} %"
        return f"{of_image}class {self.name}, {told}"


MOST_SHOWN = 3


def shortened(structures: tuple[Structure, ...], classes: tuple[ClassScore, ...]) -> tuple[str, ...]:
    """The first lines of `in_words`, and how many more there are."""
    lines = in_words(structures, classes)
    more = len(lines) - MOST_SHOWN
    return (*lines[:MOST_SHOWN], f"{more} more") if more > 0 else lines


def in_words(structures: tuple[Structure, ...], classes: tuple[ClassScore, ...]) -> tuple[str, ...]:
    """One line for each, what is there before what is not, the highest scores of each image first."""
    outlined = sorted(structures, key=lambda each: not each.segment)
    scored = sorted(classes, key=lambda each: (each.image or 0, -(each.score or 0.0)))
    return (*(each.words for each in outlined), *(each.words for each in scored))
