"""The names by which configurations of radiograph trainings call what `bundles.common.checkpoints` has."""

from bundles.common.checkpoints import BEST, CHECKPOINT, KeepBest, Resume, load_weights, write_durably

__all__ = ["BEST", "CHECKPOINT", "KeepBest", "Resume", "load_weights", "write_durably"]
