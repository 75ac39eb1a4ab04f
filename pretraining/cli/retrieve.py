"""`python -m pretraining retrieve`: whether an encoder knows unseen images again, beside random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def retrieve(
    store: Annotated[Path, typer.Argument(help="Store (python -m pretraining shard)")],
    weights: Annotated[list[Path], typer.Argument(help="Exported encoders, NAME.pt with NAME.json")],
    *,
    split: Annotated[str, typer.Option(help="Which patients: train, validate or test")] = "test",
    area: Annotated[tuple[float, float], typer.Option(help="Share of the image that a view shows")] = (0.15, 1.0),
    rotation: Annotated[float, typer.Option(help="Largest angle in the image plane, degrees", min=0)] = 15.0,
    random_seeds: Annotated[int, typer.Option(help="Random networks to compare with, one a seed", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Of the views")] = 0,
) -> None:
    """Cut two random views out of every image; how often is a view's own other half the nearest of all?"""
    import torch

    from bundles.common.encoder_weights import load_encoder, read_encoder_manifest
    from bundles.common.strict import ConfigurationError
    from pretraining.backbones import make_encoder
    from pretraining.data.errors import ArchiveError
    from pretraining.data.store import ImageStore
    from pretraining.probe import random_encoder
    from pretraining.probe_report import RANDOM
    from pretraining.retrieval import retrieve as find
    from pretraining.views.geometry import Geometry
    from pretraining.views.pipeline import CropSpec, ViewPipeline
    from pretraining.views.windows import Share

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        images = ImageStore(store, split)
        typer.echo(
            "| Encoder | Own view first | 95 % interval | Median rank | Images | Chance |\n|---|---|---|---|---|---|"
        )
        for path in weights:
            manifest = read_encoder_manifest(path)
            views = ViewPipeline([CropSpec(2, manifest.image_size, Share(area))], Geometry(rotation_deg=(rotation,)))
            trained = make_encoder(manifest.backbone)
            load_encoder(trained, path).require_complete()
            named = {f"{manifest.objective} ({path.stem})": trained}
            for number in range(random_seeds):
                named[f"{RANDOM}, {manifest.backbone}, seed {number}"] = random_encoder(manifest.backbone, number)
            for name, encoder in named.items():
                found = find(encoder.to(device), images, views, seed=seed)
                interval = f"{found.first.low:.3f} to {found.first.high:.3f}"
                typer.echo(
                    f"| {name} | {found.first.value:.3f} | {interval} | {found.median_rank:g} | {found.images} "
                    f"| {found.chance:.3f} |"
                )
    except (ArchiveError, ConfigurationError, ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
