"""Put trained weights into the bundle, and write their manifest and the model card's figures.

E="python -m monai.bundle run --config_file bundles/wrist_fracture/configs/evaluate.yaml"
python -m bundles.wrist_fracture.scripts.release install var/train/wrist_fracture/best.pt
$E --dataset_dir FOLDER --fit_calibration true
$E --dataset_dir FOLDER_OF_OTHER_PATIENTS
python -m bundles.wrist_fracture.scripts.release describe --data "phantom: …" --command "…"
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundles.common.manifest import AREA, Metric
from bundles.common.radiograph.evaluation import SERVICE_POINT
from bundles.common.release import Release, release_app
from bundles.wrist_fracture.scripts.network import FINDING

LABEL = "Fracture in the image"
AT_POINT = ("sensitivity", "specificity", "accuracy")


def figures(report: Mapping[str, Any]) -> dict[str, Metric]:
    """AUROC, what the service's operating point gives, and how often Grad-CAM points right."""
    found = report["classification"][FINDING]
    counts = {name: found[name] for name in ("positives", "negatives")}
    metrics = {FINDING: Metric(label=LABEL, **_ends(found["auroc"]), **counts, measure=AREA)}
    if point := found["points"].get(SERVICE_POINT):
        for name in AT_POINT:
            metrics[name] = Metric(label=LABEL, **_ends(point["figures"][name]), **counts, measure=name)
    if pointing := report["extra"].get("grad_cam"):
        metrics["grad_cam"] = Metric(
            label="Grad-CAM, hottest point in a true box",
            **_ends(pointing),
            positives=pointing["images_with_boxes"],
            negatives=0,
            measure="share",
        )
    return metrics


def _ends(figure: Mapping[str, Any]) -> dict[str, float]:
    return {name: figure[name] for name in ("value", "low", "high")}


app = release_app(Release(Path(__file__).resolve().parents[1], figures, half=True), __doc__)

if __name__ == "__main__":
    app()
