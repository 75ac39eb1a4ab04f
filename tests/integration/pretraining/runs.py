"""Small archives of every format, and runs of the bundles over them, shrunk until they take seconds."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import run as run_bundle
from PIL import Image

from pretraining.progress import CURVE, read_curve
from tests.unit.bundles.common.dicom import ct_slice, ct_stack, save, uid
from tests.unit.pretraining.data.archive import save_nifti

ROOT = Path(__file__).resolve().parents[3]
SMALL_2D: dict[str, Any] = {
    "epochs": 2,
    "image_size": 32,
    "batch_size": 4,
    "backbone": "resnet18",
    "queue_length": 16,
    "queue_start_epoch": 1,
    "freeze_prototypes": 2,
    "bn_splits": 2,
    "prototypes": 6,
    "reference_images": 4,
}
SMALL_3D: dict[str, Any] = SMALL_2D | {"image_size": [8, 64, 64], "backbone": "dense3d", "small_crop": [8, 32, 32]}
ALWAYS: dict[str, Any] = {
    "split": "all",
    "archive_workers": 0,
    "log_every": 1,
    "watch_every": 2,
    "checkpoint_every": 2,
    "device": "cpu",
}


def textures(count: int, shape: tuple[int, ...] = (40, 36)) -> list[np.ndarray]:
    """Waves of different lengths under noise, uint16 from 0 to about 1000."""
    random = np.random.default_rng(count)
    along = np.indices(shape).sum(axis=0)
    waves = [500 + 300 * np.sin(along / (2 + number % 5)) + random.normal(0, 50, shape) for number in range(count)]
    return [wave.clip(0, 1000).astype(np.uint16) for wave in waves]


def pictures(folder: Path, count: int = 8) -> Path:
    """PNG files of 16 bits."""
    folder.mkdir(parents=True)
    for number, pixels in enumerate(textures(count)):
        Image.fromarray(pixels).save(folder / f"image{number:02d}.png")
    return folder


def radiographs(folder: Path, count: int = 8, modality: str = "DX") -> Path:
    """DICOM radiographs, a patient each."""
    images = []
    for number, pixels in enumerate(textures(count)):
        image = ct_slice(number, pixels=pixels, series=uid(modality, number))
        image.PatientID, image.Modality, image.StudyInstanceUID = f"P{number}", modality, uid("study", number)
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"):
            delattr(image, keyword)
        images.append(image)
    save(folder, images)
    return folder


def volumes(folder: Path, count: int = 8, slices: int = 1) -> Path:
    """NIfTI volumes; with one slice each they are images."""
    for number, voxels in enumerate(textures(count, (slices, 40, 36))):
        save_nifti(folder / f"volume{number:02d}.nii.gz", voxels.astype(np.int16))
    return folder


def series(folder: Path, count: int = 4, slices: int = 12) -> Path:
    """CT series in folders of their own."""
    for number, voxels in enumerate(textures(count, (slices, 40, 36))):
        stack = ct_stack(tuple(range(0, 5 * slices, 5)), series=uid("ct", number))
        for image, pixels in zip(stack, voxels, strict=True):
            image.Rows, image.Columns = pixels.shape
            image.PixelData = pixels.tobytes()
            image.PatientID, image.StudyInstanceUID = f"P{number}", uid("study", number)
        save(folder / f"series{number}", stack)
    return folder


def settings_of(bundle: str, dataset_dir: Path, tmp: Path, **changes: Any) -> dict[str, Any]:
    """Overrides of a small run; those whose key the preset lacks do no harm."""
    small = SMALL_3D if bundle == "ssl_3d" else SMALL_2D
    where = {"dataset_dir": str(dataset_dir), "store_dir": str(tmp / "store"), "output_dir": str(tmp / "out")}
    return small | ALWAYS | where | changes


def configs(bundle: str, *overlays: str) -> list[str]:
    """Absolute paths of train.yaml and overlays."""
    return [str(ROOT / "bundles" / bundle / "configs" / f"{name}.yaml") for name in ("train", *overlays)]


def train(bundle: str, overlays: tuple[str, ...], dataset_dir: Path, tmp: Path, **changes: Any) -> Path:
    """Train in this process; the folder of outputs."""
    settings = settings_of(bundle, dataset_dir, tmp, **changes)
    run_bundle(config_file=configs(bundle, *overlays), bundle_root=str(ROOT / "bundles" / bundle), **settings)
    return Path(settings["output_dir"])


def command(bundle: str, overlays: tuple[str, ...], dataset_dir: Path, tmp: Path, **changes: Any) -> list[str]:
    """The arguments after `python` of the same run."""
    settings = settings_of(bundle, dataset_dir, tmp, **changes)
    options = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    return ["-m", "monai.bundle", "run", "--config_file", str(configs(bundle, *overlays)), *options]


def environment() -> dict[str, str]:
    """One thread a process, wherever the test is started from."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def python() -> str:
    """The interpreter that runs the tests."""
    return sys.executable


def losses(output_dir: Path) -> list[float]:
    """The curve, to the last bit."""
    return [row["loss"] for row in read_curve(output_dir / CURVE)]


def reasons(error: BaseException) -> str:
    """The messages of a chain of errors: MONAI wraps what a part of a configuration raises."""
    link: BaseException | None = error
    words = []
    while link is not None:
        words.append(f"{type(link).__name__}: {link}")
        link = link.__cause__ or link.__context__
    return "\n".join(words)
