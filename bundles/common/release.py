"""Put trained weights into a bundle, and write their manifest and the figures of the model card.

Every bundle's `scripts/release.py` makes its commands here: `install`, `settings`, `describe`.
"""

import datetime as dt
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from monai.bundle import ConfigParser
from torch import Tensor, nn

from bundles.common.encoder_weights import read_state
from bundles.common.manifest import (
    WEIGHTS,
    Manifest,
    Metric,
    metrics_table,
    replace_marked,
    replace_metrics,
    sha256_of,
    write_manifest,
)
from bundles.common.metrics.writing import CARD as SECTION
from bundles.common.yaml_values import Place, set_values

LARGEST_MB = 25
LISTED_MB = 10
LARGE_FILES = Path("large_files.yml")
CARD = Path("docs/README.md")
CONFIGS = ("configs/inference.yaml", "configs/evaluate.yaml")
METADATA = Path("configs/metadata.json")
SHAPE: Place = ("network_data_format", "inputs", "image", "spatial_shape")
PICTURES = {
    "examples.png": "Examples beside the truth",
    "roc.png": "ROC curves with their 95 % bands",
    "froc.png": "Free-response curves of the boxes",
    "precision_recall.png": "Precision and recall",
    "reliability.png": "Reliability of the probabilities",
}
STATUS = "> Research software. It makes no clinical claim."
PHANTOM_STATUS = """\
> **Trained on phantoms.** Every weight in this bundle comes from computer-generated images. It is research software
> that shows a pipeline; it makes no clinical claim, and nothing here says how it would do on patients."""


@dataclass(frozen=True, slots=True)
class Release:
    """How one bundle is released.

    Attributes:
        bundle: Its folder.
        figures: From an evaluation's JSON to the manifest's figures by name.
        half: Whether weights are stored in half precision.
    """

    bundle: Path
    figures: Callable[[Mapping[str, Any]], Mapping[str, Metric]]
    half: bool = False


def release_app(release: Release, about: str | None) -> typer.Typer:
    """The commands of one bundle; `about` is their help."""
    app = typer.Typer(help=about, no_args_is_help=True)
    folder_option = typer.Option(help="Folder of the bundle, or of a copy of it")

    @app.command()
    def install(
        weights: Annotated[Path, typer.Argument(help="State dict, such as best.pt of a training")],
        bundle: Annotated[Path, folder_option] = release.bundle,
    ) -> None:
        """Write a state dict into models/model.pt, after loading it into the network of configs/inference.yaml."""
        megabytes = install_weights(weights, bundle, half=release.half)
        typer.echo(f"{bundle / WEIGHTS}: {megabytes:.1f} MB")
        if megabytes > LARGEST_MB:
            typer.echo(f"that is above the {LARGEST_MB} MB that the repository takes", err=True)
            raise typer.Exit(1)

    @app.command()
    def settings(
        values: Annotated[list[str], typer.Argument(help="As in training, such as size=384 backbone=resnet18")],
        bundle: Annotated[Path, folder_option] = release.bundle,
    ) -> None:
        """Set what evaluation and inference must have as in training; `size` in the metadata too."""
        write_settings(bundle, values)

    @app.command()
    def describe(
        *,
        data: Annotated[str, typer.Option(help="Training data by name; 'phantom: …' where no patient was involved")],
        command: Annotated[str, typer.Option(help="What makes these weights again")],
        evaluation: Annotated[
            Path, typer.Option(help="Written by configs/evaluate.yaml from models/model.pt; pictures lie beside it")
        ] = Path("var/evaluate") / release.bundle.name / "evaluation.json",
        commit: Annotated[str, typer.Option(help="Of the code that trained; default: the present one")] = "",
        parent: Annotated[str, typer.Option(help="sha256 of the weights that training started from")] = "",
        bundle: Annotated[Path, folder_option] = release.bundle,
    ) -> None:
        """Write models/manifest.json and the figures of docs/README.md from an evaluation of these very weights."""
        report = json.loads(evaluation.read_text(encoding="utf-8"))
        sha256 = sha256_of(bundle / WEIGHTS)
        if report["weights_sha256"] != sha256:
            raise typer.BadParameter(f"{evaluation} measured other weights than {bundle / WEIGHTS}; evaluate these")
        manifest = Manifest(
            sha256=sha256,
            training_data=data,
            parent_weights=parent or None,
            commit=commit or _head(),
            command=command,
            trained=dt.datetime.now(tz=dt.UTC).date().isoformat(),
            metrics=dict(release.figures(report)),
        )
        write_card(bundle / CARD, manifest, evaluation.parent)
        write_manifest(bundle, manifest)
        typer.echo(metrics_table(manifest))

    return app


