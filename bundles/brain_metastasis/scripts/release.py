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
from bundles.common.radiograph.evaluation import SERVICE_POINT
from bundles.common.release import Release, release_app

PAPERS_POINT = "sensitivity 80 %"


def figures(report: Mapping[str, Any]) -> dict[str, Metric]:
    """Areas of slices and heads, precision at 80 % sensitivity, the service's point, lesions by size, and Dice."""
    metrics = {}
    for name, label in (("slices", SLICES), ("heads", HEADS)):
        found = report["classification"][label]
        counts = {each: found[each] for each in ("positives", "negatives")}
        metrics[name] = Metric(label=label.capitalize(), **_ends(found["auroc"]), **counts, measure=AREA)
        points = found["points"]
        if name == "slices" and (point := points.get(PAPERS_POINT)):
            ends = _ends(point["figures"]["precision"])
            metrics["precision"] = Metric(
                label=label.capitalize(), **ends, **counts, measure="precision at 80 % sensitivity"
            )
        if name == "heads" and (point := points.get(SERVICE_POINT)):
            for measure in ("sensitivity", "specificity"):
                ends = _ends(point["figures"][measure])
                metrics[measure] = Metric(label=label.capitalize(), **ends, **counts, measure=measure)
    return {**metrics, **_of_lesions(report["extra"]["lesions"])}


def _of_lesions(lesions: Mapping[str, Any]) -> dict[str, Metric]:
    metrics = {}
    for size in lesions["sizes"]:
        if size["lesions"]:
            end = "" if size["below_mm"] is None else f" to {size['below_mm']:g}"
            metrics[f"lesions_{size['from_mm']:g}"] = Metric(
                label=f"Metastases from {size['from_mm']:g}{end} mm",
                **_ends(size["sensitivity"]),
                positives=size["lesions"],
                negatives=0,
                measure="sensitivity",
            )
    if lesions["lesions"]:
        volumes = {"positives": lesions["lesions"], "negatives": 0}
        metrics["dice"] = Metric(label="Masks of metastases", **_ends(lesions["dice"]), **volumes, measure="mean Dice")
    return metrics


def _ends(figure: Mapping[str, Any]) -> dict[str, float]:
    return {name: figure[name] for name in ("value", "low", "high")}


app = release_app(Release(Path(__file__).resolve().parents[1], figures, half=True), __doc__)

if __name__ == "__main__":
    app()
