"""Commands that put the videos in place."""

from pathlib import Path
from typing import Annotated

import typer

from trackssl.speech import tell


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    app.command("fetch-videos", rich_help_panel="Videos")(fetch_videos)
    app.command("video-list", rich_help_panel="Videos")(video_list)
    app.command("videos-status", rich_help_panel="Videos")(videos_status)


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
    tell(f"{out}: {fetch.summary(rows)}", out=out, videos=len(rows), failed=fetch.failures(rows))


def video_list(
    from_trainlist: Annotated[
        Path,
        typer.Option(help="The authors' pair list: lines `<folder>/<video id>/<name>.jpg label`."),
    ],
    out: Annotated[Path, typer.Option(help="The list to write, an id a line: videos.list.")],
) -> None:
    """Take the ids of the videos out of the authors' list of pairs, each once, in order.

    Example: trackssl video-list --from-trainlist train_list.txt --out videos.txt
    """
    from trackssl.videos.trainlist import video_list

    found = video_list(from_trainlist, out)
    tell(
        f"{out}: {found.videos} videos of {found.folders} folders in {found.lines} lines "
        f"({found.folders - found.videos} folders do not bear an id's name)",
        out=out,
        videos=found.videos,
        folders=found.folders,
        lines=found.lines,
    )


def videos_status(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests, parquet.")],
) -> None:
    """Sum manifests up: videos that are ok or failed by reason, their hours and bytes.

    Example: trackssl videos-status resources/manifests/*.parquet
    """
    from trackssl.videos import status

    sums = status.summed(manifests)
    tell(status.drawn(sums), videos=sums.to_pylist())
