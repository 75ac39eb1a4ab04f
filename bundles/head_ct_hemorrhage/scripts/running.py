"""Pieces of the inference configuration: what to read, and what results say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundles.common.reader import is_dicom
from bundles.common.running import flag  # noqa: F401  # called by configurations
from bundles.head_ct_hemorrhage.scripts.network import TYPES

NIFTI = (".nii", ".nii.gz")


def find_images(source: str, limit: int = 0) -> list[dict[str, Any]]:
    """Images below a folder, or one file, as dataset items `{"image": path, "name": name}`.

    NIfTI files count each (but `*_mask` files are left out); without any, every folder that holds DICOM files is one
    series.

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
    return folder.is_dir() and any(path.is_file() and is_dicom(path) for path in folder.iterdir())


def as_plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item after postprocessing as JSON takes it: hemorrhage, each type, every source slice, and every bleed.

    Probabilities to 1e-4. Centres are RAS millimetres; diameters as `bundles.common.lesions.Lesion` says.
    """
    lesions = zip(item["lesion_scores"].tolist(), item["lesion_measures"].tolist(), strict=True)
    return {
        "hemorrhage": round(float(item["hemorrhage"]), 4),
        "types": {name: round(float(value), 4) for name, value in zip(TYPES, item["types"], strict=True)},
        "slices": [round(float(value), 4) for value in item["slices"]],
        "lesions": [
            {
                "number": number,
                "certainty": round(certainty, 4),
                "volume_mm3": round(volume, 2),
                "longest_diameter_mm": round(diameter, 2),
                "centre_ras_mm": [round(place, 2) for place in centre],
            }
            for number, (certainty, (volume, diameter, *centre)) in enumerate(lesions, start=1)
        ],
    }
