"""Commands on files of pairs."""

from pathlib import Path
from typing import Annotated

import typer

from trackssl.speech import tell


def register(app: typer.Typer) -> None:
    """Add the commands of this stage."""
    app.command("import-pairs", rich_help_panel="Pairs")(import_pairs)
    app.command("merge-pairs", rich_help_panel="Pairs")(merge_pairs)
    app.command("show-pairs", rich_help_panel="Pairs")(show_pairs)


def import_pairs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that the paths start at.")],
    list_path: Annotated[
        Path, typer.Option("--list", help="Text file, `path label` per line, two lines a pair.")
    ],
    out: Annotated[Path, typer.Option(help="Arrow file to write; with --shards a new folder.")],
    shards: Annotated[int, typer.Option(min=1, help="Files to write, each video in one.")] = 1,
    skip_bad: Annotated[bool, typer.Option(help="Leave bad pairs out and count them.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Patches read at once.")] = 2,
) -> None:
    """Take in released patches: JPEG files and a list, whose label says which video one is of.

    Frames, boxes and scores are unknown then; the file's metadata says what stands in their place.

    Example: trackssl import-pairs patches --list trainlist.txt --out pairs.arrow
    """
    from trackssl.pairs import released

    done = released.import_pairs(folder, list_path, out, shards, skip_bad, threads)
    left_out = f"\n{released.describe(done.left_out)}" if done.left_out else ""
    tell(
        f"{done.pairs} pairs from {done.videos} videos: {out}{left_out}",
        out=out,
        pairs=done.pairs,
        videos=done.videos,
        left_out=done.left_out,
    )


def merge_pairs(
    shards: Annotated[list[str], typer.Argument(help="Arrow files of pairs.")],
    out: Annotated[Path, typer.Option(help="Parquet table to write.")],
    seed: Annotated[int, typer.Option(help="Of the order.")] = 0,
    held_out_share: Annotated[
        float, typer.Option(min=0, max=0.5, help="So many of the videos are left out.")
    ] = 0,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Take those that are left out, and no others.")
    ] = False,
    numbered: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=(
                "So many shards: the one path given holds {shard}, for which 0000, 0001 and so on "
                "stand. A command line has room for about 5,000 paths."
            ),
        ),
    ] = None,
) -> None:
    """Order all pairs, so that the first N are a training set, nested in the larger ones.

    Example: trackssl merge-pairs results/pairs/*.arrow --out sets.parquet
    """
    from trackssl import provenance
    from trackssl.pairs import sets

    if numbered is not None:
        shards = sets.numbered_shards(shards, numbered)
        provenance.note_inputs(shards)
    pairs, videos = sets.merge_pairs(
        [Path(shard) for shard in shards], seed, out, held_out_share, held_out
    )
    tell(f"{pairs} pairs from {videos} videos: {out}", out=out, pairs=pairs, videos=videos)


def show_pairs(
    pairs: Annotated[Path, typer.Argument(help="Arrow file of pairs.")],
    out: Annotated[Path, typer.Option(help="PNG to write.")],
    columns: Annotated[int, typer.Option(min=1, help="Pairs beside each other.")] = 6,
    rows: Annotated[int, typer.Option(min=1, help="Pairs below each other.")] = 8,
    patch_px: Annotated[int, typer.Option(min=16, help="Side of a drawn patch.")] = 96,
    seed: Annotated[int, typer.Option(help="Of the choice of pairs.")] = 0,
) -> None:
    """Draw pairs taken at random on one sheet: first patch left, the tracked one right.

    Example: trackssl show-pairs pairs.arrow --out sheet.png
    """
    from trackssl.pairs import sheet

    sheet.write_sheet(pairs, out, columns, rows, patch_px, seed)
    tell(str(out), out=out)
