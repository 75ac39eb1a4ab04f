"""Put trained weights into the bundle, and write their manifest and the model card's table.

python -m bundles.head_ct_hemorrhage.scripts.release install var/train/head_ct_hemorrhage/best.pt
python -m monai.bundle run --config_file bundles/head_ct_hemorrhage/configs/evaluate.yaml --fit_calibration true
python -m bundles.head_ct_hemorrhage.scripts.release describe --data "phantom: …" --command "…"
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundles.common.manifest import Metric
from bundles.common.metrics.lesion_words import figure_ends, lesion_figures
from bundles.common.release import Release, release_app

LABELS = {
    "hemorrhage": "Hemorrhage in the volume",
    "types_mean": "Types, mean of five",
    "subarachnoid": "Subarachnoid",
    "subdural": "Subdural",
    "epidural": "Epidural",
    "intraventricular": "Intraventricular",
    "intraparenchymal": "Intraparenchymal",
    "slices": "Hemorrhage in a slice",
    "bright_pixel_baseline": "Baseline: bright-pixel threshold, volume",
}
FIELDS = ("value", "low", "high", "positives", "negatives")


def figures(report: Mapping[str, Any]) -> dict[str, Metric]:
    """Areas, the service's operating point, bleeds found by size, and Dice."""
    metrics = {
        name: Metric(label=label, **{field: report[name][field] for field in FIELDS}) for name, label in LABELS.items()
    }
    counts = {field: report["hemorrhage"][field] for field in ("positives", "negatives")}
    for measure in ("sensitivity", "specificity"):
        if point := report.get("operating_point"):
            figure = figure_ends(point[measure])
            metrics[measure] = Metric(label=LABELS["hemorrhage"], **figure, **counts, measure=measure)
    return {**metrics, **(lesion_figures(report["lesions"], "bleeds") if "lesions" in report else {})}


app = release_app(Release(Path(__file__).resolve().parents[1], figures), __doc__)

if __name__ == "__main__":
    app()
