"""Pieces of the training configuration that MONAI does not have: steps, seeds, batches, figures of an epoch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import structlog
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from torch import Tensor

from bundles.brain_metastasis.scripts.network import BrainMetastasisNet
from bundles.brain_metastasis.scripts.slices import CHANNELS
from bundles.common.metrics import area_under_roc
from bundles.common.metrics.handlers import gathered

log = structlog.get_logger()

FIGURES = ("score", "slices", "dice")


class Steps:
    """Which part an epoch trains: first the encoder-decoder, then the classifier on its masks, then both together.

    The paper trains in two steps, without joint epochs; without the first two, everything is trained jointly. A resumed
    run enters the step of its epoch.

    Args:
        network: To train.
        segmenter_epochs: So many epochs train the encoder-decoder alone.
        classifier_epochs: So many then train the classifier alone; the rest is joint.
    """

    def __init__(self, network: BrainMetastasisNet, segmenter_epochs: int = 0, classifier_epochs: int = 0) -> None:
        if min(segmenter_epochs, classifier_epochs) < 0:
            raise ValueError(f"expected 0 epochs or more, got {segmenter_epochs} and {classifier_epochs}")
        self.network, self.ends = network, (segmenter_epochs, segmenter_epochs + classifier_epochs)
        self._entered: str | None = None

    def attach(self, engine: Engine) -> None:
        """Decide at the start of each epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._enter)

    def step_of(self, epoch: int) -> str:
        """The step of an epoch, counted from 1."""
        if epoch <= self.ends[0]:
            return "segmenter"
        return "classifier" if epoch <= self.ends[1] else "joint"

    def _enter(self, engine: Engine) -> None:
        step = self.step_of(engine.state.epoch)
        if step != self._entered:
            self._entered = step
            self.network.train_only(step)
            trained = sum(each.numel() for each in self.network.parameters() if each.requires_grad)
            log.info("step_started", epoch=engine.state.epoch, trains=step, numbers=trained)


def prepare_batch(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """Heads of several slices each → a batch of slices (image, targets) on the device.

    Args:
        batch: `image` (heads, n · 5, rows, columns), `mask` (heads, n, rows, columns), `slices` (heads, n) and
            `mask_known` (heads, 1), as `slices.RandSlicesd` gives them.
        device: Where to.
        non_blocking: As in torch.

    Returns:
        Image (heads · n, 5, rows, columns); `mask` (heads · n, 1, rows, columns), `slices` and `mask_known`
        (heads · n, 1).
    """
    image, slices = batch["image"], batch["slices"]
    known = batch["mask_known"].expand(slices.shape)
    targets = {
        "mask": batch["mask"].flatten(0, 1)[:, None],
        "slices": slices.reshape(-1, 1),
        "mask_known": known.reshape(-1, 1),
    }
    moved = {name: value.to(device, non_blocking=non_blocking) for name, value in targets.items()}
    return image.reshape(-1, CHANNELS, *image.shape[2:]).to(device, non_blocking=non_blocking), moved


class EpochFigure(Metric):  # type: ignore[misc]
    """One figure over all slices of an epoch, gathered from all processes.

    Args:
        figure: `slices`, the area under the ROC curve of slices of known label; `dice`, of all voxels of known masks
            together, at a probability of 0.5; or `score`, their mean, by which the best epoch is chosen. Where one of
            them is not defined `score` is the other.

    Raises:
        ValueError: No such figure.
    """

    def __init__(self, figure: str = "score") -> None:
        if figure not in FIGURES:
            raise ValueError(f"{figure!r} is no figure; known are {', '.join(FIGURES)}")
        self.figure = figure
        super().__init__(output_transform=lambda output: (output["pred"], output["label"]))

    def reset(self) -> None:
        """Forget everything."""
        self._scores: list[Any] = []
        self._overlaps: list[tuple[float, float]] = []

    def update(self, output: tuple[Mapping[str, Tensor], Mapping[str, Tensor]]) -> None:
        """Take one batch: logits and targets."""
        logits, targets = output
        known = targets["mask_known"][:, :, None, None] > 0
        found, truth = (logits["mask"] > 0) & known, (targets["mask"] > 0) & known
        self._overlaps.append((2 * float((found & truth).sum()), float(found.sum() + truth.sum())))
        columns = (logits["slices"].detach().float().cpu(), targets["slices"].float().cpu())
        self._scores.append(torch.cat(columns, dim=1).numpy())

    def compute(self) -> float:
        """The figure; NaN where it is not defined."""
        figures = {"slices": self._area(), "dice": self._dice()}
        if self.figure != "score":
            return figures[self.figure]
        values = list(figures.values())
        return float("nan") if np.isnan(values).all() else float(np.nanmean(values))

    def _area(self) -> float:
        rows = gathered(self._scores)
        table = np.concatenate(rows) if rows else np.zeros((0, 2))
        table = table[~np.isnan(table[:, 1])]
        return area_under_roc(table[:, 0], table[:, 1] >= 0.5)

    def _dice(self) -> float:
        shared, both = np.sum(gathered(self._overlaps), axis=0) if gathered(self._overlaps) else (0.0, 0.0)
        return float(shared / both) if both else float("nan")
