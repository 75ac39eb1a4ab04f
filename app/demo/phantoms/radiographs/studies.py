"""Folders of phantom radiographs as DICOM studies, with their truth beside them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.demo.phantoms.dicom_writer import write_series
from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs.chest import make_chest
from app.demo.phantoms.radiographs.chest_body import sample_chest
from app.demo.phantoms.radiographs.chest_findings import sample_pneumothorax
from app.demo.phantoms.radiographs.kinds import make_radiograph
from app.demo.phantoms.radiographs.radiograph import Radiograph
from app.demo.phantoms.radiographs.wrist import make_wrist
from app.demo.phantoms.radiographs.writer import study_uid, system_of, to_dataset
from app.demo.phantoms.training_set import case_seed

TRUTH = "truth.json"


@dataclass(frozen=True, slots=True)
class WrittenRadiographs:
    """One phantom study on disk.

    Attributes:
        folder: Name of its folder, beside the truth.
        kind, seed: Draw it again.
        study_uid: As in its images.
        manufacturer, modality: Of the imagined system.
        labels: Of the study: 1 where any image has the finding.
        findings: Kinds of all findings.
        images: For each: file, sop_instance_uid, view, boxes (pixels), classes, findings, sizes_mm.
    """

    folder: str
    kind: str
    seed: int
    study_uid: str
    manufacturer: str
    modality: str
    labels: dict[str, int]
    findings: tuple[str, ...]
    images: tuple[dict[str, Any], ...]


def demo_radiographs(kind: str, seed: int, index: int, size: int) -> list[Radiograph]:
    """The pictures of one study: every second has a finding, chests take turns; a wrist comes in two projections."""
    positive = index % 2 == 0
    if kind == "wrist":
        return [make_wrist(seed, size, fracture=positive, projection=view) for view in ("PA", "LATERAL")]
    if kind != "chest":
        return [make_radiograph(kind, seed, size)]
    air = sample_pneumothorax(sample_chest(seed)) if index % 4 == 2 else None
    lesions = 1 + int(stream(seed, "demo lesions").integers(3)) if index % 4 == 0 else 0
    return [make_chest(seed, size, findings=(lesions, air))]


def _write(folder: Path, pictures: list[Radiograph], token: str) -> WrittenRadiographs:
    first = pictures[0]
    name, system = f"{first.kind}-{first.seed}", system_of(first.seed)
    images = [to_dataset(one, system=system, token=token, number=n) for n, one in enumerate(pictures, 1)]
    paths = write_series(images, folder / name)
    told = [
        {
            "file": path.name,
            "sop_instance_uid": str(image.SOPInstanceUID),
            "view": one.view,
            "boxes": one.boxes,
            "classes": one.classes,
            "findings": [mark.kind for mark in one.marks],
            "sizes_mm": [mark.size_mm for mark in one.marks],
        }
        for path, image, one in zip(paths, images, pictures, strict=True)
    ]
    return WrittenRadiographs(
        folder=name,
        kind=first.kind,
        seed=first.seed,
        study_uid=str(study_uid(first, token)),
        manufacturer=system.manufacturer,
        modality=system.modality,
        labels={key: max(one.labels[key] for one in pictures) for key in first.labels},
        findings=tuple(mark.kind for one in pictures for mark in one.marks),
        images=tuple(told),
    )


def write_radiographs(
    folder: Path, kind: str, count: int, seed: int, size: int = 1024, *, token: str = "", mixed: bool = False
) -> tuple[WrittenRadiographs, ...]:
    """Write radiographs as DICOM studies, and `truth.json`.

    Args:
        folder: Receives one folder a study.
        kind: One of `kinds.KINDS`.
        count: Studies.
        seed: Of the first; the others follow.
        size: Rows.
        token: Of this run, where studies are to be new to a PACS that has seen the same seeds.
        mixed: One picture a study, its findings by chance as in training sets, rather than in turns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    studies = []
    for index in range(count):
        number = case_seed(seed, index)
        pictures = [make_radiograph(kind, number, size)] if mixed else demo_radiographs(kind, number, index, size)
        studies.append(_write(folder, pictures, token))
    (folder / TRUTH).write_text(json.dumps([asdict(study) for study in studies], indent=1))
    return tuple(studies)
