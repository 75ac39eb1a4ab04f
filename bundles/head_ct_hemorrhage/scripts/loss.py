"""The loss over all tasks, for data sets that are labelled in part."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from bundles.common.mask_loss import dice_loss, focal_loss

TASKS = ("hemorrhage", "types", "slices")


AUXILIARY = ("types", "slices", "segmentation")
BLOOD = 0.5
"""Share of a cell from which it counts as blood."""


class MultiTaskLoss(nn.Module):
    """Weighted sum of binary cross-entropies, and of Dice and focal loss of the mask; what is unknown is left out.

    Each label task's term is the mean over its known labels (not NaN) in the batch. A task without any known label adds
    zero (not NaN), and the gradient to its head is zero.

    Args:
        hemorrhage: Weight of the main task.
        types: Weight of the five types.
        slices: Weight of presence in every slice.
        segmentation: Weight of the mask.
        auxiliary: Which of `AUXILIARY` are trained; the others' weight is 0 whatever is given. None trains all.
        only: The one task that is trained, as `HemorrhageNet.train_only` has it; None trains as the others say.

    Raises:
        ValueError: No such auxiliary task.
    """

    def __init__(
        self,
        hemorrhage: float = 1.0,
        types: float = 1.0,
        slices: float = 1.0,
        segmentation: float = 1.0,
        *,
        auxiliary: Collection[str] | None = None,
        only: str | None = None,
    ) -> None:
        super().__init__()
        unknown = sorted(set(auxiliary or ()) - set(AUXILIARY))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no auxiliary task; known are {', '.join(AUXILIARY)}")
        given = {"hemorrhage": hemorrhage, "types": types, "slices": slices, "segmentation": segmentation}
        wanted = {"hemorrhage", *(AUXILIARY if auxiliary is None else auxiliary)} if only is None else {only}
        self.weights = {task: weight if task in wanted else 0.0 for task, weight in given.items()}

    def forward(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """Scalar loss.

        Args:
            logits: `hemorrhage` (batch, 1), `types` (batch, 5), `slices` (batch, depth), and where the network has that
                head `segmentation` (batch, 1, depth, rows, columns).
            targets: The same first three keys and shapes, 0 to 1, NaN where unknown; `mask` (batch, 1, depth, rows',
                columns'), shares of cells, and `mask_known` (batch, 1), 0 where there is none.
        """
        terms = [self.weights[task] * masked_bce(logits[task], targets[task]) for task in TASKS]
        if "segmentation" in logits:
            terms.append(self.weights["segmentation"] * mask_loss(logits["segmentation"], targets))
        return torch.stack(terms).sum()


def mask_loss(logits: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
    """Dice over the batch and focal loss by voxel of blood, on the coarser grid of logits and mask, in float32."""
    scores, truth = on_one_grid(logits.float(), targets["mask"])
    known = targets["mask_known"][:, :, None, None, None]
    return dice_loss(scores, truth, known) + focal_loss(scores, truth, known)


def on_one_grid(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and mask (0 or 1) averaged to the coarser of their in-plane resolutions."""
    rows, columns = (min(logits.shape[axis], mask.shape[axis]) for axis in (3, 4))
    size = (logits.shape[2], rows, columns)
    scores = functional.adaptive_avg_pool3d(logits, size) if tuple(logits.shape[2:]) != size else logits
    shares = functional.adaptive_avg_pool3d(mask, size) if tuple(mask.shape[2:]) != size else mask
    return scores, (shares >= BLOOD).float()


def masked_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross-entropy over the labels that are not NaN; 0 where none is known. Computed in float32."""
    known = ~torch.isnan(targets)
    each = functional.binary_cross_entropy_with_logits(logits.float(), torch.nan_to_num(targets), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
