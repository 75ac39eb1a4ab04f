"""`python -m pretraining.experiments`: run the experiments, report on them, lay out their images."""

from pretraining.experiments import commands
from pretraining.experiments.prepare import app

__all__ = ["commands"]
app()
