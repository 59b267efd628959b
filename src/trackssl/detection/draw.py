"""Pictures of detections: boxes with class and score."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.images import Image
from trackssl.lettering import Colour, text_width, write_text_on

_LONG_SIDE_PX = 1_000  # of the picture: lettering is equally readable on any photograph
_TEXT_PX, _LABEL_PX, _PAD_PX = 16, 24, 6
_INK = (24, 20, 18)
_COLOURS: tuple[Colour, ...] = (
    (80, 200, 255), (120, 230, 120), (255, 190, 90), (190, 140, 255), (230, 230, 90),
    (130, 150, 255), (110, 240, 220), (255, 150, 210), (200, 220, 160), (220, 200, 200),
)  # fmt: skip


class Detection(NamedTuple):
    """An object found."""

    label: str
    score: float
    box: NDArray[np.float32]  # (4,) x0, y0, x1, y1: edges from 0 in pixels


def draw_detections(image: Image, found: Sequence[Detection], classes: Sequence[str]) -> Image:
    """An image (H, W, 3) uint8 BGR with its detections, enlarged or shrunk to a long side of 1,000.

    A class has the same colour in every picture; the best detections lie on top.
    """
    scale = _LONG_SIDE_PX / max(image.shape[:2])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    smooth = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    picture = np.array(cv2.resize(image, size, interpolation=smooth), np.uint8)
    ranked = sorted(found, key=lambda detection: -detection.score)
    boxes = [np.rint(detection.box * scale).astype(int).tolist() for detection in ranked]
    colours = [_COLOURS[classes.index(detection.label) % len(_COLOURS)] for detection in ranked]
    for (x0, y0, x1, y1), colour in reversed(list(zip(boxes, colours, strict=True))):
        corners = (x0 + 1, y0 + 1), (max(x1 - 2, x0 + 1), max(y1 - 2, y0 + 1))
        cv2.rectangle(picture, *corners, _INK, 5)
        cv2.rectangle(picture, *corners, colour, 3)
    taken: list[tuple[int, int, int, int]] = []
    labels = []
    for detection, box, colour in zip(ranked, boxes, colours, strict=True):
        text = f"{detection.label}  {detection.score:.2f}".replace("-", "−")
        width = text_width(text, _TEXT_PX, bold=True) + 2 * _PAD_PX
        place = _place(box, width, size, taken)
        taken.append((*place, place[0] + width, place[1] + _LABEL_PX))
        labels.append((place, width, text, colour))
    for (x, y), width, text, colour in reversed(labels):
        picture[y : y + _LABEL_PX, x : x + width] = colour
        baseline = (x + _PAD_PX, y + _LABEL_PX - _PAD_PX)
        write_text_on(picture, baseline, text, _INK, _TEXT_PX, bold=True)
    return picture


def _place(
    box: Sequence[int], width: int, size: Sequence[int], taken: Sequence[Sequence[int]]
) -> tuple[int, int]:
    """Top left of a label: at a corner of its box where no other label lies, if there is one."""
    x0, y0, x1, y1 = box
    rows = (y0 - _LABEL_PX, y0, y1 - _LABEL_PX, y1)
    places = [
        (max(min(x, size[0] - width), 0), max(min(y, size[1] - _LABEL_PX), 0))
        for y in rows
        for x in (x0, x1 - width)
    ]
    for x, y in places:
        if all(
            x >= right or x + width <= left or y >= bottom or y + _LABEL_PX <= top
            for left, top, right, bottom in taken
        ):
            return x, y
    return places[0]
