"""Backgrounds: cluttered mosaics from one pool of patterns; none marks a video or a class."""

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.images import Image
from trackssl.miniworld.light import colour
from trackssl.miniworld.patterns import PATTERNS, turned
from trackssl.miniworld.sketch import ellipse_points, turn

_REGION_AREA_PX = 26_000
_SHAPE_AREA_PX = 3_400


def draw_background(rng: np.random.Generator, height: int, width: int) -> Image:
    """A canvas (H, W, 3) uint8: a gradient, large patterned fields, shapes of no class on top."""
    canvas = _gradient(rng, height, width)
    area = height * width
    clutter = rng.uniform(0.5, 1.2)
    for _ in range(round(area / _REGION_AREA_PX)):
        _paint(rng, canvas, _blob(rng, rng.uniform(60, 150), corners=6), contrast=34)
    for _ in range(round(clutter * area / _SHAPE_AREA_PX)):
        _paint(rng, canvas, _shape(rng, rng.uniform(6, 26)), contrast=70)
    return cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.8, 1.5)).astype(np.uint8)


def _colour(rng: np.random.Generator) -> NDArray[np.float64]:
    return colour(rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.25), rng.uniform(50, 215))


def _gradient(rng: np.random.Generator, height: int, width: int) -> Image:
    corners = np.stack([_colour(rng) for _ in range(4)]).reshape(2, 2, 3).astype(np.float32)
    return cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _paint(rng: np.random.Generator, canvas: Image, outline: NDArray, contrast: float) -> None:
    """Fill an outline, at a random place, with a plain or patterned pair of near colours."""
    height, width = canvas.shape[:2]
    points = np.round(outline + rng.uniform((0, 0), (width, height))).astype(np.int32)
    x0, y0 = np.clip(points.min(axis=0), 0, (width, height))
    x1, y1 = np.clip(points.max(axis=0) + 1, 0, (width, height))
    frequency, degrees = rng.uniform(0.04, 0.13), rng.uniform(0, 180)
    first = _colour(rng)
    second = np.clip(first + rng.uniform(-contrast, contrast) + rng.normal(0, 8, 3), 0, 255)
    kind = rng.choice([*PATTERNS, ""], p=[0.1] * len(PATTERNS) + [1 - 0.1 * len(PATTERNS)])
    if x1 <= x0 or y1 <= y0:
        return
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(mask, [points - (x0, y0)], 255)
    surface: NDArray = first.astype(np.uint8)
    if kind:
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        level = PATTERNS[kind](*turned(x, y, frequency, degrees))
        shades = first + np.linspace(0, 1, 256)[:, None] * (second - first)
        surface = cv2.LUT(
            cv2.merge([(255 * level).astype(np.uint8)] * 3), shades.astype(np.uint8)[None]
        )
    np.copyto(canvas[y0:y1, x0:x1], surface, where=mask[..., None] > 0)


def _blob(rng: np.random.Generator, radius: float, corners: int) -> NDArray:
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = radius * rng.uniform(0.5, 1.2, corners)
    return np.stack([reach * np.cos(angle), reach * np.sin(angle)], 1)


def _shape(rng: np.random.Generator, radius: float) -> NDArray:
    """A disc, bar, triangle or shard about the origin, (N, 2)."""
    degrees, slim = rng.uniform(0, 180), rng.uniform(0.15, 1)
    match rng.integers(4):
        case 0:
            return ellipse_points((0, 0), (radius, slim * radius), degrees)
        case 1:
            box = np.array([(-1, -slim), (1, -slim), (1, slim), (-1, slim)])
            return turn(radius * 1.3 * box, degrees)
        case 2:
            return turn(radius * 1.4 * np.array([(-1, slim), (1, slim), (0, -1)]), degrees)
        case _:
            return _blob(rng, 1.3 * radius, corners=7)
