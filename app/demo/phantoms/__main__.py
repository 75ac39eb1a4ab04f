"""`python -m app.demo.phantoms`."""

from app.demo.phantoms.cli import cli

if __name__ == "__main__":
    cli(prog_name="python -m app.demo.phantoms")
