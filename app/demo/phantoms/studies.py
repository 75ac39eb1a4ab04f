"""Folders of phantom studies as DICOM, with their truth beside them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from app.demo.phantoms.bleeds import KINDS
from app.demo.phantoms.dicom_writer import scanner_of, to_datasets, write_series
from app.demo.phantoms.fields import stream
from app.demo.phantoms.phantom import make_phantom
from app.demo.phantoms.training_set import case_seed

TRUTH = "truth.json"


@dataclass(frozen=True, slots=True)
class WrittenStudy:
    """One phantom study on disk.

    Attributes:
        folder: Name of its folder, beside the truth.
        seed: Draws it again.
        study_uid, series_uid: As in its images.
        manufacturer: Of the imagined scanner.
        images: How many.
        presence: Any bleed.
        types: Kinds of bleeds in it.
        slices: Flags from the lowest slice to the highest.
        sop_instance_uids: In the same order.
        volumes_ml: By kind, where there is any.
    """

    folder: str
    seed: int
    study_uid: str
    series_uid: str
    manufacturer: str
    images: int
    presence: bool
    types: tuple[str, ...]
    slices: tuple[bool, ...]
    sop_instance_uids: tuple[str, ...]
    volumes_ml: dict[str, float]


def demo_kinds(index: int, seed: int) -> tuple[str, ...]:
    """Every second study has bleeds; the kinds take turns, so that five positive studies show all of them."""
    if index % 2:
        return ()
    start = int(stream(seed, "first kind").integers(len(KINDS)))
    return (KINDS[(start + index // 2) % len(KINDS)],)


def write_study(folder: Path, seed: int, size: int, kinds: tuple[str, ...] | None, token: str = "") -> WrittenStudy:
    """Write one study into a folder of its own below `folder`."""
    phantom = make_phantom(seed, size, kinds=kinds)
    images = to_datasets(phantom, token=token)
    name = f"phantom-{seed}"
    write_series(images, folder / name)
    volumes = {kind: volume for kind, volume in zip(KINDS, phantom.truth.volumes_ml, strict=True) if volume}
    return WrittenStudy(
        folder=name,
        seed=seed,
        study_uid=str(images[0].StudyInstanceUID),
        series_uid=str(images[0].SeriesInstanceUID),
        manufacturer=scanner_of(seed).manufacturer,
        images=len(images),
        presence=phantom.truth.presence,
        types=tuple(kind for kind, there in zip(KINDS, phantom.truth.types, strict=True) if there),
        slices=phantom.truth.slices,
        sop_instance_uids=tuple(str(image.SOPInstanceUID) for image in images),
        volumes_ml=volumes,
    )


def write_studies(
    folder: Path, count: int, seed: int, size: int = 512, *, token: str = "", mixed: bool = False
) -> tuple[WrittenStudy, ...]:
    """Write phantom studies as DICOM, and `truth.json`.

    Args:
        folder: Receives one folder a study.
        count: Studies.
        seed: Of the first; the others follow.
        size: Rows and columns.
        token: Of this run, where studies are to be new to a PACS that has seen the same seeds.
        mixed: Draw presence and kinds by chance as in training sets, rather than in turns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    studies = []
    for index in range(count):
        kinds = None if mixed else demo_kinds(index, seed)
        studies.append(write_study(folder, case_seed(seed, index), size, kinds, token))
    (folder / TRUTH).write_text(json.dumps([asdict(study) for study in studies], indent=1))
    return tuple(studies)
