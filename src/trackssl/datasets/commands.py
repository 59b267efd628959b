"""Commands that put the benchmarks' data in place."""

from pathlib import Path
from typing import Annotated

import typer

_PANEL = "Benchmarks"


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    app.command("fetch-voc", rich_help_panel=_PANEL)(fetch_voc)


def fetch_voc(
    out: Annotated[Path, typer.Option(help="The index to write, JSON.")],
    settings: Annotated[
        str | None, typer.Option(help="Section `voc`: inline JSON or the path of a YAML file.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="source download: an archive elsewhere, or a mirror's folder with a / at its end."
        ),
    ] = None,
    md5: Annotated[
        str | None, typer.Option(help="source download: the MD5 checksum of that archive.")
    ] = None,
) -> None:
    """Put the VOC devkit in place, read and check every annotation, and write an index.

    Example: trackssl fetch-voc --settings '{"source": "devkit", "devkit": "VOCdevkit"}'
    --out resources/voc/index.json
    """
    from trackssl.config import Voc, load_settings
    from trackssl.datasets import fetch
    from trackssl.files import write_json

    index = fetch.fetch_voc(load_settings(Voc, settings, "voc"), address, md5)
    write_json(out, index.to_json())
    counts = [
        f"{split}: {len(held['images'])} images, {held['objects']} objects"
        for split, held in index.splits.items()
    ]
    typer.echo(f"{out}: {len(index.classes)} classes; {'; '.join(counts)}")
