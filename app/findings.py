"""What a bundle said, in clinical terms and millimetres, and the one table of codes.

Knows nothing of DICOM encoding: `app/report` turns a `Report` into bytes.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from app.codes import ABNORMAL, Code
from app.structures import ClassScore, Structure


class Presence(StrEnum):
    """CID 240 (Present-Absent)."""

    PRESENT = "present"
    ABSENT = "absent"
    UNDETERMINED = "undetermined"


class Outcome(StrEnum):
    """How the analysis of one series by one bundle ended, CID 6042 (Status of Results)."""

    SUCCEEDED = "succeeded"
    PARTIAL = "partially succeeded"
    FAILED = "failed"
    NOT_ATTEMPTED = "not attempted"


@dataclass(frozen=True, slots=True)
class FindingKind:
    """A finding as it is coded: the finding itself, a site where the finding is post-coordinated, and the category of
    its segments (CID 7150). `part_of` names the finding that it is a type of.
    """

    name: str
    code: Code
    site: Code | None = None
    category: Code = ABNORMAL
    part_of: str = ""


HEMORRHAGE = Code("50960005", "SCT", "Hemorrhage")
INTRACRANIAL = "intracranial_hemorrhage"

PRESENCE_CODES = MappingProxyType(
    {
        Presence.PRESENT: Code("52101004", "SCT", "Present"),
        Presence.ABSENT: Code("272519000", "SCT", "Absent"),
        Presence.UNDETERMINED: Code("373068000", "SCT", "Undetermined"),
    }
)

OUTCOME_CODES = MappingProxyType(
    {
        Outcome.SUCCEEDED: Code("111222", "DCM", "Succeeded"),
        Outcome.PARTIAL: Code("111223", "DCM", "Partially Succeeded"),
        Outcome.FAILED: Code("111224", "DCM", "Failed"),
        Outcome.NOT_ATTEMPTED: Code("111225", "DCM", "Not Attempted"),
    }
)

FINDING_KINDS = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            FindingKind(INTRACRANIAL, Code("1386000", "SCT", "Intracranial hemorrhage")),
            FindingKind(
                "subarachnoid_hemorrhage", Code("21454007", "SCT", "Subarachnoid hemorrhage"), part_of=INTRACRANIAL
            ),
            FindingKind("subdural_hemorrhage", Code("35486000", "SCT", "Subdural hemorrhage"), part_of=INTRACRANIAL),
            FindingKind("epidural_hemorrhage", Code("82999001", "SCT", "Epidural hemorrhage"), part_of=INTRACRANIAL),
            FindingKind(
                "intraventricular_hemorrhage",
                HEMORRHAGE,
                Code("35764002", "SCT", "Brain ventricle"),
                part_of=INTRACRANIAL,
            ),
            FindingKind(
                "intraparenchymal_hemorrhage", Code("274100004", "SCT", "Cerebral hemorrhage"), part_of=INTRACRANIAL
            ),
            FindingKind(
                "wrist_fracture", Code("125605004", "SCT", "Fracture of bone"), Code("74670003", "SCT", "Wrist joint")
            ),
            FindingKind(
                "brain_metastasis", Code("14799000", "SCT", "Neoplasm, Secondary"), Code("12738006", "SCT", "Brain")
            ),
            FindingKind("lung_lesion", Code("52988006", "SCT", "Lesion"), Code("39607008", "SCT", "Lung")),
            FindingKind("pneumothorax", Code("36118008", "SCT", "Pneumothorax")),
            FindingKind("atelectasis", Code("46621007", "SCT", "Atelectasis")),
            FindingKind("cardiomegaly", Code("287272002", "SCT", "Cardiomegaly")),
            FindingKind("lung_consolidation", Code("95436008", "SCT", "Lung consolidation")),
            FindingKind("pulmonary_edema", Code("19242006", "SCT", "Pulmonary edema")),
            FindingKind("pleural_effusion", Code("60046008", "SCT", "Pleural effusion")),
            FindingKind("interstitial_opacity", Code("112004", "DCM", "Abnormal interstitial pattern")),
        )
    }
)


@dataclass(frozen=True, slots=True)
class SliceScore:
    """Certainty of the finding in one source slice.

    Attributes:
        sop_instance_uid: The source instance.
        index: Position in the sorted series, from 0.
        certainty: 0 to 1.
    """

    sop_instance_uid: str
    index: int
    certainty: float


class RegionKind(StrEnum):
    """What a region is.

    A detection is a place that the algorithm itself calls the finding. An attention region is where a classifier of the
    whole image looked (Grad-CAM): a hint for the eye, without a certainty of its own.
    """

    DETECTION = "detection"
    ATTENTION = "attention"


@dataclass(frozen=True, slots=True)
class Region:
    """A box in one source image.

    Attributes:
        sop_instance_uid: The source instance.
        box: Left, upper, right, lower edge in pixels of the stored image as (column, row), the upper left corner of the
            upper left pixel being 0, 0 (DICOM PS3.3 section C.18.6.1.2).
        kind: What it means.
        certainty: 0 to 1; None for attention.
        frame: From 1 (DICOM numbering), for multi-frame instances.
    """

    sop_instance_uid: str
    box: tuple[float, float, float, float]
    kind: RegionKind
    certainty: float | None = None
    frame: int = 1


class LesionKind(StrEnum):
    """What a part of a mask is: a lesion with an identity of its own, or all that a finding covers, in any pieces."""

    LESION = "lesion"
    REGION = "region"


@dataclass(frozen=True, slots=True)
class Lesion:
    """A part of a mask, measured in the geometry of its source series.

    Attributes:
        number: Its value in the mask of the report, from 1; its segment in the DICOM segmentation.
        volume_mm3: Its voxels times what each stands for.
        longest_diameter_mm: Largest distance between two of its voxels' centres; None for a region, which may be in
            pieces.
        centre_mm: Mean of its voxels in DICOM patient coordinates (LPS).
        sop_instance_uid: The source instance that shows most of it.
        index: Position of that slice in the sorted series, from 0.
        certainty: 0 to 1; None where the algorithm gives none.
        kind: What it is.
    """

    number: int
    volume_mm3: float
    longest_diameter_mm: float | None
    centre_mm: tuple[float, float, float]
    sop_instance_uid: str
    index: int
    certainty: float | None = None
    kind: LesionKind = LesionKind.LESION


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding that was sought, whatever the answer.

    Attributes:
        kind: A name in `FINDING_KINDS`.
        presence: The answer at `threshold`.
        certainty: Output of the algorithm, 0 to 1; None where undetermined.
        threshold: Operating point that turned certainty into presence; None where undetermined.
        calibrated: Whether the certainty was fitted to observed frequencies.
        slices: Every source slice with its score, in the order of the series; for a bundle that reads each image by
            itself, every image. Empty where not scored.
        regions: Where it was seen, the most certain first; empty where not present.
        urgent: Whether the finding, being present, is to be read before others.
        lesions: What its mask shows, by number; empty where not present or not outlined.
    """

    kind: str
    presence: Presence
    certainty: float | None = None
    threshold: float | None = None
    calibrated: bool = False
    slices: tuple[SliceScore, ...] = ()
    regions: tuple[Region, ...] = ()
    urgent: bool = False
    lesions: tuple[Lesion, ...] = ()


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Who said it. Everything a reader needs to find the weights again.

    Attributes:
        name, version: Of the bundle, from its `metadata.json`.
        weights_sha256: Of `models/model.pt`.
        training_data: By name; "phantom" says that no patient was ever seen.
        status: "research" or "cleared".
        title: For people: "Intracranial hemorrhage in head CT".
    """

    name: str
    version: str
    weights_sha256: str
    training_data: str
    status: str
    title: str = ""

    @property
    def research_only(self) -> bool:
        """True for anything not cleared, and always for phantom-trained weights."""
        return self.status != "cleared" or self.trained_on_phantoms

    @property
    def trained_on_phantoms(self) -> bool:
        """Whether the weights come from generated images."""
        return "phantom" in self.training_data.lower()


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A report of the same bundle on an earlier revision of the study, whose SR was made: what its UIDs derive from.

    Attributes:
        revision: Of the study.
        series_uid, stack: Its first analysed series.
        version: Of the bundle.
    """

    revision: str
    series_uid: str
    stack: int
    version: str


