"""A contact sheet of pairs, for looking at what was mined."""

from pathlib import Path

import cv2
import numpy as np

from trackssl.files import whole_file
from trackssl.images import Image, decode_image
from trackssl.pairs.store import PairShard
from trackssl.randomness import generator

GAP_PX = 6
WHITE = 255


def contact_sheet(shard: PairShard, columns: int, rows: int, patch_px: int, seed: int) -> Image:
    """Pairs drawn at random, side by side: first patch left, second right -> (H, W, 3) BGR."""
    count = min(columns * rows, len(shard))
    chosen = np.sort(generator(seed, "contact sheet").permutation(len(shard))[:count])
    width, height = 2 * patch_px + GAP_PX, patch_px + GAP_PX
    lines = -(-count // columns)
    sheet = np.full((lines * height + GAP_PX, columns * width + GAP_PX, 3), WHITE, np.uint8)
    for place, index in enumerate(chosen):
        y, x = GAP_PX + place // columns * height, GAP_PX + place % columns * width
        for side, jpeg in enumerate(shard.jpegs(int(index))):
            patch = decode_image(jpeg, f"patch of pair {index}")
            left = x + side * patch_px
            sheet[y : y + patch_px, left : left + patch_px] = cv2.resize(
                patch, (patch_px, patch_px), interpolation=cv2.INTER_AREA
            )
    return sheet


def write_sheet(shard: Path, out: Path, columns: int, rows: int, patch_px: int, seed: int) -> None:
    """Write the contact sheet of a shard as PNG. Raises InputError for a broken shard."""
    sheet = contact_sheet(PairShard(shard), columns, rows, patch_px, seed)
    with whole_file(out) as part:
        part.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
