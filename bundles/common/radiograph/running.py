"""What the configurations of radiograph bundles read."""

from typing import Any

from bundles.common import embedding
from bundles.common.training import prepare_image as prepare_batch  # noqa: F401  # called by configurations
from bundles.common.training import synchronised  # noqa: F401  # called by configurations


def find_images(source: str, limit: int = 0) -> list[dict[str, Any]]:
    """Radiographs below a folder, of one file, or of a datalist, as `{"image": path, "name": name}`.

    Raises:
        ConfigurationError: There is nothing to read.
    """
    found = embedding.find_images(source, dimensions=2, limit=limit, unreadable=True)
    return [{"image": item["image"][0], "name": item["name"]} for item in found]
