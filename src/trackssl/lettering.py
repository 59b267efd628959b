"""Text on images, in the sans-serif that comes with matplotlib: the same on every machine."""

from functools import cache, lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray

from trackssl.images import Image

Colour = tuple[int, int, int]  # BGR, 0..255


def write_text_on(
    image: Image,
    place: tuple[float, float],
    text: str,
    colour: Colour,
    size_px: int = 14,
    bold: bool = False,
    strength: float = 1.0,
) -> None:
    """Write a line onto an image (H, W, 3) uint8, in place; what does not fit is cut off.

    `place` is where its baseline begins, x and y; `strength` 0..1 is its opacity.
    """
    mask, rise = _drawn(text, size_px, bold)
    x, y = round(place[0]), round(place[1]) - rise
    left, top = max(x, 0), max(y, 0)
    under = image[top : y + mask.shape[0], left : x + mask.shape[1]]
    part = mask[top - y :, left - x :][: under.shape[0], : under.shape[1], None] * strength
    if part.size:
        under[:] = np.rint(under * (1 - part) + part * np.array(colour, np.float32))


def text_width(text: str, size_px: int = 14, bold: bool = False) -> int:
    """Width of a line in pixels."""
    return _drawn(text, size_px, bold)[0].shape[1]


def shortened(text: str, width_px: int, size_px: int = 14, bold: bool = False) -> str:
    """The text, or as much of it as fits into a width, with an ellipsis for its middle."""
    if text_width(text, size_px, bold) <= width_px:
        return text
    for kept in range(len(text) - 1, 0, -1):
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        if text_width(short, size_px, bold) <= width_px:
            return short
    return "…"


@lru_cache(maxsize=1024)
def _drawn(text: str, size_px: int, bold: bool) -> tuple[NDArray[np.float32], int]:
    """Opacity (h, w) 0..1 of a line, and how far its top lies above the baseline."""
    font = _font(bold)
    font.set_size(size_px, 72)
    font.set_text(text, 0.0)
    font.draw_glyphs_to_bitmap(antialiased=True)
    mask = np.asarray(font.get_image(), np.float32) / np.float32(255)
    return mask, int(mask.shape[0] - round(font.get_descent() / 64))


@cache
def _font(bold: bool) -> FT2Font:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return FT2Font(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name))
