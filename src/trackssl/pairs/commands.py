"""Commands on files of pairs."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands of this stage."""
    app.command("merge-pairs", rich_help_panel="Pairs")(merge_pairs)


def merge_pairs(
    shards: Annotated[list[Path], typer.Argument(help="Arrow files of pairs.")],
    out: Annotated[Path, typer.Option(help="Parquet table to write.")],
    seed: Annotated[int, typer.Option(help="Of the order.")] = 0,
) -> None:
    """Order all pairs, so that the first N are a training set, nested in the larger ones.

    Example: trackssl merge-pairs results/pairs/*.arrow --out sets.parquet
    """
    from trackssl.pairs import sets

    pairs, videos = sets.merge_pairs(shards, seed, out)
    typer.echo(f"{pairs} pairs from {videos} videos: {out}")