def install_weights(weights: Path, bundle: Path, *, half: bool) -> float:
    """Write a state dict into `models/model.pt`, and into `large_files.yml` if it is large; return its megabytes.

    Raises:
        typer.BadParameter: A weight is not finite in half precision.
        RuntimeError: The state does not fit the network.
    """
    parser = ConfigParser()
    parser.read_config(str(bundle / CONFIGS[0]))
    network: nn.Module = parser.get_parsed_content("network_def")
    network.load_state_dict(read_state(weights))
    state = {name: _stored(value, half=half) for name, value in network.state_dict().items()}
    broken = [name for name, value in state.items() if not torch.isfinite(value.float()).all()]
    if broken:
        precision = " in half precision" if half else ""
        raise typer.BadParameter(f"{weights}: {', '.join(broken[:3])} is not finite{precision}")
    path = bundle / WEIGHTS
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    megabytes = path.stat().st_size / 1e6
    listed = bundle / LARGE_FILES
    listed.unlink(missing_ok=True)
    if megabytes > LISTED_MB:
        listed.write_text(
            "# Large files of this bundle. They lie in the repository; nothing is downloaded.\n"
            f"large_files:\n- path: {WEIGHTS}\n  hash_type: sha256\n  hash_val: {sha256_of(path)}\n",
            encoding="utf-8",
        )
    return megabytes


def write_settings(bundle: Path, values: list[str]) -> None:
    """Set values at the top of the configurations of evaluation and inference, comments kept.

    Args:
        bundle: Folder.
        values: `name=value`; `size` also sets the metadata's shape, if the metadata are there.

    Raises:
        typer.BadParameter: Not of that form.
        ValueError: A configuration has no such value.
    """
    pairs = [value.partition("=") for value in values]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise typer.BadParameter(f"expected NAME=VALUE, got '{name}{sign}{value}'")
    for config in CONFIGS:
        set_values(bundle / config, {(name,): value for name, _, value in pairs})
    sizes = [value for name, _, value in pairs if name == "size"]
    if sizes and (bundle / METADATA).is_file():
        set_values(bundle / METADATA, {(*SHAPE, axis): sizes[-1] for axis in (0, 1)})


def write_card(card: Path, manifest: Manifest, folder: Path) -> None:
    """Put the manifest's table into a model card, and, where it has the marks, an evaluation's section and pictures.

    Args:
        card: `docs/README.md`; pictures go beside it.
        manifest: Of the weights.
        folder: What `write_evaluation` wrote.
    """
    text = replace_metrics(card.read_text(encoding="utf-8"), metrics_table(manifest))
    if "<!-- status -->" in text:
        drawn_data = manifest.training_data.lower().startswith("phantom")
        text = replace_marked(text, "status", PHANTOM_STATUS if drawn_data else STATUS)
    if "<!-- evaluation -->" in text:
        section = (folder / SECTION).read_text(encoding="utf-8").strip()
        drawn = [name for name in PICTURES if (folder / name).is_file()]
        for name in drawn:
            shutil.copyfile(folder / name, card.parent / name)
        shown = "\n\n".join([section, *(f"![{PICTURES[name]}]({name})" for name in drawn)])
        text = replace_marked(text, "evaluation", shown)
    card.write_text(text, encoding="utf-8")


def _stored(value: Tensor, *, half: bool) -> Tensor:
    # Plain rows: how a training laid out its memory is no matter of the file.
    value = value.detach().to(memory_format=torch.contiguous_format).contiguous()
    return value.half() if half and value.is_floating_point() else value


def _head() -> str:
    here = Path(__file__).resolve().parent
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
    return asked.stdout.strip()
