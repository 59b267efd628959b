"""Source `miniworld`: videos drawn from a seed by the built-in world."""

from pathlib import Path

import trackssl.miniworld
from trackssl.config import Videos
from trackssl.videos.sources import Item
from trackssl.videos.web import Visit


def items(settings: Videos) -> list[Item]:
    """`count` videos of the world; the world's version and seed are part of the ids."""
    version, seed = trackssl.miniworld.VERSION, settings.seed
    return [
        Item(f"mini{version}_{seed}_{index:05d}", f"miniworld {version}/{seed}/{index}", index)
        for index in range(settings.count or 0)
    ]


def obtain(item: Item, settings: Videos, folder: Path, visit: Visit) -> Path:
    """Draw a video to a file in `folder`, H.264 in mp4."""
    from trackssl.miniworld.videos import render_video

    path = folder / "drawn.mp4"
    render_video(path, settings.seed, item.index)
    return path
