"""Odd heads, CT and MR, through the real assembling, routing and inference: each has a clear outcome, none is lost.

The network is a tiny one that calls a series positive where its brightest slice is above a level, so that what it was
given can be told from what it says; the rules and limits are those of the two bundles of heads.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage, SecondaryCaptureImageStorage, generate_uid

from app.assemble import assemble
from app.errors import AppError
from app.findings import Outcome, Presence, Report
from app.infer.catalogue import Catalogue
from app.infer.results import undetermined
from app.infer.runner import Runner
from app.report import encode
from app.route.router import Router
from app.settings import Bundles, Inference
from app.study import Study
from app.workflow_plan import plan_of
from tests.integration.workflow.tiny import ct_slices, write_bundle, write_files

CPU = Inference(device="cpu", threads=1)
CT, MR = "tiny_ct", "tiny_mr"
RULES = {CT: "head_ct_hemorrhage", MR: "brain_metastasis"}
AXIAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]
Images = list[Dataset]


@dataclass(frozen=True)
class World:
    """Both bundles' contracts over a tiny network."""

    catalogue: Catalogue
    router: Router
    runner: Runner
    folder: Path

    def end(self, images: Images) -> tuple[Study, Report | str]:
        """The study, and its one report; in words why no bundle wants it."""
        write_files(self.folder / "study", images)
        study = assemble(sorted((self.folder / "study").iterdir()))
        decision = self.router.decide(study)
        if not decision.assignments:
            return study, "; ".join(reason for each in decision.declined for reason in each.reasons)
        (assignment,) = decision.assignments
        bundle = self.catalogue.get(assignment.bundle)
        plan = plan_of(study, assignment, bundle.service)
        if plan.problem:
            return study, undetermined(study, assignment, bundle, Outcome.NOT_ATTEMPTED, plan.problem)
        try:
            return study, self.runner.analyse(study, assignment)
        except AppError as error:
            return study, undetermined(study, assignment, bundle, Outcome.FAILED, str(error))

    def report(self, images: Images) -> Report:
        """The one report, every document of which can be made."""
        study, report = self.end(images)
        assert isinstance(report, Report), report
        made = encode(
            report, study, self.folder / "out", window=self.catalogue.get(report.algorithm.name).service.window
        )
        assert [document.problem for document in made if document.kind.value != "key image"] == [""] * sum(
            document.kind.value != "key image" for document in made
        )
        return report


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, root: Path) -> World:
    folder = tmp_path_factory.mktemp("world")
    for name, whose in RULES.items():
        contract = write_bundle(folder / "bundles", name) / "configs" / "service.yaml"
        real = (root / "bundles" / whose / "configs" / "service.yaml").read_text()
        own = contract.read_text()
        # Rules, doubts and limits of the bundle; findings and window of the tiny network.
        contract.write_text(real[: real.index("findings:")] + own[own.index("findings:") :])
    catalogue = Catalogue.load(Bundles(folder=folder / "bundles"))
    assert catalogue.refused == ()
    return World(catalogue, Router.load(catalogue.services, ()), Runner(catalogue, CPU), folder)


@pytest.fixture
def here(world: World, tmp_path: Path) -> World:
    return World(world.catalogue, world.router, world.runner, tmp_path)


def ct(slices: int = 30, hu: int = -60, **changes: object) -> Images:
    """A head CT without anything bright; the first slice is 20 HU brighter than the others."""
    images = ct_slices(slices=slices, hu=hu)
    for image in images:
        image.StudyDescription, image.SeriesDescription = "CT head", "Head 5.0 H30s"
        image.ConvolutionKernel, image.ImageType = "H30s", ["ORIGINAL", "PRIMARY", "AXIAL"]
    return changed(images, **changes)


def mr(slices: int = 100, value: int = 0, **changes: object) -> Images:
    """A T1 head after contrast agent, as the header says; the first slice is 20 brighter than the others."""
    images = ct(slices, value)
    for index, image in enumerate(images):
        image.Modality, image.SOPClassUID = "MR", MRImageStorage
        image.StudyDescription, image.SeriesDescription = "MR brain", "t1_mprage_tra_KM"
        image.ImagePositionPatient, image.SliceThickness = [-16, -16, 1.5 * index], 1.5
        image.RescaleIntercept, image.ScanningSequence = -1024, ["GR", "IR"]
        del image.ConvolutionKernel
    return changed(images, **changes)


def changed(images: Images, **changes: object) -> Images:
    for image in images:
        for keyword, value in changes.items():
            setattr(image, keyword, value)
    return images


