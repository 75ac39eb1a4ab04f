"""Thin, thick and coronal slices of the same head get close answers, because slabs are averaged, never picked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray

from app.demo.phantoms.phantom import make_phantom
from app.infer.network import first_of_batch
from bundles.common.contract import load_service

SIZE = 192
THICK_MM, THIN_MM, NOISE_HU = 5.0, 0.6, 4.0
HEADS = {"intraparenchymal": (21, ("intraparenchymal",)), "none": (22, ()), "epidural": (25, ("epidural",))}


@pytest.fixture(scope="module")
def answer(root: Path):
    """Runs the bundle's own steps with its weights on a file."""
    parser = ConfigParser()
    parser.read_config(str(root / "bundles/head_ct_hemorrhage/configs/inference.yaml"))
    parser["bundle_root"] = str(root / "bundles/head_ct_hemorrhage")
    network, before, after, inferer = (
        parser.get_parsed_content(name) for name in ("network_def", "preprocessing", "postprocessing", "inferer")
    )
    weights = root / "bundles/head_ct_hemorrhage/models/model.pt"
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.eval()

    def run(path: Path) -> dict[str, Any]:
        with torch.inference_mode():
            item = before({"image": str(path)})
            item["pred"] = first_of_batch(inferer(inputs=item["image"][None], network=network))
            found: dict[str, Any] = after(item)
        return found

    return run


def write(path: Path, voxels: NDArray[Any], affine_lps: NDArray[np.float64]) -> Path:
    """A stack (slices, rows, columns) with its affine (slice, row, column, 1) to LPS as NIfTI."""
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_lps
    nibabel.save(nibabel.Nifti1Image(voxels.transpose(2, 1, 0), ras[:, [2, 1, 0, 3]]), path)
    return path


def scanned(name: str, step_mm: float):
    """One head, scanned with slices of some thickness; the noise goes with it as photons do."""
    seed, kinds = HEADS[name]
    scan = make_phantom(seed, 16, kinds=()).acquisition
    table = tuple(np.arange(scan.table_mm[0], scan.table_mm[-1], step_mm))
    noise = NOISE_HU * np.sqrt(THICK_MM / step_mm)
    calm = replace(scan, size=SIZE, metal=False, motion_px=0.0, calibration_hu=0.0)
    wanted = replace(calm, table_mm=table, thickness_mm=step_mm, noise_hu=float(noise))
    return make_phantom(seed, SIZE, kinds=kinds, acquisition=wanted)


@pytest.mark.parametrize("name", HEADS)
def test_thin_and_thick_slices_get_close_probabilities(name: str, tmp_path: Path, answer, root: Path) -> None:
    found = {}
    for step in (THICK_MM, THIN_MM):
        phantom = scanned(name, step)
        found[step] = answer(write(tmp_path / f"{step}.nii.gz", phantom.volume_hu, phantom.acquisition.affine_lps))
        assert len(found[step]["slices"]) == len(phantom.volume_hu)
    thick, thin = (float(found[step]["hemorrhage"]) for step in (THICK_MM, THIN_MM))
    assert abs(thick - thin) < 0.2
    threshold = load_service(root / "bundles/head_ct_hemorrhage").findings[0].threshold
    assert (thick >= threshold) == (thin >= threshold) == bool(HEADS[name][1])


def test_a_coronal_series_of_the_same_head_gets_the_same_answer_and_its_own_slices(tmp_path: Path, answer) -> None:
    phantom = scanned("intraparenchymal", 1.0)
    affine = phantom.acquisition.affine_lps
    axial = answer(write(tmp_path / "axial.nii.gz", phantom.volume_hu, affine))
    # Two rows together are a coronal slice; rows of the new stack run from the vertex down, as coronal images do.
    pairs = phantom.volume_hu.reshape(-1, SIZE // 2, 2, SIZE).mean(axis=2).round().astype(np.int16)
    coronal = np.ascontiguousarray(pairs.transpose(1, 0, 2)[:, ::-1])
    turned = affine[:, [1, 0, 2, 3]] * [2.0, -1.0, 1.0, 1.0]
    turned[:3, 3] += affine[:3, 1] / 2 + affine[:3, 0] * (len(phantom.volume_hu) - 1)
    found = answer(write(tmp_path / "coronal.nii.gz", coronal, turned))
    assert float(found["hemorrhage"]) == pytest.approx(float(axial["hemorrhage"]), abs=0.1)
    assert torch.allclose(found["types"], axial["types"], atol=0.15)
    assert len(found["slices"]) == SIZE // 2
    assert tuple(found["lesions"].shape) == (SIZE, len(phantom.volume_hu), SIZE // 2)
    # The outline of the one lies where that of the other does, voxel for voxel of the coronal grid.
    same = axial["lesions"].numpy().transpose(2, 1, 0).reshape(-1, SIZE // 2, 2, SIZE).max(axis=2) > 0
    ours = found["lesions"].numpy().transpose(2, 1, 0)[:, ::-1].transpose(1, 0, 2) > 0
    assert same.any()
    assert 2 * (same & ours).sum() / (same.sum() + ours.sum()) > 0.75
    with_bleed = (ours.any(axis=(0, 2))).nonzero()[0]
    scores = found["slices"].numpy()
    assert scores[with_bleed].min() > scores[np.setdiff1d(np.arange(len(scores)), with_bleed)].mean()
