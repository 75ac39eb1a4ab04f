"""`python -m pretraining export`: the encoder of a training checkpoint, with its manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of a training")],
    target: Annotated[Path, typer.Argument(help="File to write, NAME.pt; NAME.json beside it is the manifest")],
    *,
    run: Annotated[
        Path | None, typer.Option(help="run.json of the training; default: the one beside the checkpoint, if any")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="resnet18, resnet50, …, dense3d")] = None,
    objective: Annotated[str | None, typer.Option(help="SimCLR, MoCo v2, SwAV, …")] = None,
    image_size: Annotated[str | None, typer.Option(help="Of the largest crop: 224x224")] = None,
    value_range: Annotated[str | None, typer.Option(help="Which stored values became 0 and 1, in words")] = None,
    data: Annotated[str | None, typer.Option(help="Training images by name; 'phantom: …' without patients")] = None,
    epochs: Annotated[int | None, typer.Option(help="Trained")] = None,
    steps: Annotated[int | None, typer.Option(help="Trained; default: what the checkpoint says")] = None,
    part: Annotated[str, typer.Option(help="Where the objective lies in the checkpoint; '' if it is all there is")] = (
        "objective"
    ),
    prefix: Annotated[str, typer.Option(help="Of the encoder's tensors")] = "encoder.",
) -> None:
    """Write the encoder of a checkpoint as a plain state dict, with a manifest that says where it comes from."""
    from bundles.common.encoder_weights import read_plain
    from bundles.common.strict import ConfigurationError
    from pretraining.export import encoder_of_checkpoint, export_encoder, training_of

    given = {
        "backbone": backbone,
        "objective": objective,
        "image_size": None if image_size is None else list(sides(image_size)),
        "value_range": value_range,
        "data": data,
        "epochs": epochs,
        "steps": steps,
    }
    try:
        content = read_plain(checkpoint)
        values = _run(run or checkpoint.with_name("run.json"), required=run is not None)
        if isinstance(content, dict) and isinstance(content.get("step"), int):
            values.setdefault("steps", content["step"])
        values |= {name: value for name, value in given.items() if value is not None}
        training = training_of(values, f"{checkpoint} (options and run.json)")
        encoder = encoder_of_checkpoint(checkpoint, part, training.backbone, prefix)
        manifest = export_encoder(encoder, target, training)
    except (ConfigurationError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{target}: {manifest.backbone}, {manifest.features} features, sha256 {manifest.sha256[:12]}…")
    typer.echo(f"A detector takes it with one line of its train.yaml: encoder_weights: {target}")


def sides(text: str) -> tuple[int, ...]:
    """`224x224` or `96x112x112` as numbers.

    Raises:
        typer.BadParameter: Not two or three positive whole numbers with an x between them.
    """
    parts = text.lower().split("x")
    if len(parts) not in {2, 3} or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"'{text}'; write rows x columns as 224x224, or depth x rows x columns as 96x112x112")
    return tuple(int(part) for part in parts)


def _run(path: Path, *, required: bool) -> dict[str, Any]:
    from bundles.common.strict import ConfigurationError

    if not path.is_file():
        if required:
            raise ConfigurationError(f"{path}: no such file")
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{path}: no JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: expected a mapping")
    return values
