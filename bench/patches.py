"""The patches that the training is measured on: as pairs in a shard, and as a folder of files."""

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from trackssl.errors import InputError
from trackssl.images import Image, encode_jpeg
from trackssl.pairs.store import Box, Pair, write_pairs
from trackssl.videos.decode import read_frames

FRAME_PX = (448, 600)  # of a frame that patches of 227 px are mined from
PATCH_PX = 227
FRAMES_APART = 30
BOXES_A_FRAME = 4


def write_patches(folder: Path, videos: Sequence[Path], side: int, distinct: int, rows: int) -> int:
    """Write `sets.parquet` and a shard, and `files/00000_first.jpg`, ... -> mean bytes of a patch.

    So many distinct pairs of a side in pixels are cut from the videos, or drawn where there are
    none, and stand in `rows` rows; the files of rows that repeat a pair are hard links.
    Raises InputError for a video that cannot be read, or none that is long enough.
    """
    source = _cut(videos, side) if videos else _drawn(side)
    jpegs = [(encode_jpeg(first), encode_jpeg(last)) for first, last in islice(source, distinct)]
    if not jpegs:
        raise InputError(
            f"No video has more than {FRAMES_APART} frames; name longer ones by --videos."
        )
    box: Box = (0.0, 0.0, float(side), float(side))
    pairs = [
        Pair(f"video{i}", 0, FRAMES_APART, box, box, 9, 9, 9.0, 1.0, first, last)
        for i, (first, last) in enumerate(jpegs)
    ]
    write_pairs(folder / "0.arrow", pairs, {}, {})
    row = [i % len(pairs) for i in range(rows)]
    table = {"shard": str(folder / "0.arrow"), "row": row, "video": [f"video{i}" for i in row]}
    pd.DataFrame(table).assign(first_frame=0).to_parquet(folder / "sets.parquet", index=False)
    (folder / "files").mkdir()
    for i in range(rows):
        for which, jpeg in zip(("first", "last"), jpegs[row[i]], strict=True):
            file = folder / "files" / f"{i:06d}_{which}.jpg"
            if i < len(pairs):
                file.write_bytes(jpeg)
            else:
                os.link(folder / "files" / f"{row[i]:06d}_{which}.jpg", file)
    return round(np.mean([len(jpeg) for pair in jpegs for jpeg in pair]))


def _cut(videos: Sequence[Path], side: int) -> Iterator[tuple[Image, Image]]:
    """Boxes of frames 30 apart, at frames that go from video to video."""
    draws = np.random.default_rng(0)
    sides = [side * px // PATCH_PX for px in FRAME_PX]
    length = 2 * FRAMES_APART
    clips = [[f.bgr for f in islice(read_frames(path, *sides), length)] for path in videos]
    for start in range(FRAMES_APART):
        for frames in clips:
            if len(frames) <= start + FRAMES_APART:
                continue
            first, last = frames[start], frames[start + FRAMES_APART]
            for _ in range(BOXES_A_FRAME):
                y, x = (draws.integers(0, max(1, px - side)) for px in first.shape[:2])
                box = np.s_[y : y + side, x : x + side]
                if first[box].shape[:2] == (side, side):
                    yield first[box], last[box]


def _drawn(side: int) -> Iterator[tuple[Image, Image]]:
    """Two crops of a texture with detail at all sizes, about as many bytes as real patches."""
    draws = np.random.default_rng(0)
    large = side + side // 8
    while True:
        texture = np.full((large, large, 3), 110, np.float32)
        for cells in (4, 8, 16, 32, 64):
            noise = draws.normal(0, 15, (cells, cells, 3)).astype(np.float32)
            texture += cv2.resize(noise, (large, large), interpolation=cv2.INTER_CUBIC)
        places = draws.integers(0, large - side, (2, 2))
        first, last = (texture[y : y + side, x : x + side] for y, x in places)
        yield first.clip(0, 255).astype(np.uint8), last.clip(0, 255).astype(np.uint8)
