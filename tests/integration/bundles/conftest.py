"""A handful of small phantoms, drawn once, as a datalist."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from app.demo.phantoms.phantom import make_phantom
from app.demo.phantoms.training_set import nifti_affine

CONFIGS = "bundles/head_ct_hemorrhage/configs"
KINDS = ((), ("subdural", "intraparenchymal"), (), ("epidural", "intraventricular"), ("subarachnoid",), ())


def write_case(folder: Path, seed: int, kinds: tuple[str, ...]) -> dict[str, object]:
    phantom = make_phantom(seed, 96, kinds=kinds)
    affine = nifti_affine(phantom)
    for name, array in (("image", phantom.volume_hu), ("mask", phantom.mask)):
        nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), affine), folder / f"{seed}_{name}.nii.gz")
    truth = phantom.truth
    return {
        "image": f"{seed}_image.nii.gz",
        "mask": f"{seed}_mask.nii.gz",
        "label": int(truth.presence),
        "types": np.array(truth.types, int).tolist(),
        "slices": np.array(truth.slices, int).tolist(),
    }


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a datalist of six small phantoms; one lacks types, one slices, one its mask."""
    folder = tmp_path_factory.mktemp("phantoms")
    cases = [write_case(folder, 500 + index, kinds) for index, kinds in enumerate(KINDS)]
    del cases[1]["types"]
    cases[2]["slices"] = None
    del cases[3]["mask"]
    (folder / "datalist.json").write_text(json.dumps({"training": cases, "validation": cases[:4], "test": cases[:4]}))
    return folder


@pytest.fixture
def run_bundle(root: Path) -> Callable[..., str]:
    """Runs a configuration of the bundle in a process of its own; returns what it printed."""

    def run(config: str, *arguments: object, launcher: tuple[str, ...] = (sys.executable,)) -> str:
        command = [*launcher, "-m", "monai.bundle", "run", "--config_file", config, *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, done.stderr[-8000:]
        return done.stdout + done.stderr

    return run
