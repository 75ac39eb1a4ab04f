"""Ask released weights about folders of radiographs of known view, and print what each was taken for.

python -m bundles.radiograph_view.scripts.look "frontal chest=FOLDER" "wrist=FOLDER" "hip=FILE"
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from monai.bundle import ConfigParser

from bundles.common.checkpoints import load_weights
from bundles.common.manifest import WEIGHTS
from bundles.common.radiograph.running import find_images
from bundles.common.views import load_view_contract
from bundles.radiograph_view.scripts.evaluation import Told, confusion, run_over, said, table

BUNDLE = Path(__file__).resolve().parents[1]


def main(
    sources: Annotated[list[str], typer.Argument(help="NAME=FOLDER or NAME=FILE, for every kind one")],
    weights: Annotated[Path | None, typer.Option(help="Default: the bundle's own")] = None,
    bundle: Annotated[Path, typer.Option(help="Folder of the bundle")] = BUNDLE,
    each: Annotated[bool, typer.Option(help="Also print a line for every image")] = False,
) -> None:
    """Print a confusion of real images: rows are the names that were given, columns what was said."""
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs/inference.yaml"))
    network, preprocessing, inferer, postprocessing = (
        parser.get_parsed_content(name) for name in ("network_def", "preprocessing", "inferer", "postprocessing")
    )
    load_weights(network, str(weights or bundle / WEIGHTS))
    told: list[Told] = []
    for source in sources:
        name, _, place = source.partition("=")
        if not place:
            raise typer.BadParameter(f"expected NAME=FOLDER, got '{source}'")
        from monai.data import Dataset

        items = [{**item, "patient": item["name"], "kind": name, "label": 0} for item in find_images(place)]
        told += run_over(network, inferer, Dataset(items, preprocessing), postprocessing, torch.device("cpu"))
    least = load_view_contract(bundle).least_certainty
    if each:
        for one in told:
            shown = " ".join(f"{value:.3f}" for value in one.probabilities)
            typer.echo(f"{one.truth}\t{one.name}\t{said(one.probabilities, least)}\t{shown}")
    typer.echo(table(confusion(told, least)))


if __name__ == "__main__":
    typer.run(main)
