"""Put trained weights into the bundle, and write their manifest and the model card's figures.

E="python -m monai.bundle run --config_file bundles/brain_metastasis/configs/evaluate.yaml"
python -m bundles.brain_metastasis.scripts.release install var/train/brain_metastasis/best.pt
$E --dataset_dir FOLDER --fit_calibration true
$E --dataset_dir FOLDER_OF_OTHER_PATIENTS
python -m bundles.brain_metastasis.scripts.release describe --data "phantom: …" --command "…"
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundles.brain_metastasis.scripts.evaluation import HEADS, SLICES
from bundles.common.manifest import AREA, Metric
from bundles.common.metrics.lesion_words import figure_ends, lesion_figures
from bundles.common.radiograph.evaluation import SERVICE_POINT
from bundles.common.release import Release, release_app

PAPERS_POINT = "sensitivity 80 %"


def figures(report: Mapping[str, Any]) -> dict[str, Metric]:
    """Areas of slices and heads, precision at 80 % sensitivity, the service's point, lesions by size, and Dice."""
    metrics = {}
    for name, label in (("slices", SLICES), ("heads", HEADS)):
        found = report["classification"][label]
        counts = {each: found[each] for each in ("positives", "negatives")}
        metrics[name] = Metric(label=label.capitalize(), **figure_ends(found["auroc"]), **counts, measure=AREA)
        points = found["points"]
        if name == "slices" and (point := points.get(PAPERS_POINT)):
            ends = figure_ends(point["figures"]["precision"])
            metrics["precision"] = Metric(
                label=label.capitalize(), **ends, **counts, measure="precision at 80 % sensitivity"
            )
        if name == "heads" and (point := points.get(SERVICE_POINT)):
            for measure in ("sensitivity", "specificity"):
                ends = figure_ends(point["figures"][measure])
                metrics[measure] = Metric(label=label.capitalize(), **ends, **counts, measure=measure)
    return {**metrics, **lesion_figures(report["extra"]["lesions"])}


app = release_app(Release(Path(__file__).resolve().parents[1], figures, half=True), __doc__)

if __name__ == "__main__":
    app()
