"""Patches and their nearest ones of other videos, by a network after and before its training."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.explore.patches import Patches, spread_over_videos
from trackssl.images import Image
from trackssl.lettering import shortened, text_width, write_text_on
from trackssl.pretraining.embed import Features
from trackssl.retrieval.search import unit_rows

AFTER, BEFORE = "after training", "before training"

PATCH_PX, GAP_PX, BLOCK_GAP_PX, MARGIN_PX = 84, 6, 28, 20
TEXT_PX, LINE_PX, TITLE_PX, HEAD_PX = 11, 16, 15, 64
INK, QUIET, ACCENT, PAPER = (70, 60, 55), (140, 130, 125), (40, 110, 200), (255, 255, 255)


class Found(NamedTuple):
    """The nearest patches of Q queries, best first."""

    rows: NDArray[np.int64]  # (Q, K) rows of the gallery
    cosines: NDArray[np.float32]  # (Q, K)


def nearest_of_other_videos(
    queries: Features,
    query_videos: NDArray[np.str_],
    gallery: Features,
    gallery_videos: NDArray[np.str_],
    count: int,
) -> Found:
    """Of each query (Q, D) the nearest patch of each other video, of the `count` nearest videos.

    One a video, since patches of a video often show one and the same thing. There are fewer where
    there are fewer other videos. Of equal cosines the lower row wins.
    """
    names = np.unique(gallery_videos)
    cosines = unit_rows(queries) @ unit_rows(gallery).T  # (Q, G)
    best = np.empty((len(queries), len(names)), np.float32)
    rows = np.empty((len(queries), len(names)), np.int64)
    for column, name in enumerate(names):
        mine = np.flatnonzero(gallery_videos == name)
        place = cosines[:, mine].argmax(axis=1)
        rows[:, column] = mine[place]
        best[:, column] = cosines[np.arange(len(queries)), rows[:, column]]
        best[query_videos == name, column] = -np.inf
    count = min(count, len(names) - 1)
    order = np.lexsort((rows, -best), axis=1)[:, :count]
    return Found(np.take_along_axis(rows, order, 1), np.take_along_axis(best, order, 1))


def neighbour_rows(
    patches: Patches, queries: NDArray[np.int64], found: Found, network: str
) -> list[dict[str, Any]]:
    """The table of what was found: a row a query and neighbour."""
    count = len(patches)
    return [
        {
            "query_video": patches.videos[query],
            "query_frame": patches.first_frames[query],
            "query_held_out": patches.held_out[query],
            "network": network,
            "rank": place + 1,
            "video": patches.videos[row % count],
            "frame": (patches.first_frames, patches.last_frames)[row // count][row % count],
            "cosine": cosine,
        }
        for query, rows, cosines in zip(queries, found.rows, found.cosines, strict=True)
        for place, (row, cosine) in enumerate(zip(rows, cosines, strict=True))
    ]


def choose_queries(patches: Patches, count: int) -> NDArray[np.int64]:
    """Pairs to show, of as many videos as there are: held-out ones first, at most half of all."""
    order = spread_over_videos(patches.videos)
    held_out = order[patches.held_out[order]]
    others = order[~patches.held_out[order]]
    first = held_out[: max(count - len(others), count // 2)]
    return np.concatenate([first, others[: count - len(first)]])


def neighbour_sheet(
    patches: Patches, queries: NDArray[np.int64], found: Sequence[Found], layer: str
) -> Image:
    """A row a query: it and its tracked partner, then what each of two networks finds nearest.

    `found` holds the queries' neighbours after and before the training -> (H, W, 3) BGR.
    """
    both, side = patches.both, PATCH_PX + GAP_PX
    count = found[0].rows.shape[1]
    block = count * side - GAP_PX
    starts = [MARGIN_PX + 2 * side + BLOCK_GAP_PX]
    starts.append(starts[0] + block + BLOCK_GAP_PX)
    height = PATCH_PX + LINE_PX + GAP_PX
    title = f"Nearest patches of other videos ({layer}, at most one of each video)"
    width = max(starts[1] + block, MARGIN_PX + text_width(title, TITLE_PX, bold=True)) + MARGIN_PX
    sheet = np.full((HEAD_PX + len(queries) * height + MARGIN_PX, width, 3), PAPER, np.uint8)
    write_text_on(sheet, (MARGIN_PX, MARGIN_PX + 8), title, INK, TITLE_PX, bold=True)
    heads = [
        (MARGIN_PX, "patch, and where its track ended"),
        (starts[0], AFTER),
        (starts[1], BEFORE),
    ]
    for (x, text), room in zip(heads, (2 * side + BLOCK_GAP_PX - 8, block, block), strict=True):
        short = shortened(text, room, TEXT_PX)
        write_text_on(sheet, (x, HEAD_PX - 8), short, ACCENT if x > MARGIN_PX else INK, TEXT_PX)
    for line, query in enumerate(map(int, queries)):
        y = HEAD_PX + line * height
        for place, row in enumerate((query, query + len(patches))):
            _place(sheet, MARGIN_PX + place * side, y, both[row])
        words = f"{patches.videos[query]}{', held out' if patches.held_out[query] else ''}"
        _caption(sheet, MARGIN_PX, y, words, 2 * side - GAP_PX, INK)
        for start, (rows, _) in zip(starts, found, strict=True):
            for place, row in enumerate(map(int, rows[line])):
                x = start + place * side
                _place(sheet, x, y, both[row])
                _caption(sheet, x, y, str(patches.videos[row % len(patches)]), PATCH_PX, QUIET)
    return sheet


def _place(sheet: Image, x: int, y: int, patch: Image) -> None:
    way = cv2.INTER_AREA if len(patch) > PATCH_PX else cv2.INTER_LINEAR
    small = cv2.resize(patch, (PATCH_PX, PATCH_PX), interpolation=way)
    sheet[y : y + PATCH_PX, x : x + PATCH_PX] = small


def _caption(
    sheet: Image, x: int, y: int, text: str, room: int, colour: tuple[int, int, int]
) -> None:
    short = shortened(text, room, TEXT_PX)
    write_text_on(sheet, (x, y + PATCH_PX + LINE_PX - 5), short, colour, TEXT_PX)
