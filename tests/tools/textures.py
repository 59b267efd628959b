"""Textures, and lists of pairs that show them."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from trackssl.images import Image, encode_jpeg
from trackssl.pairs.store import Pair, write_pairs

PX = 67
BOX = (0.0, 0.0, float(PX), float(PX))


def texture(number: int, side: int = PX) -> Image:
    """A random texture of its own for each number."""
    draws = np.random.default_rng(number)
    noise = draws.normal(0, 1, (8, 8, 3)).astype(np.float32)
    large = cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    colour = draws.uniform(60, 190, 3)
    return np.clip(large * 40 + colour, 0, 255).astype(np.uint8)


def write_list(folder: Path, name: str, videos: dict[str, int]) -> Path:
    """A list of so many pairs of each video; a video's patches show one texture, a little moved."""
    pairs = []
    for video, count in videos.items():
        image = texture(sum(map(ord, video)), 2 * PX)
        for k in range(count):
            first, last = (
                encode_jpeg(np.ascontiguousarray(image[k : k + PX, d : d + PX])) for d in (0, 5)
            )
            pairs.append(Pair(video, 3 * k, 3 * k + 15, BOX, BOX, 9, 9, 9.0, 1.0, first, last))
    shard = folder / f"{name}.arrow"
    write_pairs(shard, pairs, {}, {})
    order = np.random.default_rng(0).permutation(len(pairs))
    table = {
        "shard": [str(shard)] * len(pairs),
        "row": order.astype(np.int32),
        "video": [pairs[row].video for row in order],
        "first_frame": np.array([pairs[row].first_frame for row in order], np.int32),
    }
    path = folder / f"{name}.parquet"
    pd.DataFrame(table).to_parquet(path, index=False)
    return path
