"""Drawings of what lives: butterfly, fish, flower."""

import numpy as np

from trackssl.miniworld.parts import DARK, PALE, pattern_of
from trackssl.miniworld.sketch import Fill, Sketch, ellipse_points, turn


def draw_butterfly(sketch: Sketch, rng: np.random.Generator, phase: float) -> None:
    """Two pairs of flapping wings with ringed spots and dark margins, a body, feelers."""
    upper, lower = rng.uniform(0.34, 0.5), rng.uniform(0.2, 0.46)
    rise, drop = rng.uniform(12, 50), rng.uniform(22, 62)
    spot, base = rng.choice([0.0, 1.0, 1.0]) * rng.uniform(0.07, 0.18), rng.uniform(0.4, 0.9)
    veined = Fill(0.45 * base, base, pattern_of(rng, "stripes", "zigzag"), rng.uniform(3, 8), 90)
    flap = 0.85 + 0.15 * np.cos(phase)
    for side in (-1, 1):
        for size, degrees, slim in ((lower, drop, 0.75), (upper, -rise, 0.62)):
            centre = turn([(size, 0)], degrees)[0]
            wing = ellipse_points(tuple(centre), (size, slim * size), degrees) * (side * flap, 1)
            sketch.polygon(wing, veined, edge=0.07)
            where = turn([(1.25 * size, 0)], degrees)[0] * (side * flap, 1)
            for radius, fill in ((1.0, PALE), (0.55, DARK)) if spot else ():
                sketch.ellipse(tuple(where), (radius * spot * flap, radius * spot), fill, edge=0.02)
        sketch.stroke([(0, -0.3), (side * 0.08, -0.6), (side * 0.22, -0.78)], 0.03, 0.1)
    sketch.ellipse((0, 0.05), (0.09, 0.42), Fill(0.1, 0.6, "stripes", 6, 90))
    sketch.ellipse((0, -0.36), (0.1, 0.1), DARK)


def draw_fish(sketch: Sketch, rng: np.random.Generator, phase: float) -> None:
    """Scaly body, forked tail that wags, striped fins, an eye. Looks to the right."""
    length, height = rng.uniform(0.52, 0.68), rng.uniform(0.28, 0.58)
    scales = Fill(0.15, 0.95, pattern_of(rng, "scales", "dots"), rng.uniform(3, 7), 90)
    finned = Fill(0.25, 0.85, "stripes", rng.uniform(6, 10), rng.uniform(-30, 30))
    tail, fork = rng.uniform(0.18, 0.55), rng.uniform(-0.1, 0.3)
    fin_at, fin_height = rng.uniform(-0.25, 0.35), rng.uniform(0.0, 0.4)
    wag = 0.15 * np.sin(phase)
    back = 0.3 - length
    sketch.polygon(
        [(back + 0.15, 0), (-0.95, wag - tail), (-0.95 + fork, wag), (-0.95, wag + tail)], finned
    )
    top = [(fin_at - 0.25, -0.1), (fin_at - 0.22, -height - fin_height), (fin_at + 0.28, -0.1)]
    sketch.polygon(top, finned)
    sketch.polygon([(x - 0.05, -0.75 * y + wag / 3) for x, y in top], finned)
    sketch.ellipse((0.3, 0), (length, height), scales)
    sketch.stroke(ellipse_points((0.5, 0), (0.12, 0.8 * height))[-9:], 0.04, 0.05)
    sketch.ellipse((0.7, -0.25 * height), (0.09, 0.09), PALE)
    sketch.ellipse((0.72, -0.25 * height), (0.04, 0.04), DARK, edge=0)


def draw_flower(sketch: Sketch, rng: np.random.Generator, phase: float) -> None:
    """Ring of striped petals around a dotted disc, on a stem with leaves that sways."""
    petals, reach = int(rng.integers(4, 12)), rng.uniform(0.42, 0.64)
    plump, heart = rng.uniform(0.7, 1.5), rng.uniform(0.12, 0.32)
    leaf, leaf_y, streaks = rng.uniform(0.12, 0.42), rng.uniform(0.4, 0.7), rng.uniform(5, 10)
    leaves = [(-1,), (1,), (-1, 1), (-1, 1)][rng.integers(4)]
    petal, sway = pattern_of(rng, "stripes"), 0.08 * np.sin(phase)
    sketch.stroke([(sway, -0.3), (-sway / 2, 0.3), (0, 0.95)], 0.08, 0.25)
    for side in leaves:
        tilt = side * (-30 + 60 * sway)
        sketch.ellipse((side * leaf, leaf_y), (leaf, 0.13), Fill(light=0.5), tilt)
        sketch.stroke([(0, leaf_y + 0.15), (side * 1.6 * leaf, leaf_y - 0.1)], 0.03, 0.05)
    for k in range(petals):
        degrees = 360 * k / petals + 150 * sway
        centre = turn([(0.55 * reach, 0)], degrees)[0] + (sway, -0.33)
        streaked = Fill(0.35, 0.95, petal, streaks, degrees + 90)
        sketch.ellipse(
            tuple(centre), (0.5 * reach, plump * reach / petals * 1.9), streaked, degrees
        )
    sketch.ellipse((sway, -0.33), (heart, heart), Fill(0.1, 0.6, "dots", 10))
