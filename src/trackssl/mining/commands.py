"""Commands that mine pairs of patches from videos."""

from pathlib import Path
from typing import Annotated

import typer

from trackssl.speech import tell

PANEL = "Mining"

Settings = Annotated[
    str | None,
    typer.Option(help="Mining settings: inline JSON or a YAML file. Default: the paper's."),
]
Summary = Annotated[Path, typer.Option(help="JSON of what was rejected and why, in counts.")]
Kept = Annotated[
    Path, typer.Option(help="Folder that keeps finished videos, to go on after a kill.")
]
Manifest = Annotated[Path, typer.Option(help="Parquet table of the videos.")]
Pairs = Annotated[Path, typer.Option(help="Arrow file of pairs to write.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this stage."""
    for function in (mine, mine_patches, track_patches, show_mining, track, interest_points):
        app.command(function.__name__.replace("_", "-"), rich_help_panel=PANEL)(function)


def mine(
    videos: Annotated[list[Path], typer.Argument(help="Video files.")],
    out: Pairs,
    settings: Settings = None,
    summary: Annotated[
        Path | None, typer.Option(help="JSON of what was rejected and why, in counts.")
    ] = None,
    progress: Annotated[
        Path | None, typer.Option(help="Folder that keeps finished videos, to go on after a kill.")
    ] = None,
) -> None:
    """Mine pairs of patches from videos: find moving windows and track them.

    Example: trackssl mine *.mp4 --out pairs.arrow
    """
    from trackssl.config import Mining, load_settings
    from trackssl.files import write_json
    from trackssl.mining import shards, stages

    chosen = load_settings(Mining, settings, "mining")
    given = shards.given_videos(videos)
    with shards.resumable(progress, out, chosen, "mining") as kept:
        counts = stages.mine(given, chosen, out, kept)
        if summary:
            write_json(summary, counts)
    tell(f"{counts['pairs']} pairs from {counts['videos']} videos: {out}", out=out, **counts)


def mine_patches(
    manifest: Manifest,
    out: Annotated[Path, typer.Option(help="Parquet table of windows to write.")],
    summary: Summary,
    progress: Kept,
    settings: Settings = None,
) -> None:
    """Find the windows that hold the most moving points, the first patches of the pairs.

    Example: trackssl mine-patches --manifest m.parquet --out p.parquet --summary p.json
    --progress kept
    """
    from trackssl.config import Mining, load_settings
    from trackssl.files import write_json
    from trackssl.mining import shards, stages

    chosen = load_settings(Mining, settings, "mining")
    videos = shards.read_manifest(manifest)
    with shards.resumable(progress, out, chosen, "mining of patches") as kept:
        counts = stages.mine_patches(videos, chosen, out, kept)
        write_json(summary, counts)
    tell(f"{counts['windows']} windows from {counts['videos']} videos: {out}", out=out, **counts)


def track_patches(
    patches: Annotated[Path, typer.Option(help="Parquet table of windows.")],
    manifest: Manifest,
    out: Pairs,
    summary: Summary,
    progress: Kept,
    settings: Settings = None,
) -> None:
    """Track each window and store its patch with the one 30 frames later.

    Example: trackssl track-patches --patches p.parquet --manifest m.parquet --out pairs.arrow
    --summary pairs.json --progress kept
    """
    from trackssl.config import Mining, load_settings
    from trackssl.files import write_json
    from trackssl.mining import shards, stages

    chosen = load_settings(Mining, settings, "mining")
    videos = shards.read_manifest(manifest)
    with shards.resumable(progress, out, chosen, "tracking of patches") as kept:
        counts = stages.track_patches(patches, videos, chosen, out, kept)
        write_json(summary, counts)
    tell(f"{counts['pairs']} pairs from {counts['videos']} videos: {out}", out=out, **counts)


def show_mining(
    video: Annotated[Path, typer.Argument(help="Video file.")],
    out: Annotated[Path, typer.Option(help="Film to write, .mp4.")],
    settings: Settings = None,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many frames.")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.01, help="1 is the video's own.")] = 0.5,
) -> None:
    """Film what the miner sees: points, windows, tracks, and why the others were rejected.

    Example: trackssl show-mining holiday.mp4 --out annotated.mp4
    """
    from trackssl.config import Mining, load_settings
    from trackssl.mining import show

    chosen = load_settings(Mining, settings, "mining")
    counts = show.show_mining(video, out, chosen, max_frames, speed)
    tell(f"{counts['pairs']} pairs of {counts['windows']} windows: {out}", out=out, **counts)


def track(
    frames: Annotated[Path, typer.Option(help="Folder of images, tracked in the order of names.")],
    box: Annotated[str, typer.Option(help="The target in the first image: x,y,w,h in pixels.")],
    out: Annotated[Path, typer.Option(help="Text file to write: x,y,w,h, a line a frame.")],
) -> None:
    """Track a box through the images of a folder, in order of names; one x,y,w,h a line.

    Example: trackssl track --frames img --box 205,151,17,50 --out boxes.txt
    """
    from trackssl.files import write_text
    from trackssl.mining.sequence import parse_box, track_images

    boxes = track_images(frames, parse_box(box))
    write_text(out, "".join(",".join(f"{value:g}" for value in found) + "\n" for found in boxes))
    tell(f"{len(boxes)} boxes: {out}", out=out, boxes=len(boxes))


def interest_points(
    image: Annotated[Path, typer.Argument(help="Image file.")],
    out: Annotated[Path, typer.Option(help="CSV to write: x, y, scale, response.")],
    hessian_threshold: Annotated[float, typer.Option(help="As OpenCV's SURF counts it.")] = 200,
) -> None:
    """Find SURF's interest points in an image, strongest first, in pixels of its own size.

    Example: trackssl interest-points photo.png --out points.csv
    """
    import pandas as pd

    from trackssl.images import read_image
    from trackssl.mining import surf
    from trackssl.tables import write_csv

    points = surf.interest_points(read_image(image, grey=True), hessian_threshold)
    write_csv(out, pd.DataFrame(points, columns=["x", "y", "scale", "response"]))
    tell(f"{len(points)} points: {out}", out=out, points=len(points))
