"""Queries and their nearest windows in one picture, as in the paper: right green, wrong red."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.datasets.voc import VocIndex
from trackssl.images import Image, read_image
from trackssl.lettering import shortened, write_text_on
from trackssl.randomness import generator
from trackssl.retrieval.windows import Labelled

QUERIES, MATCHES = 8, 8
RIGHT, WRONG = (80, 160, 40), (60, 60, 210)
INK, QUIET, PAPER = (70, 60, 55), (140, 130, 125), (255, 255, 255)
PATCH_PX, FRAME_PX, GAP_PX = 96, 4, 10
TEXT_PX, LINE_PX = 11, 16


def choose_queries(labels: NDArray[np.int64], count: int = QUERIES) -> NDArray[np.int64]:
    """Queries to show: a fixed draw, of different classes as far as there are, in their order."""
    drawn = generator("retrieval sheet").permutation(len(labels))
    occurrence = np.zeros(len(drawn), np.int64)
    for number in np.unique(labels):
        mine = labels[drawn] == number
        occurrence[mine] = np.arange(mine.sum())
    chosen = drawn[np.argsort(occurrence, kind="stable")[:count]]
    return chosen[np.argsort(labels[chosen], kind="stable")]


def retrieval_sheet(
    index: VocIndex,
    splits: Sequence[str],
    asked: Labelled,
    known: Labelled,
    found: NDArray[np.int64],
) -> Image:
    """A row a query: it stands left with its class, its nearest windows right -> (H, W, 3) BGR.

    `splits` are those of the queries and of the gallery, `found` (Q, K) the queries' nearest
    windows. Raises InputError for an image that cannot be read.
    """
    chosen = choose_queries(asked.labels)
    matches = min(MATCHES, found.shape[1])
    side = PATCH_PX + 2 * FRAME_PX
    width, height = side + GAP_PX, side + LINE_PX + GAP_PX
    left = GAP_PX + width + GAP_PX  # of the first match
    shape = (len(chosen) * height + GAP_PX, left + matches * width, 3)
    sheet = np.full(shape, PAPER, np.uint8)
    for line, query in enumerate(map(int, chosen)):
        y = GAP_PX + line * height
        own = int(asked.labels[query])
        _place(sheet, (GAP_PX, y), _patch(index, splits[0], asked, query), None)
        _caption(sheet, (GAP_PX, y + side), index.classes[own], INK, bold=True)
        for place, match in enumerate(map(int, found[query, :matches])):
            x = left + place * width
            label = int(known.labels[match])
            frame = RIGHT if label == own else WRONG
            _place(sheet, (x, y), _patch(index, splits[1], known, match), frame)
            if label != own:
                _caption(sheet, (x, y + side), index.classes[label], QUIET)
    return sheet


def _patch(index: VocIndex, split: str, windows: Labelled, number: int) -> Image:
    """A window as it stands in its image, its longer side `PATCH_PX`, on grey."""
    image = read_image(index.devkit.image_path(index.images(split)[windows.images[number]]))
    x0, y0, x1, y1 = np.rint(np.clip(windows.boxes[number], 0, None)).astype(int)
    part = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    scale = PATCH_PX / max(part.shape[:2])
    size = [max(1, round(length * scale)) for length in part.shape[1::-1]]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    patch = np.full((PATCH_PX, PATCH_PX, 3), 235, np.uint8)
    left, top = (PATCH_PX - size[0]) // 2, (PATCH_PX - size[1]) // 2
    patch[top : top + size[1], left : left + size[0]] = cv2.resize(part, size, interpolation=way)
    return patch


def _place(
    sheet: Image, at: tuple[int, int], patch: Image, frame: tuple[int, int, int] | None
) -> None:
    x, y = at
    side = PATCH_PX + 2 * FRAME_PX
    if frame is not None:
        sheet[y : y + side, x : x + side] = frame
    inside = slice(y + FRAME_PX, y + side - FRAME_PX), slice(x + FRAME_PX, x + side - FRAME_PX)
    sheet[inside] = patch


def _caption(
    sheet: Image, at: tuple[int, int], text: str, colour: tuple[int, int, int], bold: bool = False
) -> None:
    short = shortened(text, PATCH_PX, TEXT_PX, bold)
    write_text_on(sheet, (at[0] + FRAME_PX, at[1] + LINE_PX - 4), short, colour, TEXT_PX, bold)
