"""Drawings of what is made: clock, guitar, house, kite; and of what only stands in front."""

import numpy as np

from trackssl.miniworld.parts import DARK, MIDDLE, PALE, pattern_of, rectangle
from trackssl.miniworld.patterns import PATTERNS
from trackssl.miniworld.sketch import Fill, Sketch, turn


def draw_clock(sketch: Sketch, rng: np.random.Generator, phase: float) -> None:
    """Patterned case, pale face with ticks, hands that move; some have bells and feet."""
    face, ticks = rng.uniform(0.5, 0.74), int(rng.choice([4, 8, 12]))
    tick, hand = rng.uniform(0.06, 0.16), rng.uniform(0.03, 0.07)
    hour, case = (
        rng.uniform(0, 360),
        Fill(0.2, 0.6, pattern_of(rng, "dots", "checks"), rng.uniform(3, 7)),
    )
    if rng.random() < 0.5:
        for side in (-1, 1):
            sketch.ellipse((side * 0.5, -0.75), (0.28, 0.18), MIDDLE, side * 35)
            sketch.polygon([(side * 0.45, 0.6), (side * 0.72, 0.95), (side * 0.65, 0.5)], DARK)
    sketch.ellipse((0, 0), (0.88, 0.88), case)
    sketch.ellipse((0, 0), (face, face), PALE)
    for k in range(ticks):
        mark = rectangle(face - tick, 0, tick / 1.5, 0.035)
        sketch.polygon(turn(mark, 360 * k / ticks), DARK, edge=0)
    for reach, turned in ((0.75 * face, np.degrees(phase)), (0.5 * face, 0)):
        pointer = [(-0.1, -hand), (reach, 0), (-0.1, hand)]
        sketch.polygon(turn(pointer, hour + turned), DARK, edge=0.015)
    sketch.ellipse((0, 0), (0.07, 0.07), MIDDLE)


def draw_guitar(sketch: Sketch, rng: np.random.Generator, phase: float) -> None:
    """Waisted grainy body with a sound hole and bridge, fretted neck, head with pegs, strings."""
    lower, upper = rng.uniform(0.4, 0.66), rng.uniform(0.28, 0.46)
    neck, frets = rng.uniform(0.06, 0.13), int(rng.integers(3, 9))
    grain = Fill(
        0.45, 0.9, pattern_of(rng, "stripes", "zigzag"), rng.uniform(3, 9), rng.uniform(-8, 8)
    )
    hole = rng.uniform(0.07, 0.18)
    sketch.polygon(rectangle(0, -0.85, neck + 0.05, 0.12), MIDDLE)
    for side in (-1, 1):
        for y in (-0.92, -0.84, -0.76):
            sketch.ellipse((side * (neck + 0.09), y), (0.045, 0.03), PALE, edge=0.015)
    along = np.linspace(0, np.pi, 24)
    waist = lower * np.sin(along) ** 0.6 * (1 - 0.3 * np.exp(-(((along - 1.9) / 0.35) ** 2)))
    waist *= np.where(along > 1.9, upper / lower, 1)
    right = np.stack([waist, 0.33 + 0.6 * np.cos(along)], 1)
    sketch.polygon(np.concatenate([right, right[::-1] * (-1, 1)]), grain, edge=0.05)
    sketch.polygon(rectangle(0, -0.32, neck, 0.45), Fill(light=0.3))
    for fret in np.linspace(-0.7, 0.02, frets):
        sketch.stroke([(-neck, fret), (neck, fret)], 0.03, 0.95)
    sketch.ellipse((0, 0.22), (hole, hole), DARK, edge=0.06)
    sketch.polygon(rectangle(0, 0.62, 0.2, 0.05), DARK)
    for x in (-0.03, 0.03):
        sketch.stroke([(x, -0.8), (x + 0.008 * np.sin(phase), 0.1), (x, 0.62)], 0.012, 0.8)


