"""Put trained weights into the bundle, and write their manifest and the model card's table.

python -m bundles.wrist_fracture.scripts.release install var/train/wrist_fracture/best.pt
python -m monai.bundle run --config_file bundles/wrist_fracture/configs/evaluate.yaml --datalist FILE --image_dir FOLDER
python -m bundles.wrist_fracture.scripts.release describe --data "phantom: …" --command "…"
"""

import datetime as dt
import json
import subprocess
from pathlib import Path
from typing import Annotated

import torch
import typer

from bundles.common.encoder_weights import read_state
from bundles.common.manifest import (
    WEIGHTS,
    Manifest,
    Metric,
    metrics_table,
    replace_metrics,
    sha256_of,
    write_manifest,
)
from bundles.wrist_fracture.scripts.network import FINDING, WristFractureNet

BUNDLE = Path(__file__).resolve().parents[1]
LARGEST_MB = 25
LABEL = "Fracture in the image"

app = typer.Typer(help=__doc__, no_args_is_help=True)
Folder = Annotated[Path, typer.Option(help="Folder of the bundle")]


@app.command()
def install(
    weights: Annotated[Path, typer.Argument(help="State dict, such as best.pt of a training")],
    backbone: Annotated[str, typer.Option(help="As in training")] = "resnet18",
    bundle: Folder = BUNDLE,
) -> None:
    """Write a state dict into models/model.pt in half precision, after loading it into the network."""
    network = WristFractureNet(backbone)
    network.load_state_dict(read_state(weights))
    state = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
    broken = [name for name, value in state.items() if not torch.isfinite(value.float()).all()]
    if broken:
        raise typer.BadParameter(f"{weights}: {', '.join(broken[:3])} is not finite in half precision")
    path = bundle / WEIGHTS
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({name: value.contiguous() for name, value in state.items()}, path)
    megabytes = path.stat().st_size / 1e6
    typer.echo(f"{path}: {megabytes:.1f} MB")
    if megabytes > LARGEST_MB:
        typer.echo(f"that is above the {LARGEST_MB} MB that the repository takes", err=True)
        raise typer.Exit(1)


@app.command()
def describe(
    *,
    data: Annotated[str, typer.Option(help="Training data by name; 'phantom: …' where no patient was involved")],
    command: Annotated[str, typer.Option(help="What makes these weights again")],
    evaluation: Annotated[Path, typer.Option(help="Written by configs/evaluate.yaml from models/model.pt")] = Path(
        "var/evaluate/wrist_fracture/evaluation.json"
    ),
    commit: Annotated[str, typer.Option(help="Of the code that trained; default: the present one")] = "",
    parent: Annotated[str, typer.Option(help="sha256 of the weights that training started from")] = "",
    bundle: Folder = BUNDLE,
) -> None:
    """Write models/manifest.json and the table of docs/README.md from an evaluation of these very weights."""
    report = json.loads(evaluation.read_text(encoding="utf-8"))
    sha256 = sha256_of(bundle / WEIGHTS)
    if report["weights_sha256"] != sha256:
        raise typer.BadParameter(f"{evaluation} measured other weights than {bundle / WEIGHTS}; evaluate these")
    found = report["classification"][FINDING]
    counts = {name: found[name] for name in ("positives", "negatives")}
    area = {name: found["auroc"][name] for name in ("value", "low", "high")}
    manifest = Manifest(
        sha256=sha256,
        training_data=data,
        parent_weights=parent or None,
        commit=commit or _head(),
        command=command,
        trained=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        metrics={FINDING: Metric(label=LABEL, **area, **counts)},
    )
    card = bundle / "docs" / "README.md"
    text = replace_metrics(card.read_text(encoding="utf-8"), metrics_table(manifest))
    write_manifest(bundle, manifest)
    card.write_text(text, encoding="utf-8")
    typer.echo(metrics_table(manifest))


def _head() -> str:
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=BUNDLE, capture_output=True, text=True, check=True)
    return asked.stdout.strip()


if __name__ == "__main__":
    app()
