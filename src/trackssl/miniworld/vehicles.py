"""Drawings of what rolls: bus, truck, wheel."""

import numpy as np

from trackssl.miniworld.parts import DARK, MIDDLE, PALE, pattern_of, rectangle, wheels
from trackssl.miniworld.sketch import Fill, Sketch, turn


def draw_bus(sketch: Sketch, rng: np.random.Generator, phase: float) -> None:
    """Long body with a row of windows, patterned band, turning wheels. Drives to the right."""
    top, slant, radius = rng.uniform(-0.65, -0.25), rng.uniform(0.0, 0.2), rng.uniform(0.14, 0.24)
    windows, glass = int(rng.integers(2, 6)), rng.uniform(0.2, 0.4)
    band = Fill(
        0.2, 0.8, pattern_of(rng, "stripes", "checks"), rng.uniform(2, 6), rng.choice([0, 90])
    )
    floor, back = 0.42, rng.uniform(-0.8, -0.5)
    hull = [(-0.95, top), (0.92 - slant, top), (0.94, 0.1), (0.94, floor), (-0.95, floor)]
    sketch.polygon(hull, Fill(light=rng.uniform(0.4, 0.7)))
    sketch.polygon(rectangle(0, (top + glass + 0.1 + floor) / 2, 0.93, 0.1), band)
    step = 1.7 / windows
    for k in range(windows):
        middle = -0.87 + (k + 0.5) * step
        sketch.polygon(rectangle(middle, top + 0.08 + glass / 2, 0.4 * step, glass / 2), PALE)
    sketch.ellipse((0.88, 0.3), (0.05, 0.06), PALE)
    wheels(sketch, (back, rng.uniform(0.45, 0.65)), radius, phase)


def draw_truck(sketch: Sketch, rng: np.random.Generator, phase: float) -> None:
    """Striped load, cabin with a window and a lamp, turning wheels. Drives to the right."""
    split, top = rng.uniform(0.0, 0.45), rng.uniform(-0.75, -0.05)
    roof, slant = rng.uniform(-0.5, -0.05), rng.uniform(0.0, 0.25)
    radius, axles = rng.uniform(0.14, 0.26), int(rng.integers(1, 4))
    load = Fill(
        0.2, 0.9, pattern_of(rng, "stripes", "zigzag"), rng.uniform(1.5, 5), rng.choice([0, 90])
    )
    floor = 0.42
    sketch.polygon([(-0.95, top), (split, top), (split, floor - 0.08), (-0.95, floor - 0.08)], load)
    sketch.polygon(rectangle(0, floor - 0.03, 0.93, 0.07), DARK)
    cabin = [(split + 0.04, roof), (0.9 - slant, roof), (0.93, 0.15), (0.93, floor)]
    sketch.polygon([*cabin, (split + 0.04, floor)], MIDDLE)
    window = [(split + 0.14, roof + 0.08), (0.84 - slant, roof + 0.08), (0.84, 0.12)]
    sketch.polygon([*window, (split + 0.14, 0.12)], PALE)
    sketch.ellipse((0.88, 0.27), (0.05, 0.07), PALE)
    wheels(sketch, (0.62, *np.linspace(-0.65, -0.65 + 1.1 * radius * axles, axles)), radius, phase)


def draw_wheel(sketch: Sketch, rng: np.random.Generator, phase: float) -> None:
    """Tyre with blocks of tread, rim, spokes that turn, hub."""
    spokes, width = int(rng.integers(3, 11)), rng.uniform(0.03, 0.12)
    rim, hub = rng.uniform(0.5, 0.78), rng.uniform(0.1, 0.28)
    blocks = spokes * int(rng.integers(0, 5))
    spin = np.degrees(phase) / spokes
    sketch.ellipse((0, 0), (0.92, 0.92), Fill(light=0.3))
    for k in range(blocks):
        block = [(0.8, -0.05), (0.95, -0.05), (0.95, 0.05), (0.8, 0.05)]
        sketch.polygon(turn(block, spin + 360 * k / blocks), PALE, edge=0)
    sketch.ellipse((0, 0), (rim + 0.08, rim + 0.08), PALE)
    sketch.ellipse((0, 0), (rim, rim), Fill(light=rng.uniform(0.2, 0.5)))
    for k in range(spokes):
        spoke = [(0, -width), (rim, -0.6 * width), (rim, 0.6 * width), (0, width)]
        sketch.polygon(turn(spoke, spin + 360 * k / spokes), Fill(light=0.85))
    sketch.ellipse((0, 0), (hub, hub), MIDDLE)
    sketch.ellipse((0, 0), (0.4 * hub, 0.4 * hub), DARK)
