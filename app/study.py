"""What arrived: a study, its series and their instances. Headers only, never pixels.

Values are frozen and hold plain types, so that they travel between stages and through the workflow database.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from app.words import certainty_in_words
from bundles.common.contrast import NO_BRAIN
from bundles.common.contrast import in_words as shown_contrast
from bundles.common.geometry import StackGeometry
from bundles.common.views import UNCLEAR, in_words

BROKEN_OFF = "the sender had not finished: images may be missing"
"""Said of a study whose sender ended an association in another way than by a release and did not come back, or whose
association was still open when the study had waited long enough."""

Header = str | int | float | tuple[str | int | float, ...]


def uid_hash(uid: str) -> str:
    """Name a UID without telling it: 32 hexadecimal digits of BLAKE2b.

    Used for file names, log records and URLs wherever the UID itself would identify a patient to whoever holds the
    PACS.
    """
    return blake2b(uid.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Instance:
    """One stored SOP instance.

    Attributes:
        path: The file in the spool, exactly as it was received.
        sop_instance_uid: (0008,0018).
        sop_class_uid: (0008,0016).
        transfer_syntax_uid: (0002,0010).
        digest: Hexadecimal hash of the received bytes; two digests under one UID are two versions of an object.
        frames: NumberOfFrames, 1 where the tag is absent.
        instance_number: InstanceNumber (0020,0013), to name a slice to people; None where absent.
    """

    path: Path
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: str
    frames: int = 1
    instance_number: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What the picture of a radiograph shows, whatever its header says.

    Attributes:
        name: One of `bundles.common.views.VIEWS`, or "unclear" where none is certain enough.
        certainty: Of the likeliest view, 0 to 1.
    """

    name: str
    certainty: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """What the picture of a T1-weighted head says of contrast agent, whatever its header says.

    Attributes:
        name: One of `bundles.common.contrast.CONTRASTS`.
        share: Of the brain's places that hold something much brighter than brain, 0 to 1; 0 where there is no brain.
    """

    name: str
    share: float


@dataclass(frozen=True, slots=True)
class Look:
    """What came of looking at the picture of one stack.

    Attributes:
        series_uid, stack: Which `Series` of the study.
        view: What a radiograph shows; None where nothing can be said.
        note: Why nothing can be said, in words; empty where something can.
        contrast: What a head says of contrast agent; None where nothing can be said.
    """

    series_uid: str
    stack: int
    view: View | None
    note: str = ""
    contrast: Contrast | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One stack of images that belong together: same series, orientation, rows and columns; or one radiograph.

    A DICOM series that holds several stacks (a localizer beside its volume) becomes several `Series` with the same
    `uid` and different `stack` numbers, the largest first. Radiographs of one series are stacks of one image each, in
    the order of their instance numbers.

    Attributes:
        uid: SeriesInstanceUID (0020,000E).
        stack: 0 for the largest stack of that UID, then 1, 2, …
        modality: (0008,0060), "" where absent.
        instances: Sorted along the slice normal where there is a geometry, else by InstanceNumber.
        headers: Keyword → value of the text and number elements of the first instance at the data set's top level,
            without what identifies the patient (`app.assemble.headers` tells what is left out); binary elements and
            sequences are left out, except code sequences, given as their first CodeMeaning.
        geometry: Where the stack lies (DICOM patient coordinates, LPS, millimetres); None for images without one.
        notes: What was odd, in words, for people: "1 image repeats the position of slice 4 and was left out".
        damaged: Why pixels of the stack cannot be read, one sentence an instance; the geometry gate refuses such a
            stack. The instances stay in the stack, so that routing sees what was sent.
        missing: Signs that the stack is not all that was acquired, in words. What is not seen in it is not absent.
        view: What the picture shows; None where nobody looked, or nothing could be said.
        contrast: What it says of contrast agent; None likewise.
    """

    uid: str
    stack: int
    modality: str
    instances: tuple[Instance, ...]
    headers: Mapping[str, Header] = field(default_factory=dict)
    geometry: StackGeometry | None = None
    notes: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    view: View | None = None
    contrast: Contrast | None = None


def picture_in_words(view: View | None) -> str:
    """What was seen, for evidence and reasons: "the picture looks like a wrist (98 %)"."""
    if view is None:
        return "the picture was not looked at"
    percent = certainty_in_words(view.certainty, None)
    if view.name == UNCLEAR:
        return f"it is unclear what the picture shows (at most {percent} certain)"
    return f"the picture looks like {in_words(view.name)} ({percent})"


def contrast_in_words(contrast: Contrast | None) -> str:
    """What was seen of contrast agent: "the picture shows no contrast agent in vessels (0.01)"."""
    if contrast is None:
        return "the picture was not looked at for contrast agent"
    number = "" if contrast.name == NO_BRAIN else f" ({contrast.share:.2f})"
    return f"the picture shows {shown_contrast(contrast.name)}{number}"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file of the study that could not be used as an image, with the reason in words."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Study:
    """Everything that had arrived for one StudyInstanceUID when it was taken to be complete.

    Attributes:
        uid: StudyInstanceUID (0020,000D).
        revision: 16 hexadecimal digits over the sorted set of instance UIDs and digests: the same set is the same
            revision, in whatever order it came and however often. A set that is known to be unfinished is another.
        series: Image stacks, in the order of their UIDs, then `stack`.
        others: Instances that are no images (reports, presentation states, …), kept but not analysed.
        unreadable: Files that arrived and could not be parsed.
        interrupted: Whether the sender broke off before it had finished. What is not seen in such a study is not
            absent.
        notes: What was odd about its arrival, in words, for people.
        missing: Signs that images are missing or were lost, in words; the same holds as for `interrupted`.
        sources: AE titles that the images came from, as their files keep them, sorted; the first few.
    """

    uid: str
    revision: str
    series: tuple[Series, ...]
    others: tuple[Instance, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A name for logs, URLs and folders: hash of the UID, a dash, the revision."""
        return f"{uid_hash(self.uid)}-{self.revision}"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the spool knows of a study that is still, or again, arriving.

    Attributes:
        key: `uid_hash` of the StudyInstanceUID; the name of the study's folder in the spool.
        first_received, last_received: Unix time of the first and the newest durable instance since it was last settled.
        open_associations: How many living associations have sent images of this study and are not released yet.
        interrupted: Whether an association broke off while it sent this study, and none has finished it since.
    """

    key: str
    first_received: float
    last_received: float
    open_associations: int
    interrupted: bool = False


def revision_of(files: Iterable[Path], *, interrupted: bool = False, run: int = 1) -> str:
    """Name a set of spooled instances: 16 hexadecimal digits, independent of order and of the time of arrival.

    Spool file names are `<uid_hash of SOPInstanceUID>.<digest>.dcm`, so that the name alone identifies the content.

    Args:
        files: The set.
        interrupted: Whether its sender broke off. Such a set is a revision of its own, so that the same images are
            analysed once more when the sender has come back and finished without a new one.
        run: From 2 on a revision of its own as well: the same set, analysed again because somebody asked for it.
    """
    digest = blake2b(b"interrupted\n" if interrupted else b"", digest_size=8)
    if run > 1:
        digest.update(f"run {run}\n".encode())
    for name in sorted({file.name for file in files}):
        digest.update(name.encode())
        digest.update(b"\n")
    return digest.hexdigest()
