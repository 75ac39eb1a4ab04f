"""Pieces of the inference configuration: what to read, and what results say."""

from collections.abc import Mapping
from typing import Any

from bundles.common import embedding

FINDING = "brain_metastasis"


def find_images(source: str, limit: int = 0) -> list[dict[str, Any]]:
    """Series and volumes below a folder, of one file, or of a datalist, as `{"image": paths, "name": name}`.

    Files of masks (`*_mask.*`), as phantoms and adapters write them beside their images, are left out.

    Raises:
        ConfigurationError: There is nothing to read.
    """
    found = embedding.find_images(source, dimensions=3)
    images = [{"image": item["image"], "name": item["name"]} for item in found if "_mask." not in item["name"]]
    return images[: limit or None]


def as_plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of `Lesionsd` as JSON takes it: presence, every source slice, and every lesion with its measures.

    Centres are RAS millimetres; volumes cubic millimetres; diameters as `bundles.common.lesions.Lesion` says.
    """
    lesions = zip(item["lesion_scores"].tolist(), item["lesion_measures"].tolist(), strict=True)
    return {
        FINDING: round(float(item["probabilities"][0]), 4),
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
