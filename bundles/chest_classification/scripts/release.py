"""Put trained weights into the bundle, and write their manifest and the model card's figures.

E="python -m monai.bundle run --config_file bundles/chest_classification/configs/evaluate.yaml"
python -m bundles.chest_classification.scripts.release install var/train/chest_classification/best.pt
$E --dataset_dir FOLDER --fit_calibration true
$E --dataset_dir FOLDER_OF_OTHER_PATIENTS
python -m bundles.chest_classification.scripts.release describe --data "phantom: …" --command "…"
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundles.common.manifest import Metric
from bundles.common.release import Release, release_app


def figures(report: Mapping[str, Any]) -> dict[str, Metric]:
    """AUROC of every class; one that only one sort of image was measured of is left out."""
    metrics = {}
    for name, found in report["classification"].items():
        ends = {end: found["auroc"][end] for end in ("value", "low", "high")}
        if None in ends.values():
            continue
        counts = {key: found[key] for key in ("positives", "negatives")}
        metrics[name] = Metric(label=f"{name.replace('_', ' ').capitalize()} in the image", **ends, **counts)
    return metrics


app = release_app(Release(Path(__file__).resolve().parents[1], figures, half=True), __doc__)

if __name__ == "__main__":
    app()
