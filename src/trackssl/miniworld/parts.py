"""What drawings share: shades, rectangles, wheels, and the choice of a pattern."""

from collections.abc import Iterable

import numpy as np

from trackssl.miniworld.patterns import PATTERNS
from trackssl.miniworld.sketch import Fill, Point, Sketch, turn

PALE, MIDDLE, DARK = Fill(light=0.95), Fill(light=0.55), Fill(light=0.12)


def rectangle(x: float, y: float, half_width: float, half_height: float) -> list[Point]:
    """Corners of a rectangle about (x, y)."""
    return [
        (x - half_width, y - half_height),
        (x + half_width, y - half_height),
        (x + half_width, y + half_height),
        (x - half_width, y + half_height),
    ]


def wheels(sketch: Sketch, places: Iterable[float], radius: float, phase: float) -> None:
    """Spoked wheels of a vehicle, side by side, turned by a sixth of the phase."""
    for x in places:
        sketch.ellipse((x, 0.47), (radius, radius), DARK)
        sketch.ellipse((x, 0.47), (0.6 * radius, 0.6 * radius), PALE)
        for degrees in (0, 60, 120):
            spoke = turn([(-0.55 * radius, 0), (0.55 * radius, 0)], degrees + np.degrees(phase) / 6)
            sketch.stroke(spoke + (x, 0.47), 0.03, 0.1)


def pattern_of(rng: np.random.Generator, *usual: str) -> str:
    """One of the class's usual patterns, now and then any other."""
    return str(rng.choice(usual if rng.random() < 0.75 else tuple(PATTERNS)))
