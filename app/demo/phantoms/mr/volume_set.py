"""Training sets of MR phantoms: NIfTI volumes, lesion masks and a datalist."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from app.demo.phantoms.fields import stream
from app.demo.phantoms.mr.phantom import MrPhantom, make_mr_phantom
from app.demo.phantoms.mr.writer import scanner_of, stored_values
from app.demo.phantoms.training_set import in_parallel, ras_affine, save_nifti, split, write_lists

SPACING_MM = 1.2
_STRIPPED_SHARE = 0.2
"""Of the cases without anything but the brain, as in BraTS-METS and BrainMetShare."""


def line_of(phantom: MrPhantom, image: str, mask: str) -> dict[str, Any]:
    """A phantom as a line of a datalist.

    Args:
        phantom: What was drawn.
        image: Path of the volume, relative to the datalist's folder.
        mask: Path of the mask, in which lesion n has the value n.

    Returns:
        `label` is 1 with any metastasis; `slices` has a flag for each slice along the image's third axis; `lesions` are
        as `LesionTruth` says, largest first, millimetres, centres in LPS.
    """
    return {
        "image": image,
        "mask": mask,
        "patient": f"PHANTOM-MR-{phantom.seed}",
        "seed": phantom.seed,
        "label": int(bool(phantom.lesions)),
        "slices": [int(part.any()) for part in phantom.mask],
        "lesions": [{**asdict(lesion), "centre_mm": list(lesion.centre_mm)} for lesion in phantom.lesions],
        "plane": phantom.scan.plane,
        "spacing_mm": phantom.scan.pixel_mm,
        "stripped": phantom.stripped,
    }


def write_case(folder: Path, spacing_mm: float, seed: int) -> dict[str, Any]:
    """Write one case into `folder/cases`, unless it is there already, and return its line.

    Raises:
        ValueError: The case is there with another spacing.
    """
    cases = folder / "cases"
    cases.mkdir(parents=True, exist_ok=True)
    note = cases / f"mr-{seed}.json"
    if note.exists():
        line: dict[str, Any] = json.loads(note.read_text())
        if line["spacing_mm"] != spacing_mm:
            raise ValueError(
                f"{note} is of {line['spacing_mm']} mm, not {spacing_mm} mm: use another folder for another spacing"
            )
        return line
    stripped = bool(stream(seed, "mr stripped").random() < _STRIPPED_SHARE)
    phantom = make_mr_phantom(seed, spacing_mm=spacing_mm, stripped=stripped)
    affine = ras_affine(phantom.scan.affine_lps)
    image, mask = cases / f"mr-{seed}.nii.gz", cases / f"mr-{seed}_mask.nii.gz"
    save_nifti(stored_values(phantom, scanner_of(seed)), affine, image)
    save_nifti(phantom.mask, affine, mask)
    line = line_of(phantom, str(image.relative_to(folder)), str(mask.relative_to(folder)))
    partial_note = note.with_name(f".{note.name}")
    partial_note.write_text(json.dumps(line))
    partial_note.replace(note)
    return line


def write_volume_set(
    folder: Path, count: int, seed: int, workers: int = 2, spacing_mm: float = SPACING_MM, *, held_out: bool = False
) -> Path:
    """Write MR phantoms as NIfTI with a datalist; cases that are there already are kept.

    Args:
        folder: Receives `cases/` and `datalist.json`.
        count: Cases, split 35 : 4 : 6 into training, validation and test; each is a patient of its own.
        seed: Of the set; the same seed gives the same set.
        workers: Processes.
        spacing_mm: Of the isotropic voxels; 1.2 mm gives 160 × 192 × 160 of them.
        held_out: Every case is a test case: a set to measure finished weights on.

    Returns:
        Path of the datalist, lines as `line_of` says.

    Raises:
        ValueError: The folder holds cases of another spacing.
    """
    lines = in_parallel(partial(write_case, folder, spacing_mm), count, seed, workers)
    return write_lists(folder, split(lines, held_out=held_out))
