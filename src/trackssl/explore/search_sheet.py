"""A query and its look-alikes in one picture."""

import cv2
import numpy as np

from trackssl.explore.search import Matches
from trackssl.images import Image, read_image
from trackssl.lettering import shortened, text_width, write_text_on

SIDE_PX, GAP_PX, MARGIN_PX, COLUMNS = 150, 12, 20, 6
TEXT_PX, LINE_PX = 12, 20
INK, QUIET, PAPER, GROUND = (70, 60, 55), (140, 130, 125), (255, 255, 255), (240, 240, 240)


def search_sheet(query: Image, name: str, matches: Matches) -> Image:
    """The query above, then what was found, best first, with cosines -> (H, W, 3) BGR."""
    count = len(matches.found)
    columns = min(COLUMNS, count)
    height, width = SIDE_PX + LINE_PX + GAP_PX, SIDE_PX + GAP_PX
    lines = 1 + -(-count // columns)
    shape = (2 * MARGIN_PX + lines * height, 2 * MARGIN_PX + max(columns, 3) * width - GAP_PX, 3)
    sheet = np.full(shape, PAPER, np.uint8)
    _place(sheet, MARGIN_PX, MARGIN_PX, query)
    _caption(sheet, MARGIN_PX, MARGIN_PX, name, "query")
    for place, match in enumerate(matches.found):
        line, column = divmod(place, columns)
        x, y = MARGIN_PX + column * width, MARGIN_PX + (line + 1) * height
        _place(sheet, x, y, read_image(match.path))
        _caption(sheet, x, y, match.path.name, f"{match.cosine:.3f}")
    return sheet


def _place(sheet: Image, x: int, y: int, image: Image) -> None:
    """An image as large as fits into its square, on grey."""
    scale = SIDE_PX / max(image.shape[:2])
    wide, high = (max(1, round(length * scale)) for length in image.shape[1::-1])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square = np.full((SIDE_PX, SIDE_PX, 3), GROUND, np.uint8)
    left, top = (SIDE_PX - wide) // 2, (SIDE_PX - high) // 2
    square[top : top + high, left : left + wide] = cv2.resize(
        image, (wide, high), interpolation=way
    )
    sheet[y : y + SIDE_PX, x : x + SIDE_PX] = square


def _caption(sheet: Image, x: int, y: int, name: str, number: str) -> None:
    baseline = y + SIDE_PX + LINE_PX - 6
    right = text_width(number, TEXT_PX)
    write_text_on(sheet, (x + SIDE_PX - right, baseline), number, QUIET, TEXT_PX)
    write_text_on(sheet, (x, baseline), shortened(name, SIDE_PX - right - 8, TEXT_PX), INK, TEXT_PX)
