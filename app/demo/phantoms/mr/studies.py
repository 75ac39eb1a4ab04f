"""Folders of MR phantom studies as DICOM, with their truth beside them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from app.demo.phantoms.dicom_writer import write_series
from app.demo.phantoms.mr.metastases import sample_count, sample_diameters
from app.demo.phantoms.mr.phantom import make_mr_phantom
from app.demo.phantoms.mr.scan import Plane, sample_scan
from app.demo.phantoms.mr.truth import LesionTruth
from app.demo.phantoms.mr.writer import says_agent, scanner_of, to_datasets
from app.demo.phantoms.training_set import case_seed

TRUTH = "truth.json"
_SHOWN_MM = 9.0
"""A study in turns with metastases has one at least as large, so that there is something to show."""


@dataclass(frozen=True, slots=True)
class WrittenMr:
    """One phantom study on disk.

    Attributes:
        folder: Name of its folder, beside the truth.
        seed: Draws it again.
        study_uid, series_uid: As in the images of the series that the truth is about.
        plain_series_uid: Of the T1 series before contrast agent, "" where there is none.
        manufacturer, plane, description: Of the series.
        enhanced: Whether contrast agent was given.
        agent_said: Whether ContrastBolusAgent says so.
        images: How many slices.
        presence: Any metastasis.
        slices: Flags in the order of `sop_instance_uids`, which is the order along the slice normal.
        sop_instance_uids: Of the slices.
        lesions: Largest first.
    """

    folder: str
    seed: int
    study_uid: str
    series_uid: str
    plain_series_uid: str
    manufacturer: str
    plane: str
    description: str
    enhanced: bool
    agent_said: bool
    images: int
    presence: bool
    slices: tuple[bool, ...]
    sop_instance_uids: tuple[str, ...]
    lesions: tuple[LesionTruth, ...]


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What to write.

    Attributes:
        plane: None lets the seed decide.
        spacing_mm: As `sample_scan` takes it; None for a clinical protocol.
        enhanced: Whether contrast agent is given.
        with_plain: Whether a T1 series without contrast agent comes before.
        token: Of a run; another token gives other UIDs.
    """

    plane: Plane | None = None
    spacing_mm: float | None = None
    enhanced: bool = True
    with_plain: bool = False
    token: str = ""


def demo_diameters(index: int, seed: int) -> tuple[float, ...]:
    """Every second study has metastases, the largest of at least `_SHOWN_MM`."""
    if index % 2:
        return ()
    drawn = sample_diameters(seed, max(2, sample_count(seed)))
    return (max(_SHOWN_MM, drawn[0]), *drawn[1:])


def write_study(folder: Path, seed: int, plan: StudyPlan, diameters: tuple[float, ...] | None) -> WrittenMr:
    """Write one study into a folder of its own below `folder`; a plain series goes into `plain/` within it."""
    scan = sample_scan(seed, plan.plane, plan.spacing_mm)
    phantom = make_mr_phantom(seed, diameters=diameters, enhanced=plan.enhanced, scan=scan, pitch_mm=1.25)
    images = to_datasets(phantom, token=plan.token, number=5)
    name, plain_uid = f"mr-{seed}", ""
    write_series(images, folder / name)
    if plan.with_plain:
        before = make_mr_phantom(seed, diameters=(), enhanced=False, scan=scan, pitch_mm=1.25)
        plain = to_datasets(before, token=plan.token, number=3)
        write_series(plain, folder / name / "plain")
        plain_uid = str(plain[0].SeriesInstanceUID)
    return WrittenMr(
        folder=name,
        seed=seed,
        study_uid=str(images[0].StudyInstanceUID),
        series_uid=str(images[0].SeriesInstanceUID),
        plain_series_uid=plain_uid,
        manufacturer=scanner_of(seed).manufacturer,
        plane=phantom.scan.plane,
        description=str(images[0].SeriesDescription),
        enhanced=plan.enhanced,
        agent_said=says_agent(phantom),
        images=len(images),
        presence=bool(phantom.lesions),
        slices=tuple(bool(part.any()) for part in phantom.mask),
        sop_instance_uids=tuple(str(image.SOPInstanceUID) for image in images),
        lesions=phantom.lesions,
    )


def write_mr_studies(
    folder: Path, count: int, seed: int, plan: StudyPlan, *, mixed: bool = False
) -> tuple[WrittenMr, ...]:
    """Write MR phantom studies as DICOM, and `truth.json`.

    Args:
        folder: Receives one folder a study.
        count: Studies.
        seed: Of the first; the others follow.
        plan: How.
        mixed: Draw metastases by chance as in training sets, rather than in every second study.
    """
    folder.mkdir(parents=True, exist_ok=True)
    studies = []
    for index in range(count):
        number = case_seed(seed, index)
        chosen = None if mixed else demo_diameters(index, number)
        studies.append(write_study(folder, number, plan, chosen if plan.enhanced else ()))
    (folder / TRUTH).write_text(json.dumps([asdict(study) for study in studies], indent=1))
    return tuple(studies)
