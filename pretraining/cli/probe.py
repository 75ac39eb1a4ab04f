"""`python -m pretraining probe`: what an encoder knows about a label, beside random weights and the metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pretraining.cli.export import sides


def probe(
    store: Annotated[Path, typer.Argument(help="Store with labels (python -m pretraining shard)")],
    label: Annotated[str, typer.Argument(help="Label to ask for, 0 or 1")],
    weights: Annotated[list[Path], typer.Argument(help="Exported encoders, NAME.pt with NAME.json")],
    *,
    size: Annotated[str | None, typer.Option(help="Of the view: 224x224; default: as each encoder was trained")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="Labels to probe alone, as a baseline")] = None,
    within: Annotated[list[str] | None, typer.Option(help="Labels by whose values to measure apart as well")] = None,
    replicates: Annotated[int, typer.Option(help="Of the bootstrap over patients", min=1)] = 1000,
    random_seeds: Annotated[int, typer.Option(help="Random networks to compare with, one a seed", min=1)] = 1,
    output: Annotated[
        Path | None,
        typer.Option(help="Write the table (Markdown) here, .json and a picture (.png) beside it"),
    ] = None,
    title: Annotated[str, typer.Option(help="Above the picture")] = "",
) -> None:
    """Measure AUROC of nearest neighbours and a linear probe on the store's test patients, with baselines."""
    import torch

    from bundles.common.encoder_weights import load_encoder, read_encoder_manifest
    from bundles.common.strict import ConfigurationError
    from pretraining.backbones import make_encoder
    from pretraining.data.errors import ArchiveError
    from pretraining.evaluation import Question
    from pretraining.probe import ProbeResult, random_encoder
    from pretraining.probe_report import RANDOM, results_table, write_results

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    results: list[ProbeResult] = []
    bare_results: list[ProbeResult] = []
    baselines: set[tuple[str, tuple[int, ...]]] = set()
    try:
        for path in weights:
            manifest = read_encoder_manifest(path)
            view = sides(size) if size else manifest.image_size
            question = Question(store, label, view, tuple(within or ()), replicates)
            encoder = make_encoder(manifest.backbone)
            load_encoder(encoder, path).require_complete()
            results += question.probe_encoder(f"{manifest.objective} ({path.stem})", encoder.to(device))
            if (manifest.backbone, view) not in baselines:
                baselines.add((manifest.backbone, view))
                for seed in range(random_seeds):
                    bare = random_encoder(manifest.backbone, seed).to(device)
                    bare_results += question.probe_encoder(f"{RANDOM}, {manifest.backbone}, seed {seed}", bare)
        results += bare_results
        if metadata:
            results += Question(store, label, (1, 1), tuple(within or ()), replicates).probe_metadata(metadata)
    except (ArchiveError, ConfigurationError, ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    table = results_table(results)
    typer.echo(table)
    if output is not None:
        write_results(output, results, title)
