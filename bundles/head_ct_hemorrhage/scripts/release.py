"""Put trained weights into the bundle, and write their manifest and the model card's table.

python -m bundles.head_ct_hemorrhage.scripts.release install var/train/head_ct_hemorrhage/best.pt
python -m monai.bundle run --config_file bundles/head_ct_hemorrhage/configs/evaluate.yaml --fit_calibration true
python -m bundles.head_ct_hemorrhage.scripts.release describe --data "phantom: …" --command "…"
"""

import datetime as dt
import json
import subprocess
from pathlib import Path
from typing import Annotated

import torch
import typer

from bundles.common.manifest import (
    WEIGHTS,
    Manifest,
    Metric,
    metrics_table,
    replace_metrics,
    sha256_of,
    write_manifest,
)
from bundles.head_ct_hemorrhage.scripts.network import HemorrhageNet

BUNDLE = Path(__file__).resolve().parents[1]
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

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command()
def install(weights: Path) -> None:
    """Copy a state dict into models/model.pt, after loading it into the network."""
    state = torch.load(weights, map_location="cpu", weights_only=True)
    network = HemorrhageNet()
    network.load_state_dict(state)
    torch.save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, BUNDLE / WEIGHTS)
    typer.echo(f"{BUNDLE / WEIGHTS}: {(BUNDLE / WEIGHTS).stat().st_size / 1e6:.1f} MB")


@app.command()
def describe(
    data: Annotated[str, typer.Option(help="Training data by name; 'phantom: …' where no patient was involved")],
    command: Annotated[str, typer.Option(help="What makes these weights again")],
    evaluation: Annotated[Path, typer.Option(help="Written by configs/evaluate.yaml")] = Path(
        "var/evaluate/head_ct_hemorrhage/evaluation.json"
    ),
    commit: Annotated[str, typer.Option(help="Of the code that trained; default: the present one")] = "",
    parent: Annotated[str, typer.Option(help="sha256 of the weights that training started from")] = "",
) -> None:
    """Write models/manifest.json and the table of docs/README.md from an evaluation."""
    report = json.loads(evaluation.read_text(encoding="utf-8"))
    fields = ("value", "low", "high", "positives", "negatives")
    manifest = Manifest(
        sha256=sha256_of(BUNDLE / WEIGHTS),
        training_data=data,
        parent_weights=parent or None,
        commit=commit or _head(),
        command=command,
        trained=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        metrics={
            name: Metric(label=label, **{field: report[name][field] for field in fields})
            for name, label in LABELS.items()
        },
    )
    write_manifest(BUNDLE, manifest)
    card = BUNDLE / "docs" / "README.md"
    text = replace_metrics(card.read_text(encoding="utf-8"), metrics_table(manifest))
    card.write_text(text, encoding="utf-8")
    typer.echo(metrics_table(manifest))


def _head() -> str:
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=BUNDLE, capture_output=True, text=True, check=True)
    return asked.stdout.strip()


if __name__ == "__main__":
    app()
