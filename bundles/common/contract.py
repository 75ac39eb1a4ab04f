"""The service's contract with a bundle: `configs/service.yaml`, typed.

What the bundle accepts, what its outputs mean, how sure it must be, and its status. `python -m monai.bundle run` never
reads it; the service and `bundles/verify.py` do.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from bundles.common.strict import Strict, read_mapping, validate
from bundles.common.views import ViewName


class GeometryLimits(Strict):
    """What a bundle can cope with; a stack outside of it ends *undetermined* with the reason, never silently.

    Attributes:
        min_slices, max_slices: Inclusive.
        min_extent_mm: How much of the body the stack must cover along its normal, so that a part of it is not taken for
            the whole: from the first to the last slice centre, plus half a gap at either end. 0 asks for nothing.
        max_tilt_deg: Largest angle between the slice normal and the direction from slice to slice.
        max_slice_spacing_mm: Largest allowed distance between neighbouring slices.
        spacing_tolerance: Largest relative deviation of one gap from the others; beyond it a slice counts as missing.
        allow_variable_spacing: Whether blocks of different spacing (a sequential head CT) are accepted.
        max_in_plane_spacing_mm: Coarsest pixel.
    """

    min_slices: int = 1
    max_slices: int = 4096
    min_extent_mm: float = Field(0.0, ge=0)
    max_tilt_deg: float = 1.0
    max_slice_spacing_mm: float = 12.0
    spacing_tolerance: float = 0.1
    allow_variable_spacing: bool = False
    max_in_plane_spacing_mm: float = 2.0


class RegionOutput(Strict):
    """Boxes of a finding in the source image.

    Attributes:
        boxes: Key of the postprocessed output with (found, 4) edges x0, y0, x1, y1 in pixels of the source image.
        scores: Key with (found,) certainties, 0 to 1.
        classes: Key with (found,) class indices.
        index: Which class is this finding.
        threshold: Boxes of lower scores are not shown. Boxes of attention are, whatever their score.
        limit: Most boxes that are shown in one image, those of the highest scores.
        kind: `detection`, or `attention` where the box only says where a classifier of the whole image looked.
        heat: Key with how much each part of the image spoke for the finding, 0 to 1: (rows, columns), or one for each
            class (classes, rows, columns). It covers the whole source image, at any resolution. None for bundles that
            give none.
    """

    boxes: str = "boxes"
    scores: str = "scores"
    classes: str = "classes"
    index: int = Field(0, ge=0)
    threshold: float = Field(0.5, ge=0, lt=1)
    limit: int = Field(10, ge=1, le=100)
    kind: Literal["detection", "attention"] = "detection"
    heat: str | None = None


class SegmentationOutput(Strict):
    """The outline of a finding: a mask of the source series.

    Attributes:
        mask: Key of the postprocessed output with integers (columns, rows, slices), on the grid and in the order of the
            reader's array of the source series; one leading channel is allowed. 0 is background.
        scores: Key with (lesions,) certainties, 0 to 1: that of lesion n at n - 1. None for masks that have none.
        kind: `lesions`, where every number from 1 is a lesion of its own, the most certain first; `region`, where all
            voxels of `value` are one region.
        value: Which number of the mask is this finding, for a region.
        limit: Most lesions that are told of, those of the lowest numbers.
    """

    mask: str = "lesions"
    scores: str | None = "lesion_scores"
    kind: Literal["lesions", "region"] = "lesions"
    value: int = Field(1, ge=1)
    limit: int = Field(100, ge=1, le=255)


class FindingOutput(Strict):
    """What one number of the bundle's output means.

    Attributes:
        finding: A name in the service's code table (`app.findings.FINDING_KINDS`).
        probability: Key of the postprocessed output that holds the probability: a tensor, 0 to 1.
        index: Which element of that tensor.
        threshold: Operating point: at or above it, the finding is present.
        calibrated: Whether the probability was fitted to observed frequencies.
        slices: Key of the postprocessed output with one probability for each source slice, in the order of the series.
        regions: Where its boxes are; None for bundles that give none.
        segmentation: Where its mask is; None for bundles that give none.
        urgent: Whether the finding, being present, is to be read before others.
        label: What datalists of the bundle call the finding, where that is another name; readers' feedback is exported
            under it.
    """

    finding: str
    probability: str
    index: int = 0
    threshold: float = Field(0.5, gt=0, lt=1)
    calibrated: bool = False
    slices: str | None = None
    regions: RegionOutput | None = None
    segmentation: SegmentationOutput | None = None
    urgent: bool = False
    label: str | None = None


class Window(Strict):
    """VOI window of the key image, in the units of the reader (HU for CT)."""

    center: float
    width: float = Field(gt=0)


class Doubt(Strict):
    """What makes a series that matched not worth an analysis.

    Attributes:
        because: Said in the document: "the header speaks of contrast agent, the picture shows none".
        when: A condition of the rule language (`docs/routing.md`), parsed by the service.
    """

    because: str = Field(min_length=1)
    when: dict[str, Any]


class Service(Strict):
    """One bundle's `configs/service.yaml`.

    Attributes:
        title: For people: "Intracranial hemorrhage in head CT".
        opt_in: Served only where `bundles.enabled` of the settings names it; an installation that names no bundle goes
            without. For bundles that answer what another one answers already.
        status: `research` or `cleared`. Weights trained on phantoms are research whatever stands here.
        priority: Queue priority, 1 is the most urgent.
        idle_s: Quiet time after which a study for this bundle is complete; None takes the service's default.
        accepts: A condition of the rule language (`docs/routing.md`), parsed by the service.
        doubts: A series that matched and for which one of these holds ends undetermined with its reason.
        geometry: Limits; a stack outside of them ends undetermined. Bundles that read images need none: a radiograph
            has no place in the patient.
        findings: The main finding first.
        reads: `stack`: a series at a time, as a volume. `image`: each image by itself, all images of a study that match
            going into one report (radiographs).
        view: The view that every image is expected to show, as `bundles.common.views` names them. A picture that is
            clearly another one ends undetermined, whatever its header says; None expects nothing.
        window: Of the key image; None shows an image as radiographs are shown, scaled as the network sees it.
    """

    title: str
    opt_in: bool = False
    status: Literal["research", "cleared"] = "research"
    priority: int = Field(10, ge=1, le=1000)
    idle_s: float | None = Field(None, ge=0)
    accepts: dict[str, Any]
    doubts: tuple[Doubt, ...] = ()
    geometry: GeometryLimits = GeometryLimits()
    findings: tuple[FindingOutput, ...] = Field(min_length=1)
    reads: Literal["stack", "image"] = "stack"
    view: ViewName | None = None
    window: Window | None = None

    @model_validator(mode="after")
    def _outputs_fit_what_is_read(self) -> "Service":
        if self.reads == "image" and self.doubts:
            raise ValueError("'doubts' are about series; say with 'view' what an image must show")
        for output in self.findings:
            if self.reads == "image" and output.slices:
                raise ValueError(
                    f"{output.finding}: 'slices' is for stacks; each image has the probability as its score"
                )
            if self.reads == "image" and output.segmentation:
                raise ValueError(f"{output.finding}: 'segmentation' is of volumes; it needs 'reads: stack'")
            if self.reads == "stack" and output.regions:
                raise ValueError(f"{output.finding}: 'regions' are of single images; they need 'reads: image'")
        return self


def load_service(bundle: Path) -> Service:
    """Read `configs/service.yaml` of a bundle folder.

    Raises:
        ConfigurationError: The file is missing or wrong; unknown keys come with the nearest known one.
    """
    path = bundle / "configs" / "service.yaml"
    return validate(Service, read_mapping(path), str(path))
