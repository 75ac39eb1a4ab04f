"""Features of earlier batches that help to share out small ones (Caron et al. 2020, section 3.1 and 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pretraining.objectives.distributed import gather, rank, world_size


class FeatureQueues(nn.Module):
    """The latest features of each assigned crop and modality, newest first; the same on every process.

    The reference keeps length / processes on each process. Here every process holds all of it and scores its own
    stripe, which is the same work and the same sum; a checkpoint of one process is then whole, and the number of
    processes may change on resume.

    Args:
        crops: number of assigned crops.
        groups: number of modalities.
        length: rows of each queue; 0 for none.
        dimension: of a feature.
    """

    features: Tensor
    filled: Tensor
    running: Tensor

    def __init__(self, crops: int, groups: int, length: int, dimension: int) -> None:
        super().__init__()
        self.length = length
        self.register_buffer("features", torch.zeros(crops, groups, length, dimension))
        self.register_buffer("filled", torch.zeros(groups, dtype=torch.int64))
        self.register_buffer("running", torch.zeros((), dtype=torch.bool))

    def full_groups(self) -> list[bool]:
        """Whether each modality's queue is in use: running and full."""
        if self.length == 0 or not bool(self.running):
            return [False] * len(self.filled)
        return [count >= self.length for count in self.filled.tolist()]

    def stripe(self, crop: int, group: int) -> Tensor:
        """(about length / processes, dimension): the rows that this process scores."""
        return self.features[crop, group, rank() :: world_size()]

    @torch.no_grad()
    def push(self, features: Tensor, groups: Tensor) -> None:
        """Put the joint batch in front; the oldest rows fall out.

        Args:
            features: (crops, batch, dimension) of this process.
            groups: (batch,) int64.

        Raises:
            ValueError: a modality has more samples in the joint batch than its queue has rows.
        """
        if self.length == 0 or not bool(self.running):
            return
        everyone = gather(features.transpose(0, 1)).transpose(0, 1).to(self.features.dtype)
        of_group = gather(groups)
        for group in range(len(self.filled)):
            new = everyone[:, of_group == group]
            count = new.shape[1]
            if count > self.length:
                raise ValueError(
                    f"SwAV's queue of {self.length} rows is shorter than the {count} samples that a joint batch has of "
                    "one modality; lengthen the queue or set queue_length to 0"
                )
            kept = self.features[:, group, : self.length - count].clone()
            self.features[:, group] = torch.cat([new, kept], dim=1)
            self.filled[group] = (self.filled[group] + count).clamp(max=self.length)
