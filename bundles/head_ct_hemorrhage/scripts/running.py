"""Pieces of the inference configuration: what to read, weights, calibration, and where results go."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
import torch
import yaml
from ignite.engine import Engine, Events
from torch import Tensor, nn

from bundles.common.running import flag  # noqa: F401  # called by configurations
from bundles.head_ct_hemorrhage.scripts.network import TYPES

log = structlog.get_logger()

NIFTI = (".nii", ".nii.gz")
CALIBRATION = Path("configs/calibration.yaml")


def find_images(source: str, limit: int = 0) -> list[dict[str, Any]]:
    """Images below a folder, or one file, as dataset items `{"image": path, "name": name}`.

    NIfTI files count each (but `*_mask` files are left out); a folder without NIfTI files and without folders is one
    DICOM series.

    Raises:
        ValueError: There is nothing.
    """
    root = Path(source)
    if not root.exists():
        raise ValueError(f"{root} is missing; give --input FILE_OR_FOLDER")
    if root.is_file():
        return [{"image": str(root), "name": root.name}]
    found = [path for path in sorted(root.rglob("*")) if path.name.endswith(NIFTI) and "_mask." not in path.name]
    found = found or [folder for folder in (root, *sorted(root.rglob("*"))) if _is_series(folder)]
    if not found:
        raise ValueError(f"{root} holds neither NIfTI files nor folders of DICOM files")
    return [{"image": str(path), "name": str(path.relative_to(root.parent))} for path in found[: limit or None]]


def _is_series(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_file() for path in folder.iterdir())


def calibration(bundle_root: str) -> dict[str, tuple[float, float]]:
    """Platt scaling of `configs/calibration.yaml`; empty before any was fitted."""
    path = Path(bundle_root) / CALIBRATION
    if not path.is_file():
        return {}
    scale = yaml.safe_load(path.read_text(encoding="utf-8"))["scale"]
    return {name: (float(factor), float(offset)) for name, (factor, offset) in scale.items()}


def load_weights(network: nn.Module, path: str) -> None:
    """Load a state dict (`weights_only=True`) and switch to evaluation.

    Raises:
        ValueError: The file is missing.
        RuntimeError: It does not fit the network.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} is missing; train first, or give --weights")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.eval()


def prepare_batch(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, None]:
    """The image on the device; there is no label."""
    return batch["image"].to(device, non_blocking=non_blocking), None


class WriteResults:
    """Writes one JSON a case: probabilities of hemorrhage, of each type, and of every source slice.

    Args:
        folder: Receives `<name>.json`, folders of the input's names kept.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def attach(self, engine: Engine) -> None:
        """Write after each case."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)

    def _write(self, engine: Engine) -> None:
        for item, given in zip(engine.state.output, engine.state.batch, strict=True):
            source = given["name"]
            result = {
                "image": source,
                "hemorrhage": round(float(item["hemorrhage"]), 4),
                "types": {name: round(float(value), 4) for name, value in zip(TYPES, item["types"], strict=True)},
                "slices": [round(float(value), 4) for value in item["slices"]],
            }
            path = self.folder / f"{source}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            log.info("case_analysed", result=str(path), hemorrhage=result["hemorrhage"])
