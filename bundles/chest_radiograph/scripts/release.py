"""Put trained weights into the bundle, and write their manifest and the model card's figures.

E="python -m monai.bundle run --config_file bundles/chest_radiograph/configs/evaluate.yaml"
python -m bundles.chest_radiograph.scripts.release install var/train/chest_radiograph/best.pt
$E --dataset_dir FOLDER --fit_calibration true
$E --dataset_dir FOLDER_OF_OTHER_PATIENTS
python -m bundles.chest_radiograph.scripts.release describe --data "phantom: …" --command "…"
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundles.chest_radiograph.scripts.network import CLASSES
from bundles.common.manifest import AREA, Metric
from bundles.common.release import Release, release_app


def figures(report: Mapping[str, Any]) -> dict[str, Metric]:
    """For each class the area of the image's probability, and fROC average and average precision of its boxes.

    What is not defined, because nothing or everything shows the finding, is left out.
    """
    metrics: dict[str, Metric] = {}
    for name in CLASSES:
        found = report["classification"][name]
        counts = {key: found[key] for key in ("positives", "negatives")}
        _add(metrics, f"{name}_auc", f"{name.capitalize()} in the image", found["auroc"], counts, AREA)
    for name in CLASSES:
        if name not in report["detection"]:
            continue
        boxes, images = report["detection"][name], report["extra"]["boxed_images"][name]
        counts = {"positives": images["with"], "negatives": images["without"]}
        label = f"{name.capitalize()}, boxes"
        _add(metrics, f"{name}_froc", label, boxes["froc_average"], counts, "fROC average")
        _add(metrics, f"{name}_ap", label, boxes["average_precision"], counts, "average precision")
    return metrics


def _add(  # noqa: PLR0917
    metrics: dict[str, Metric], key: str, label: str, figure: Mapping[str, Any], counts: Mapping[str, int], measure: str
) -> None:
    ends = {name: figure[name] for name in ("value", "low", "high")}
    if None not in ends.values():
        metrics[key] = Metric(label=label, **ends, **counts, measure=measure)


app = release_app(Release(Path(__file__).resolve().parents[1], figures, half=True), __doc__)

if __name__ == "__main__":
    app()