def place(images: Images, orientation: list[float], axis: int, step: float) -> Images:
    for index, image in enumerate(images):
        image.ImageOrientationPatient = orientation
        position = [-16.0, -16.0, 16.0]
        position[axis] += step * index
        image.ImagePositionPatient = position
    return images


def copy_of(images: Images, **changes: object) -> Images:
    """The same images under other instance UIDs."""
    copies = deepcopy(images)
    for copy in copies:
        copy.SOPInstanceUID = generate_uid()
    return changed(copies, **changes)


def presence(report: Report) -> Presence:
    (finding,) = report.findings
    return finding.presence


@pytest.mark.parametrize("make", [ct, mr])
def test_a_whole_head_without_anything_bright_is_absent(here: World, make: Callable[[], Images]) -> None:
    report = here.report(make()) if make is ct else here.report(mr(value=-60))
    assert (report.outcome, presence(report)) == (Outcome.SUCCEEDED, Presence.ABSENT)


@pytest.mark.parametrize("make", [ct, mr])
def test_missing_slices_end_undetermined(here: World, make: Callable[[], Images]) -> None:
    report = here.report([image for index, image in enumerate(make()) if index not in {12, 13}])
    assert (report.outcome, presence(report)) == (Outcome.NOT_ATTEMPTED, Presence.UNDETERMINED)
    assert "slice" in report.reason
    assert "missing" in report.reason


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (ct(12), "the stack covers 60 mm, expected at least 90 mm"),
        (mr(62), "the stack covers 93 mm, expected at least 100 mm"),
    ],
)
def test_half_a_head_ends_undetermined(here: World, images: Images, words: str) -> None:
    report = here.report(images)
    assert (report.outcome, report.reason) == (Outcome.NOT_ATTEMPTED, words)


@pytest.mark.parametrize(("images", "step_mm", "slices"), [(ct(), 5, 30), (mr(value=-60), 1.5, 100)], ids=["ct", "mr"])
def test_a_sagittal_series_that_calls_itself_axial_is_read_where_it_lies(
    here: World, images: Images, step_mm: float, slices: int
) -> None:
    study, report = here.end(place(images, SAGITTAL, 0, step_mm))
    assert study.series[0].geometry is not None
    assert study.series[0].geometry.plane == "sagittal"
    assert isinstance(report, Report)
    assert (report.outcome, len(report.findings[0].slices)) == (Outcome.SUCCEEDED, slices)


def test_sagittal_images_that_were_numbered_at_random_are_read_in_space(here: World) -> None:
    images = place(mr(value=-60), SAGITTAL, 0, 1.5)
    brightest = images[0].SOPInstanceUID
    for number, image in zip(np.random.default_rng(1).permutation(100) + 1, images, strict=True):
        image.InstanceNumber = int(number)
    report = here.report(images)
    scores = report.findings[0].slices
    assert max(scores, key=lambda score: score.certainty).sop_instance_uid == brightest
    assert max(scores, key=lambda score: score.certainty).index in {0, 99}


@pytest.mark.parametrize(("value", "expected"), [(-60, Presence.ABSENT), (60, Presence.PRESENT)])
def test_an_enhanced_multi_frame_image_is_read_in_space(here: World, value: int, expected: Presence) -> None:
    """Its frames lie in any order; every document can be made, the key image too."""
    images = mr(value=value)
    order = np.random.default_rng(2).permutation(100)
    study, report = here.end([multi_frame([images[index] for index in order])])
    assert isinstance(report, Report), report
    assert presence(report) is expected
    assert np.argmax([score.certainty for score in report.findings[0].slices]) == 0
    made = encode(report, study, here.folder / "out", window=here.catalogue.get(MR).service.window)
    assert [document.problem for document in made] == [""] * len(made)


def multi_frame(images: Images) -> Dataset:
    """These images as one object, in this order."""
    whole = copy_of(images[:1])[0]
    whole.SOPClassUID = EnhancedMRImageStorage
    whole.NumberOfFrames = len(images)
    whole.PixelData = b"".join(image.PixelData for image in images)
    shared, measures, orientation, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = whole.PixelSpacing, 1.5
    orientation.ImageOrientationPatient = whole.ImageOrientationPatient
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -1024, "US"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.PixelValueTransformationSequence = [values]
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = []
    for image in images:
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = image.ImagePositionPatient
        frame.PlanePositionSequence = [position]
        whole.PerFrameFunctionalGroupsSequence.append(frame)
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(whole, keyword)
    return whole


