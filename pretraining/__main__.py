"""`python -m pretraining VERB`."""

from pretraining.cli import app

if __name__ == "__main__":
    app()
