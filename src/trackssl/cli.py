"""The command line: one command a stage, in the order of the data, each in its stage's folder."""

import os
import sys
from pathlib import Path

import typer

import trackssl.classification.commands
import trackssl.commands
import trackssl.datasets.commands
import trackssl.detection.commands
import trackssl.explore.commands
import trackssl.mining.commands
import trackssl.normals.commands
import trackssl.pairs.commands
import trackssl.planning.commands
import trackssl.pretraining.commands
import trackssl.release.commands
import trackssl.report.commands
import trackssl.retrieval.commands
import trackssl.scenes.commands
import trackssl.videos.commands
from trackssl import __version__
from trackssl.errors import InputError
from trackssl.processes import end_with_parent
from trackssl.provenance import FOLDER, watch
from trackssl.speech import Commands

app = Commands(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Learn visual representations from tracked video patches (Wang & Gupta, ICCV 2015).

The commands stand in the order of the data, from videos to tables. `snakemake --cores all` in a
clone calls them all; each works by itself too.""",
    epilog="""Exit status: 0 done, 1 an error of ours, 2 bad input (one sentence says what to do),
130 interrupted; what was begun goes on in the next call. `trackssl COMMAND --help` shows an example
of each. `trackssl --install-completion` makes your shell complete commands and options.""",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trackssl {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """Options of every command."""


for stage in (
    trackssl.videos,
    trackssl.mining,
    trackssl.pairs,
    trackssl.pretraining,
    trackssl.explore,
    trackssl.datasets,
    trackssl.detection,
    trackssl.normals,
    trackssl.retrieval,
    trackssl.classification,
    trackssl.scenes,
    trackssl.report,
    trackssl.release,
    trackssl.planning,
    trackssl,
):
    stage.commands.register(app)


def main() -> None:
    """Run the command line; bad input is one sentence on stderr and exit status 2."""
    if os.environ.get("TRACKSSL_END_WITH_PARENT"):  # set by the rules, see common.smk
        end_with_parent()
    watched = watch()
    try:
        app()
    except InputError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        sys.exit(2)
    except SystemExit as end:  # how a command that ended well ends too
        if watched and not end.code:
            watched.write(Path(os.environ[FOLDER]))
        raise


if __name__ == "__main__":
    main()
