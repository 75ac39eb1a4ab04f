"""Training in several processes with plain `python -m monai.bundle run`, on small phantoms."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from app.demo.phantoms.mr.phantom import make_mr_phantom
from bundles.brain_metastasis.scripts.network import BrainMetastasisNet

CONFIGS = "bundles/brain_metastasis/configs"
SMALL = ("--spacing_mm", "[6.0,3.0,3.0]", "--box", "[96,64]", "--bfloat16", "false")
SHORT = ("--segmenter_epochs", 1, "--classifier_epochs", 0, "--joint_epochs", 1, "--slices_per_head", 4)
Run = Callable[..., str]


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a datalist of four small heads, two of them with metastases."""
    folder, cases = tmp_path_factory.mktemp("heads"), []
    for seed, diameters in ((301, (20.0, 12.0)), (302, ()), (303, (16.0,)), (304, ())):
        phantom = make_mr_phantom(seed, diameters=diameters, plane="axial", spacing_mm=3.0)
        lps = phantom.scan.affine_lps[:, [2, 1, 0, 3]]
        for name, array in (("image", phantom.volume), ("mask", phantom.mask)):
            volume = nibabel.Nifti1Image(array.transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps)
            nibabel.save(volume, folder / f"{seed}_{name}.nii.gz")
        files = {"image": f"{seed}_image.nii.gz", "mask": f"{seed}_mask.nii.gz"}
        cases.append({**files, "patient": str(seed), "label": int(bool(diameters))})
    sections = {"training": cases[:2], "validation": cases[2:], "test": []}
    (folder / "datalist.json").write_text(json.dumps(sections))
    return folder


def test_two_processes_train_on_gloo(heads: Path, tmp_path: Path, run_bundle: Run) -> None:
    config = f"['{CONFIGS}/train.yaml','{CONFIGS}/multi_gpu_train.yaml']"
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    where = ("--dataset_dir", heads, "--output_dir", tmp_path, "--backend", "gloo", "--batch_size", 1)
    run_bundle(config, *where, *SMALL, *SHORT, launcher=torchrun)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"] == 2
    network = BrainMetastasisNet()
    network.load_state_dict(torch.load(tmp_path / "best.pt", weights_only=True))