def draw_house(sketch: Sketch, rng: np.random.Generator, phase: float) -> None:
    """Brick wall, tiled roof with a chimney and its smoke, windows with bars, a door."""
    width, eaves = rng.uniform(0.45, 0.82), rng.uniform(-0.45, 0.15)
    ridge, flat = eaves - rng.uniform(0.3, 0.5), rng.uniform(0, 0.7)
    wall = Fill(0.25, 0.8, pattern_of(rng, "bricks"), rng.uniform(2.5, 5.5))
    tiles = Fill(0.1, 0.65, pattern_of(rng, "scales", "stripes"), rng.uniform(3, 7))
    windows, door_first = int(rng.integers(0, 3)), bool(rng.integers(2))
    chimney, puff = rng.choice([-1, 0, 1]) * 0.45 * width, 0.04 * np.sin(phase)
    if chimney:
        sketch.polygon(rectangle(chimney, eaves - 0.25, 0.11, 0.22), wall)
        sketch.ellipse((chimney + puff, eaves - 0.48), (0.12, 0.08), Fill(light=0.9))
    sketch.polygon(rectangle(0, (0.92 + eaves) / 2, width, (0.92 - eaves) / 2), wall)
    roof = [(-width - 0.14, eaves), (-flat * width, ridge), (flat * width, ridge)]
    sketch.polygon([*roof, (width + 0.14, eaves)], tiles)
    places = np.linspace(-width, width, windows + 3)[1:-1]
    door = places[0 if door_first else -1]
    for x in places:
        if x == door:
            sketch.polygon(rectangle(x, 0.67, 0.13, 0.25), DARK)
            continue
        sketch.polygon(rectangle(x, 0.4 + eaves / 3, 0.14, 0.16), PALE)
        sketch.stroke([(x - 0.14, 0.4 + eaves / 3), (x + 0.14, 0.4 + eaves / 3)], 0.03, 0.05)
        sketch.stroke([(x, 0.24 + eaves / 3), (x, 0.56 + eaves / 3)], 0.03, 0.05)


def draw_kite(sketch: Sketch, rng: np.random.Generator, phase: float) -> None:
    """Diamond of four panels, plain and chequered, and a swaying tail with bows."""
    width, cross, tip = rng.uniform(0.4, 0.85), rng.uniform(-0.55, -0.1), rng.uniform(0.2, 0.65)
    kind, frequency = pattern_of(rng, "checks", "zigzag"), rng.uniform(1.5, 4.5)
    bows, lean = int(rng.integers(0, 5)), rng.choice([-1, 1])
    panel = Fill(0.1, 0.95, kind, frequency, rng.choice([0, 45]))
    corners = [(0, -0.95), (width, cross), (0, tip), (-width, cross)]
    along = np.linspace(0, 1, 12)
    sway = lean * 0.22 * np.sin(5 * along + phase) * along
    tail = np.stack([sway, tip + (0.9 - tip) * along], 1)
    sketch.stroke(tail, 0.04, 0.2)
    for x, y in tail[np.linspace(4, 11, bows).astype(int)]:
        for side in (-1, 1):
            sketch.polygon([(x, y), (x + side * 0.17, y - 0.08), (x + side * 0.17, y + 0.08)], PALE)
    for k in range(4):
        sketch.polygon([(0, cross), corners[k], corners[(k + 1) % 4]], panel if k % 2 else MIDDLE)
    sketch.stroke([corners[0], corners[2]], 0.05, 0.1)
    sketch.stroke([corners[1], corners[3]], 0.05, 0.1)


def draw_leaf(sketch: Sketch, rng: np.random.Generator, phase: float) -> None:
    """No class: a patterned scrap that hangs or drifts in front of things."""
    angle = np.linspace(0, 2 * np.pi, int(rng.integers(4, 9)), endpoint=False)
    reach = rng.uniform(0.45, 0.95, len(angle))
    kind = rng.choice(tuple(PATTERNS))
    surface = Fill(rng.uniform(0.1, 0.4), rng.uniform(0.5, 0.9), kind, rng.uniform(1, 4))
    sketch.polygon(np.stack([reach * np.cos(angle), reach * np.sin(angle)], 1), surface)


def draw_post(sketch: Sketch, rng: np.random.Generator, phase: float) -> None:
    """No class: a patterned post that passes in front of things."""
    width = rng.uniform(0.15, 0.35)
    kind = rng.choice(["stripes", "bricks", "zigzag", "dots", "checks"])
    surface = Fill(rng.uniform(0.1, 0.4), rng.uniform(0.6, 0.9), kind, rng.uniform(2, 6), 90)
    sketch.polygon(rectangle(0, 0, width, 0.98), surface)
