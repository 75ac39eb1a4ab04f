"""A training set of phantom head CTs: NIfTI volumes, label masks, and the list of cases that MONAI reads."""

import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from app.demo.phantoms.phantom import Phantom, make_phantom

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SEED_STRIDE = 100_000


def write_training_set(folder: Path, count: int, seed: int, workers: int = 2, size: int = 256) -> Path:
    """Write phantoms as NIfTI with their truth; cases that are there already are kept.

    Each case is a patient of its own, so that any split of the list is patient-wise.

    Args:
        folder: Gets `images/`, `masks/`, `cases/` and `datalist.json`.
        count: Cases. Of every nine, seven are for training, one for validation, one for test.
        seed: Case i is phantom `seed * SEED_STRIDE + i`.
        workers: Processes.
        size: Rows and columns.

    Returns:
        The path of `datalist.json`: the lists `training`, `validation` and `test` of items with `image` and `mask`
        (paths relative to `folder`), `seed`, `label` (0 or 1), `types` (five 0/1 in the order of `bleeds.KINDS`),
        `slices` (0/1 for every slice along the third array axis) and `volumes_ml`.
    """
    for name in ("images", "masks", "cases"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    seeds = [seed * SEED_STRIDE + index for index in range(count)]
    missing = [number for number in seeds if not _case_file(folder, number).exists()]
    with ProcessPoolExecutor(workers) as pool:
        for _ in track(pool.map(partial(write_case, folder, size), missing), "Phantoms", total=len(missing)):
            pass
    cases = [json.loads(_case_file(folder, number).read_text(encoding="utf-8")) for number in seeds]
    lists = {
        "training": [case for index, case in enumerate(cases) if index % 9 < 7],
        "validation": [case for index, case in enumerate(cases) if index % 9 == 7],
        "test": [case for index, case in enumerate(cases) if index % 9 == 8],
    }
    path = folder / "datalist.json"
    path.write_text(json.dumps(lists), encoding="utf-8")
    return path


def write_case(folder: Path, size: int, seed: int) -> None:
    """Draw one phantom and write its image, its mask and, last, what it is: a case that was cut off is drawn again."""
    phantom = make_phantom(seed, size)
    image, mask = f"images/{seed}.nii.gz", f"masks/{seed}.nii.gz"
    _write(folder / image, phantom.volume_hu, phantom)
    _write(folder / mask, phantom.mask, phantom)
    case: dict[str, Any] = {
        "image": image,
        "mask": mask,
        "seed": seed,
        "label": int(phantom.truth.presence),
        "types": [int(flag) for flag in phantom.truth.types],
        "slices": [int(flag) for flag in phantom.truth.slices],
        "volumes_ml": list(phantom.truth.volumes_ml),
    }
    _case_file(folder, seed).write_text(json.dumps(case), encoding="utf-8")


def affine_ras(phantom: Phantom) -> NDArray[np.float64]:
    """From NIfTI's (column, row, slice, 1) indices to RAS millimetres; sheared where the gantry is tilted."""
    slices_first = phantom.acquisition.affine_lps
    return np.asarray(LPS_TO_RAS @ slices_first[:, [2, 1, 0, 3]])


def _write(path: Path, volume: NDArray[Any], phantom: Phantom) -> None:
    image = nibabel.Nifti1Image(volume.transpose(2, 1, 0), affine_ras(phantom))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def _case_file(folder: Path, seed: int) -> Path:
    return folder / "cases" / f"{seed}.json"
