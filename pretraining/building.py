"""What a bundle's configuration builds and cannot say in one line of YAML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import distributed as dist
from torch import nn

from bundles.common.encoder_weights import load_encoder
from bundles.common.running import flag  # noqa: F401  # called by configurations
from pretraining import checkpoint
from pretraining.backbones import make_encoder
from pretraining.data.store import ImageStore, collate
from pretraining.objectives.distributed import rank, world_size
from pretraining.objectives.objective import Objective
from pretraining.objectives.supervised import MultiLabelHead, SupervisedHead
from pretraining.views.energy import EnergyReference
from pretraining.views.pipeline import CropSpec, ViewPipeline

REFERENCE_BATCH = 16


def spatial(size: int | Sequence[int], dimensions: int) -> tuple[int, ...]:
    """A size in pixels as (rows, columns) or (depth, rows, columns); one number counts for every axis.

    Raises:
        ValueError: Another number of axes, or a size below 1.
    """
    sides = (int(size),) * dimensions if isinstance(size, int) else tuple(int(side) for side in size)
    if len(sides) != dimensions or min(sides) < 1:
        raise ValueError(f"a size of {dimensions} axes was expected, each 1 or more, not {size}")
    return sides


def encoder(backbone: str, initial: str | None = None) -> nn.Module:
    """A new encoder, filled with exported weights where a file is given.

    Raises:
        ConfigurationError: The weights are of another backbone.
    """
    network = make_encoder(backbone)
    if initial is not None:
        load_encoder(network, Path(initial)).require_complete()
    return network


def seeded_encoder(backbone: str, weights: str | None, seed: int) -> nn.Module:
    """An encoder to look at: exported weights where a file is given, else the random weights of a seed.

    Raises:
        ConfigurationError: The weights are of another backbone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return encoder(backbone, weights)


def on_device(objective: Objective, device: torch.device | str, *, compiled: bool = False) -> Objective:
    """The objective on its device; with ``compiled`` its networks are compiled in place, names of tensors unchanged."""
    objective.to(device)
    if compiled:
        for name, part in objective.named_modules():
            if name.rpartition(".")[2] in {"encoder", "key_encoder"}:
                part.compile()
    return objective


def finding_heads(labels: Sequence[str], features: int) -> dict[str, SupervisedHead]:
    """A head for each label that says yes or no, on the encoder's output (seed 001, Eq. 5).

    Raises:
        ValueError: No label.
    """
    if not labels:
        raise ValueError(
            "hybrid training needs labels of some images: --labels CSV --label_key COLUMN --label_names \"['finding']\""
        )
    return {name: MultiLabelHead(features, 1) for name in labels}


def energy_reference(
    path: Path | str, store: ImageStore, views: ViewPipeline, *, images: int = 1000, seed: int = 0
) -> EnergyReference:
    """Energies of reference images of the archive (seed 001, section 3.3: R = 1000), fitted once and kept as JSON.

    They are measured on crops as the network sees them, before any change of intensity, because the size of a pixel
    decides what a band is. With several processes the first one measures.

    Args:
        path: Of the JSON file; read where a checkpoint lies beside it, which was trained with it.
        store: The training images.
        views: Whose first kind of crop is measured.
        images: R; all where there are fewer.
        seed: Chooses images and crops.
    """
    path = Path(path)
    trained = (path.parent / checkpoint.NAME).is_file()
    if rank() == 0 and not (trained and path.is_file()):
        path.parent.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator().manual_seed(seed)
        first = views.specs[0]
        plain = ViewPipeline([CropSpec(1, first.size, first.scale)], views.geometry)
        chosen = torch.randperm(len(store), generator=generator)[:images].tolist()
        parts = [chosen[start : start + REFERENCE_BATCH] for start in range(0, len(chosen), REFERENCE_BATCH)]
        crops = (
            crop for part in parts for crop in plain(collate([store[index] for index in part]), generator).crops[0]
        )
        EnergyReference.fit(crops).save(path)
    if world_size() > 1:
        dist.barrier()
    return EnergyReference.load(path)
