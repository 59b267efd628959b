"""A contact sheet of pairs, for looking at what was mined."""

from pathlib import Path

import cv2
import numpy as np

from trackssl.errors import InputError
from trackssl.files import whole_file
from trackssl.images import Image, decode_image
from trackssl.lettering import shortened, text_width, write_text_on
from trackssl.pairs.store import Pair, PairShard
from trackssl.randomness import generator

WITHIN_PX, GAP_PX = 2, 14  # between the patches of a pair, between pairs
TEXT_PX, LINE_PX = 11, 16
INK, QUIET, PAPER = (70, 60, 55), (140, 130, 125), (255, 255, 255)


def contact_sheet(shard: PairShard, columns: int, rows: int, patch_px: int, seed: int) -> Image:
    """Pairs drawn at random, side by side: first patch left, second right -> (H, W, 3) BGR.

    Below each pair stand its video, its first and last frame, and its track's score.
    Raises InputError for a shard without pairs, or with a patch that cannot be decoded.
    """
    if not len(shard):
        raise InputError(f"{shard.path}: it holds no pairs to show; mine more videos.")
    count = min(columns * rows, len(shard))
    columns = min(columns, count)
    chosen = np.sort(generator(seed, "contact sheet").permutation(len(shard))[:count])
    wide = 2 * patch_px + WITHIN_PX
    width, height = wide + GAP_PX, patch_px + LINE_PX + GAP_PX
    lines = -(-count // columns)
    sheet = np.full((lines * height + GAP_PX, columns * width + GAP_PX, 3), PAPER, np.uint8)
    for place, index in enumerate(map(int, chosen)):
        y, x = GAP_PX + place // columns * height, GAP_PX + place % columns * width
        pair = shard[index]
        for left, jpeg in ((x, pair.first_jpeg), (x + patch_px + WITHIN_PX, pair.last_jpeg)):
            patch = decode_image(jpeg, f"{shard.path}, patch of pair {index}")
            sheet[y : y + patch_px, left : left + patch_px] = cv2.resize(
                patch, (patch_px, patch_px), interpolation=cv2.INTER_AREA
            )
        _caption(sheet[y + patch_px : y + patch_px + LINE_PX, x : x + wide], pair)
    return sheet


def _caption(line: Image, pair: Pair) -> None:
    """Video and frames to the left, score to the right; what is too long is shortened."""
    baseline, wide = LINE_PX - 4, line.shape[1]
    frames, score = f"{pair.first_frame}–{pair.last_frame}", f"{pair.track_score:.3g}"
    right = wide - text_width(score, TEXT_PX)
    write_text_on(line, (right, baseline), score, INK, TEXT_PX)
    room = right - text_width(frames, TEXT_PX) - 15
    if room > 0:
        video = shortened(pair.video, room, TEXT_PX, bold=True)
        write_text_on(line, (0, baseline), video, INK, TEXT_PX, bold=True)
        after = text_width(video, TEXT_PX, bold=True) + 5
        write_text_on(line, (after, baseline), frames, QUIET, TEXT_PX)


def write_sheet(shard: Path, out: Path, columns: int, rows: int, patch_px: int, seed: int) -> None:
    """Write the contact sheet of a shard as PNG. Raises InputError for a broken shard."""
    sheet = contact_sheet(PairShard(shard), columns, rows, patch_px, seed)
    with whole_file(out) as part:
        part.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
