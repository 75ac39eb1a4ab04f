"""`python -m pretraining.experiments`: lay out the images of the small experiments."""

from pretraining.experiments.prepare import app

app()