@pytest.mark.parametrize("make", [ct, mr])
def test_of_several_time_points_the_first_is_read_and_nothing_is_absent(
    here: World, make: Callable[..., Images]
) -> None:
    first = make(40 if make is ct else 100, -60)
    later = copy_of(first)
    for number, image in enumerate(later, len(first) + 1):
        image.InstanceNumber = number
    report = here.report([*later, *first])
    assert (report.outcome, presence(report)) == (Outcome.PARTIAL, Presence.UNDETERMINED)
    assert "lie where others do (phases, echoes or time points) and were not analysed" in report.reason
    assert {score.sop_instance_uid for score in report.findings[0].slices} <= {image.SOPInstanceUID for image in first}


@pytest.mark.parametrize("make", [ct, mr])
def test_of_two_series_of_one_kind_the_report_says_which_was_read(here: World, make: Callable[..., Images]) -> None:
    few, many = make(), make(70 if make is ct else 120, -60)
    changed(many, StudyInstanceUID=few[0].StudyInstanceUID, SeriesNumber=2)
    report = here.report([*few, *many])
    assert report.series_uid == many[0].SeriesInstanceUID
    words = f"series 2 ({len(many)} slices) was analysed; another series of this study matched as well and was not: "
    assert f"{words}series 1 ({len(few)} slices)" in report.notes


def test_pixels_that_are_not_square_are_read(here: World) -> None:
    images = ct(PixelSpacing=[0.8, 1.4])
    study, report = here.end(images)
    assert study.series[0].geometry is not None
    assert study.series[0].geometry.pixel_spacing_mm == (0.8, 1.4)
    assert isinstance(report, Report)
    assert report.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("make", [ct, mr])
def test_a_rescale_that_is_no_number_ends_undetermined(here: World, make: Callable[[], Images]) -> None:
    images = make()
    images[7].RescaleSlope = "NaN"
    report = here.report(images)
    assert (report.outcome, presence(report)) == (Outcome.FAILED, Presence.UNDETERMINED)
    assert "RescaleSlope" in report.reason


@pytest.mark.parametrize("make", [ct, mr])
def test_pixels_of_floating_point_numbers_end_undetermined(here: World, make: Callable[[], Images]) -> None:
    images = make()
    for image in images:
        image.FloatPixelData = np.full((32, 32), np.nan, np.float32).tobytes()
        del image.PixelData
        image.BitsAllocated = 32
    report = here.report(images)
    assert presence(report) is Presence.UNDETERMINED
    assert report.reason


@pytest.mark.parametrize("make", [ct, mr])
def test_padding_of_unsigned_pixels_is_not_bright(here: World, make: Callable[..., Images]) -> None:
    images = make(30 if make is ct else 100, -60, PixelRepresentation=0, PixelPaddingValue=65535)
    for image in images:
        pixels = np.frombuffer(image.PixelData, np.uint16).reshape(32, 32).copy()
        pixels[:6] = 65535
        image.PixelData = pixels.tobytes()
        image["PixelPaddingValue"].VR = "US"
    report = here.report(images)
    assert (report.outcome, presence(report)) == (Outcome.SUCCEEDED, Presence.ABSENT)


REFUSED = {
    "contrast CT": (ct, {"ContrastBolusAgent": "ULTRAVIST 370"}, "ContrastBolusAgent is ULTRAVIST 370"),
    "CT angiography": (ct, {"SeriesDescription": "Head CTA 0.6"}, "SeriesDescription is Head CTA 0.6"),
    "bone kernel": (ct, {"ConvolutionKernel": "H70h"}, "ConvolutionKernel is H70h"),
    "sharp kernel of GE": (ct, {"ConvolutionKernel": "BONEPLUS"}, "ConvolutionKernel is BONEPLUS"),
    "screen capture of CT": (ct, {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "SCREEN SAVE"),
    "screen capture of MR": (mr, {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "SCREEN SAVE"),
    "MR without contrast agent": (mr, {"SeriesDescription": "t1_mprage_tra_nativ"}, "t1_mprage_tra_nativ"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_bundles_business_is_refused_with_the_reason(here: World, case: str) -> None:
    make, headers, words = REFUSED[case]
    _, reasons = here.end(make(**headers))
    assert isinstance(reasons, str)
    assert words in reasons


def test_a_study_whose_only_series_is_a_screen_capture_is_refused_with_reasons(here: World) -> None:
    image = ct(1, Modality="OT", SOPClassUID=SecondaryCaptureImageStorage, ImageType=["DERIVED", "SECONDARY"])[0]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "FrameOfReferenceUID"):
        delattr(image, keyword)
    study, reasons = here.end([image])
    assert len(study.series) == 1
    assert "Modality is OT, wanted CT" in str(reasons)
    assert "Modality is OT, wanted MR" in str(reasons)