@dataclass(frozen=True, slots=True)
class Report:
    """What one bundle says of one series of one study revision.

    Attributes:
        study_uid, revision: The study revision.
        series_uid, stack: The analysed series.
        algorithm: Who said it.
        outcome: Whether the analysis worked; anything but SUCCEEDED makes its findings undetermined.
        findings: One for each finding sought, in the bundle's order, the main one first.
        reason: In words, where the outcome is not SUCCEEDED. No patient data.
        notes: For people: "gantry tilt of 18.5° was corrected".
        seconds: Wall time of the analysis.
        more: Further (series UID, stack) that were analysed and that the findings speak for: the other projections of a
            radiograph study.
        structures: Of a Model Zoo bundle that segments, in place of findings: everything that it was to outline.
        classes: Of a Model Zoo bundle that classifies, in place of findings.
        replaces: Reports on earlier revisions that this one stands for, the newest first.
    """

    study_uid: str
    revision: str
    series_uid: str
    stack: int
    algorithm: Algorithm
    outcome: Outcome
    findings: tuple[Finding, ...]
    reason: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    more: tuple[tuple[str, int], ...] = ()
    structures: tuple[Structure, ...] = ()
    classes: tuple[ClassScore, ...] = ()
    replaces: tuple[Predecessor, ...] = ()

    @property
    def determined(self) -> bool:
        """Whether anything at all was said of the images."""
        return (
            any(finding.presence is not Presence.UNDETERMINED for finding in self.findings)
            or any(structure.volume_mm3 is not None for structure in self.structures)
            or any(each.score is not None for each in self.classes)
        )

    def unmeasured(self) -> Self:
        """The same without what a Model Zoo bundle measured; what it was to measure stays."""
        return replace(
            self,
            structures=tuple(Structure(each.name, each.code, each.category) for each in self.structures),
            classes=tuple(replace(each, score=None) for each in self.classes),
        )

    @property
    def stacks(self) -> tuple[tuple[str, int], ...]:
        """(series UID, stack) of everything that was analysed, the first one first."""
        return ((self.series_uid, self.stack), *self.more)

    @property
    def urgent(self) -> bool:
        """Whether something is present that is to be read before other studies."""
        return any(finding.urgent and finding.presence is Presence.PRESENT for finding in self.findings)
