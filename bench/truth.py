"""How many mined pairs show one object twice: counted on drawn videos, where it is known.

python bench/truth.py --seed 0 --videos 150
"""

import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated

import cv2
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from trackssl.config import Mining, load_settings
from trackssl.mining.miner import mine_pairs
from trackssl.miniworld.truth import main_object, shows_the_same
from trackssl.miniworld.videos import FrameTruth, render_video, scene_truth
from trackssl.videos.decode import read_frames

MINIATURE = {
    "frame_height_px": 240,
    "frame_width_px": 320,
    "patch_px": 99,
    "start_every_frames": 6,
}
CAMERA_PX = 0.5  # a corner of the frame moves more within the track: the camera moves


def main(
    seed: Annotated[int, typer.Option(help="Of the drawn world.")] = 0,
    videos: Annotated[int, typer.Option(min=1)] = 150,
    settings: Annotated[str | None, typer.Option(help="Mining settings that differ.")] = None,
) -> None:
    """Mine drawn videos and compare each pair with what is known of them."""
    cv2.setNumThreads(1)
    changes = load_settings(Mining, settings, "mining").model_dump(exclude_unset=True)
    chosen = Mining(**(MINIATURE | changes))
    counts, right = Counter[str](), defaultdict[str, list[bool]](list)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        for index in track(range(videos), "videos"):
            render_video(path, seed, index)
            truth = scene_truth(seed, index)
            frames = read_frames(path, chosen.frame_height_px, chosen.frame_width_px)
            for pair in mine_pairs(frames, str(index), chosen, counts):
                first, last = truth[pair.first_frame], truth[pair.last_frame]
                same = shows_the_same(first, pair.first_box, last, pair.last_box)
                groups = (
                    "all",
                    _background(first, last),
                    f"mainly a {main_object(first, pair.first_box) or 'background'}",
                )
                for group in groups:
                    right[group].append(same)
    table = Table("pairs", "number", "of one object, %", title=f"Seed {seed}, {videos} videos")
    for name, found in right.items():
        table.add_row(name, str(len(found)), f"{100 * sum(found) / len(found):.1f}")
    console = Console()
    console.print(table)
    console.print(", ".join(f"{name} {number}" for name, number in counts.items()))


def _background(first: FrameTruth, last: FrameTruth) -> str:
    if first.under_water:
        return "under water"
    moved = abs(last.camera - first.camera)[:2, 2].max() > CAMERA_PX
    return "camera moves" if moved else "camera stands"


if __name__ == "__main__":
    typer.run(main)
