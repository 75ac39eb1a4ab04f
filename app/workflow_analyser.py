"""What runs bundles, as the steps of the workflow see it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from app.assignment import Assignment
from app.findings import Report
from app.study import Study
from app.warmth import BundleState


class Analyser(Protocol):
    """What the steps need of `app.infer.runner.Runner`, without importing torch."""

    def analyse(self, study: Study, assignment: Assignment, folder: Path | None = None) -> Report:
        """Run a bundle on the assigned series, and keep its masks and heat maps in a folder."""

    def show_accelerator(self) -> None:
        """Set the gauges of the accelerator, where there is one."""

    def states(self) -> Sequence[BundleState]:
        """What the bundles are like: warm or cold, and since when."""
