"""Put trained weights into the bundle, and write their manifest and the model card's tables.

python -m bundles.radiograph_view.scripts.release install var/train/radiograph_view/best.pt
python -m monai.bundle run --config_file bundles/radiograph_view/configs/evaluate.yaml --datalist "['A.json','B.json']"
python -m bundles.radiograph_view.scripts.release describe --data "phantom: …" --command "…"
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundles.common.manifest import Metric
from bundles.common.release import Release, release_app


def figures(report: Mapping[str, Any]) -> dict[str, Metric]:
    """The AUC of each view against the others."""
    return {
        name: Metric(
            label=name.replace("_", " ").capitalize(),
            **{end: found["auroc"][end] for end in ("value", "low", "high")},
            positives=found["positives"],
            negatives=found["negatives"],
        )
        for name, found in report["views"].items()
    }


app = release_app(Release(Path(__file__).resolve().parents[1], figures), __doc__)

if __name__ == "__main__":
    app()
