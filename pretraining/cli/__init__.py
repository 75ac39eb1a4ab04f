"""The command line of pretraining: one file a verb, each imports what it needs when it runs."""

import typer

from pretraining.cli.export import export
from pretraining.cli.index import index
from pretraining.cli.probe import probe
from pretraining.cli.retrieve import retrieve
from pretraining.cli.shard import shard

app = typer.Typer(
    name="pretraining",
    help="Self-supervised pretraining: an archive of unlabelled images in, an encoder out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(index)
app.command()(shard)
app.command()(export)
app.command()(probe)
app.command()(retrieve)
