"""Put trained weights into the bundle, and write their manifest and the model card's table.

python -m bundles.head_ct_hemorrhage.scripts.release install var/train/head_ct_hemorrhage/best.pt
python -m monai.bundle run --config_file bundles/head_ct_hemorrhage/configs/evaluate.yaml --fit_calibration true
python -m bundles.head_ct_hemorrhage.scripts.release describe --data "phantom: …" --command "…"

Where the segmentation head alone was trained (`--train_only segmentation`) every other answer is what it was, and so
are calibration and figures. `extend` checks that, and adds the figures of the outlines to those of the parent:

python -m bundles.head_ct_hemorrhage.scripts.release extend PARENT.pt --data "; segmentation head on …" --command "…"
"""

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from bundles.common.calibration import CALIBRATION, read_calibration, write_calibration
from bundles.common.encoder_weights import read_state
from bundles.common.manifest import WEIGHTS, Metric, load_manifest, sha256_of, write_manifest
from bundles.common.metrics.lesion_words import figure_ends, lesion_figures
from bundles.common.release import CARD, Release, release_app, write_card
from bundles.common.strict import read_mapping

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
BUNDLE = Path(__file__).resolve().parents[1]
HEAD = "segmentation."


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
    return {**metrics, **outline_figures(report)}


def outline_figures(report: Mapping[str, Any]) -> dict[str, Metric]:
    """Bleeds found by size, and Dice; nothing of an evaluation without outlines."""
    return lesion_figures(report["lesions"], "bleeds") if "lesions" in report else {}


def changed_beside_the_head(weights: Path, parent: Path) -> list[str]:
    """Names of tensors outside of the segmentation head that are not, bit by bit, those of the parent."""
    new, old = read_state(weights), read_state(parent)
    names = {name for name in (*new, *old) if not name.startswith(HEAD)}
    return sorted(name for name in names if name not in new or name not in old or not torch.equal(new[name], old[name]))


app = release_app(Release(BUNDLE, figures), __doc__)


@app.command()
def extend(
    parent: Annotated[Path, typer.Argument(help="The weights that models/manifest.json still describes")],
    *,
    data: Annotated[str, typer.Option(help="Appended to the parent's training data")],
    command: Annotated[str, typer.Option(help="What makes these weights again")],
    commit: Annotated[str, typer.Option(help="Of the code that trained")],
    evaluation: Annotated[Path, typer.Option(help="Written by configs/evaluate.yaml from models/model.pt")] = Path(
        "var/evaluate/head_ct_hemorrhage/evaluation.json"
    ),
    bundle: Annotated[Path, typer.Option(help="Folder of the bundle, or of a copy of it")] = BUNDLE,
) -> None:
    """Write the manifest of weights of which the segmentation head alone is new; all other figures are the parent's."""
    report = json.loads(evaluation.read_text(encoding="utf-8"))
    manifest, sha256 = load_manifest(bundle), sha256_of(bundle / WEIGHTS)
    if report["weights_sha256"] != sha256:
        raise typer.BadParameter(f"{evaluation} measured other weights than {bundle / WEIGHTS}; evaluate these")
    if sha256_of(parent) != manifest.sha256:
        raise typer.BadParameter(f"{parent} is not what {bundle}/models/manifest.json describes")
    if changed := changed_beside_the_head(bundle / WEIGHTS, parent):
        raise typer.BadParameter(f"not the head alone is new: {', '.join(changed[:3])} differ; use describe")
    extended = manifest.model_copy(
        update={
            "sha256": sha256,
            "parent_weights": manifest.sha256,
            "training_data": manifest.training_data + data,
            "command": command,
            "commit": commit,
            "trained": dt.datetime.now(tz=dt.UTC).date().isoformat(),
            "metrics": {**manifest.metrics, **outline_figures(report)},
        }
    )
    fitted = read_mapping(bundle / CALIBRATION)
    scale, cases = read_calibration(str(bundle)), int(fitted["validation_cases"])
    write_calibration(
        bundle, scale, cases, data=manifest.training_data.partition(":")[0], weights=str(bundle / WEIGHTS)
    )
    write_card(bundle / CARD, extended, evaluation.parent)
    write_manifest(bundle, extended)


if __name__ == "__main__":
    app()
