"""Commands that put the videos in place."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    app.command("fetch-videos", rich_help_panel="Videos")(fetch_videos)


def fetch_videos(
    out: Annotated[Path, typer.Option(help="The manifest to write, parquet: one row a video.")],
    settings: Annotated[
        str | None, typer.Option(help="Section `videos`: inline JSON or the path of a YAML file.")
    ] = None,
    shard: Annotated[int, typer.Option(help="Which of the videos.shards, from 0.")] = 0,
    store: Annotated[
        Path, typer.Option(help="Folder that keeps the videos; what lies there is not fetched.")
    ] = Path("resources/videos"),
    progress: Annotated[
        Path | None,
        typer.Option(help="Folder for the progress of a killed run; default: beside the manifest."),
    ] = None,
) -> None:
    """Fetch, draw or look up one shard of the videos. A dead link is a row, not an error.

    Example: trackssl fetch-videos --settings '{"source": "folder", "folder": "my_videos",
    "count": null, "shards": 1}' --out resources/manifests/0.parquet
    """
    from trackssl.config import Videos, load_settings
    from trackssl.videos import fetch

    rows = fetch.fetch_videos(
        load_settings(Videos, settings, "videos"),
        shard,
        out,
        store,
        progress or out.with_name(f".{out.name}.progress"),
    )
    typer.echo(f"{out}: {fetch.summary(rows)}")
