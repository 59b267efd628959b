"""Surface patterns shared by objects and backgrounds, so that texture alone tells neither apart."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def stripes(x: Field, y: Field) -> Field:
    """Bars along y, one a unit of x; soft-edged, 0..1. The other patterns likewise."""
    return _sharp(np.cos(2 * np.pi * x))


def checks(x: Field, y: Field) -> Field:
    """A chequered board of squares of half a unit."""
    return _sharp(2 * np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y))


def dots(x: Field, y: Field) -> Field:
    """Discs on a grid of one unit."""
    return _sharp(np.cos(2 * np.pi * x) + np.cos(2 * np.pi * y) - 0.5)


def bricks(x: Field, y: Field) -> Field:
    """Courses of bricks, 1 x 0.5 units, with dark joints."""
    course = np.floor(2 * y)
    along = np.abs((x + 0.5 * (course % 2)) % 1 - 0.5)
    across = np.abs((2 * y) % 1 - 0.5)
    return np.clip((0.5 - np.maximum(along, across - 0.06)) * 12 - 0.5, 0, 1).astype(np.float32)


def scales(x: Field, y: Field) -> Field:
    """Rows of overlapping scales, bright in the middle and dark at the rim."""
    row = np.floor(2 * y)
    along = (x + 0.5 * (row % 2)) % 1 - 0.5
    across = (2 * y) % 1
    return np.clip(1.35 - 2.2 * np.hypot(along, 0.55 * across), 0, 1).astype(np.float32)


def zigzag(x: Field, y: Field) -> Field:
    """Bars that run in zigzag along y."""
    return _sharp(np.cos(2 * np.pi * (x + np.abs(y % 1 - 0.5))))


def _sharp(wave: Field) -> Field:
    """A wave in -1..1 with steepened edges, as 0..1."""
    return np.clip(0.5 + 1.5 * wave, 0, 1).astype(np.float32)


PATTERNS: dict[str, Callable[[Field, Field], Field]] = {
    "stripes": stripes,
    "checks": checks,
    "dots": dots,
    "bricks": bricks,
    "scales": scales,
    "zigzag": zigzag,
}


def turned(x: Field, y: Field, frequency: float, degrees: float = 0.0) -> tuple[Field, Field]:
    """Coordinates in periods of a pattern that is turned by an angle."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return frequency * (c * x + s * y), frequency * (c * y - s * x)
