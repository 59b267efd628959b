"""Drawings of what stands and hangs in rooms: shades only, each with an individual's own traits."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from trackssl.miniworld.parts import DARK, MIDDLE, PALE, pattern_of, rectangle
from trackssl.miniworld.patterns import PATTERNS
from trackssl.miniworld.sketch import Fill, Sketch

Draw = Callable[[Sketch, np.random.Generator], None]


def surface(
    *usual: str,
    frequency: tuple[float, float] = (2, 4),
    contrast: tuple[float, float] = (0.15, 0.5),
) -> Draw:
    """The drawing of a wall, floor or cloth with one of the usual patterns; `` is a plain one."""

    def draw(sketch: Sketch, rng: np.random.Generator) -> None:
        kind = pattern_of(rng, *usual) or None
        light, drop = rng.uniform(0.55, 0.95), rng.uniform(*contrast)
        degrees = rng.choice([0, 90]) if kind == "stripes" else 0
        fill = Fill(max(light - drop, 0), light, kind, rng.uniform(*frequency), degrees)
        sketch.polygon(rectangle(0, 0, 1, 1), fill, edge=0.02)

    return draw


def draw_bath(sketch: Sketch, rng: np.random.Generator) -> None:
    """A tub with a rim, feet and a tap; some have a patterned apron."""
    rim, slant = rng.uniform(-0.35, -0.1), rng.uniform(0.02, 0.2)
    apron = Fill(0.5, 0.85, "checks", rng.uniform(3, 6)) if rng.random() < 0.3 else PALE
    side = rng.choice([-1, 1]) * rng.uniform(0.5, 0.8)
    sketch.stroke([(side, rim), (side, rim - 0.45), (side * 0.75, rim - 0.45)], 0.07, 0.3)
    for x in (-0.7, 0.7):
        sketch.ellipse((x, 0.85), (0.12, 0.14), DARK)
    tub = [(-0.95, rim), (0.95, rim), (0.9 - slant, 0.6), (0.75 - slant, 0.8)]
    sketch.polygon([*tub, (slant - 0.75, 0.8), (slant - 0.9, 0.6)], apron, edge=0.05)
    sketch.ellipse((0, rim), (0.97, rng.uniform(0.08, 0.16)), MIDDLE, edge=0.05)


def draw_basin(sketch: Sketch, rng: np.random.Generator) -> None:
    """A basin on its foot, with a tap."""
    width, foot = rng.uniform(0.65, 0.95), rng.uniform(0.12, 0.3)
    sketch.polygon([(-foot, -0.2), (foot, -0.2), (foot * 1.3, 1), (-foot * 1.3, 1)], PALE)
    bowl = [(-width, -0.6), (width, -0.6), (width * 0.6, -0.1), (-width * 0.6, -0.1)]
    sketch.polygon(bowl, PALE, edge=0.05)
    sketch.ellipse((0, -0.6), (width * 0.85, 0.1), MIDDLE)
    sketch.stroke([(0, -0.6), (0, -0.95), (0.2, -0.95), (0.2, -0.8)], 0.08, 0.2)


def draw_mirror(sketch: Sketch, rng: np.random.Generator) -> None:
    """A round or oval mirror with glints."""
    across = rng.uniform(0.6, 0.95)
    sketch.ellipse((0, 0), (across, 0.95), MIDDLE, edge=0.06)
    sketch.ellipse((0, 0), (across - 0.12, 0.83), PALE)
    for x in (-0.25, 0.05):
        sketch.stroke([(x - 0.2, 0.35), (x + 0.25, -0.35)], 0.04, 0.6)


def draw_bed(sketch: Sketch, rng: np.random.Generator) -> None:
    """Seen from its foot: headboard, pillows, a patterned blanket, legs."""
    head, top = rng.uniform(-0.98, -0.6), rng.uniform(-0.3, -0.05)
    cloth = pattern_of(rng, "dots", "zigzag", "checks")
    sketch.polygon(rectangle(0, (head + 0.3) / 2, 0.78, (0.3 - head) / 2), Fill(light=0.4))
    for x in [(-0.36, 0.36), (0.0,)][int(rng.random() < 0.3)]:
        sketch.ellipse((x, top - 0.12), (0.3, 0.15), PALE)
    blanket = Fill(0.25, 0.85, cloth, rng.uniform(2, 5))
    sketch.polygon([(-0.72, top), (0.72, top), (0.95, 0.45), (-0.95, 0.45)], blanket, edge=0.04)
    sketch.polygon(rectangle(0, 0.6, 0.95, 0.16), MIDDLE, edge=0.04)
    for x in (-0.85, 0.85):
        sketch.polygon(rectangle(x, 0.87, 0.08, 0.12), DARK)


def draw_stand_lamp(sketch: Sketch, rng: np.random.Generator) -> None:
    """A lamp on a foot, with a tapering shade."""
    top, wide = rng.uniform(0.2, 0.45), rng.uniform(0.5, 0.85)
    bottom = rng.uniform(-0.45, -0.2)
    sketch.stroke([(0, bottom), (0, 0.9)], 0.08, 0.15)
    sketch.ellipse((0, 0.9), (0.4, 0.08), DARK)
    sketch.polygon([(-top, -0.95), (top, -0.95), (wide, bottom), (-wide, bottom)], PALE)


def draw_picture(sketch: Sketch, rng: np.random.Generator) -> None:
    """A framed picture of some pattern."""
    sketch.polygon(rectangle(0, 0, 0.95, 0.95), DARK)
    inner = Fill(0.3, 0.8, str(rng.choice(tuple(PATTERNS))), rng.uniform(1, 3), rng.uniform(0, 90))
    sketch.polygon(rectangle(0, 0, 0.75, 0.75), inner)


def draw_window(sketch: Sketch, rng: np.random.Generator) -> None:
    """A window with bars, some with curtains."""
    sketch.polygon(rectangle(0, 0, 0.95, 0.95), PALE, edge=0.1)
    columns, rows = rng.integers(1, 3, 2)
    for x in np.linspace(-0.95, 0.95, columns + 2)[1:-1]:
        sketch.stroke([(x, -0.95), (x, 0.95)], 0.07, 0.15)
    for y in np.linspace(-0.95, 0.95, rows + 2)[1:-1]:
        sketch.stroke([(-0.95, y), (0.95, y)], 0.07, 0.15)
    if rng.random() < 0.4:
        cloth = Fill(0.3, 0.7, "stripes", rng.uniform(3, 7))
        for side in (-1, 1):
            sketch.polygon(rectangle(side * 0.8, 0, 0.2, 0.98), cloth)


def draw_board(sketch: Sketch, rng: np.random.Generator) -> None:
    """A dark board with lines of writing and a ledge."""
    sketch.polygon(rectangle(0, -0.05, 0.97, 0.8), DARK, edge=0.06)
    for y in np.arange(-0.6, rng.uniform(-0.2, 0.6), rng.uniform(0.22, 0.35)):
        start, stop = sorted(rng.uniform(-0.85, 0.85, 2))
        steps = np.arange(start, max(stop, start + 0.4), 0.05)
        sketch.stroke(np.stack([steps, y + rng.normal(0, 0.05, len(steps))], 1), 0.035, 0.85)
    sketch.polygon(rectangle(0, 0.85, 0.97, 0.07), PALE)


def draw_desk(sketch: Sketch, rng: np.random.Generator) -> None:
    """A table top on two legs, and the back of a chair."""
    top = rng.uniform(-0.4, -0.1)
    sketch.polygon(rectangle(0, top - 0.2, 0.35, 0.3), Fill(light=0.35))
    sketch.polygon([(-0.8, top), (0.8, top), (0.97, top + 0.3), (-0.97, top + 0.3)], PALE)
    for x in (-0.85, 0.85):
        sketch.polygon(rectangle(x, (top + 1.3) / 2, 0.06, (0.7 - top) / 2), DARK, edge=0)


def draw_chair(sketch: Sketch, rng: np.random.Generator) -> None:
    """A chair with rungs in its back."""
    seat, rungs = rng.uniform(0.1, 0.3), int(rng.integers(2, 5))
    for x in (-0.6, 0.6):
        sketch.stroke([(x, -0.95), (x, 0.95)], 0.13, 0.2)
    for y in np.linspace(-0.85, seat - 0.3, rungs):
        sketch.stroke([(-0.6, y), (0.6, y)], 0.13, 0.3)
    sketch.polygon(
        [(-0.6, seat - 0.1), (0.6, seat - 0.1), (0.8, seat + 0.15), (-0.8, seat + 0.15)], MIDDLE
    )


def draw_sofa(sketch: Sketch, rng: np.random.Generator) -> None:
    """A low back, round arms, cushions, a patterned cover."""
    back, seats = rng.uniform(-0.8, -0.45), int(rng.integers(2, 4))
    cover = Fill(0.3, 0.75, pattern_of(rng, "zigzag", "scales", "dots"), rng.uniform(2, 5))
    sketch.polygon(rectangle(0, (back + 0.2) / 2, 0.8, (0.2 - back) / 2), cover, edge=0.05)
    edges = np.linspace(-0.75, 0.75, seats + 1)
    for left, right in pairwise(edges):
        sketch.polygon(rectangle((left + right) / 2, 0.3, (right - left) / 2, 0.2), MIDDLE)
    sketch.polygon(rectangle(0, 0.65, 0.85, 0.17), cover)
    for side in (-1, 1):
        sketch.polygon(rectangle(side * 0.84, 0.4, 0.13, 0.45), cover)
        sketch.ellipse((side * 0.84, -0.05), (0.15, 0.17), PALE)


def draw_screen(sketch: Sketch, rng: np.random.Generator) -> None:
    """A dark screen on a low cupboard."""
    sketch.polygon(rectangle(0, -0.25, 0.85, 0.6), DARK, edge=0.08)
    sketch.stroke([(-0.5, 0.0), (0.2, -0.6)], 0.05, 0.45)
    sketch.polygon(rectangle(0, 0.7, 0.97, 0.25), MIDDLE, edge=0.05)
    sketch.stroke([(0, 0.5), (0, 0.9)], 0.04, 0.1)


def draw_cupboards(sketch: Sketch, rng: np.random.Generator) -> None:
    """A row of doors with knobs under a top."""
    doors = int(rng.integers(3, 6))
    edges = np.linspace(-0.98, 0.98, doors + 1)
    light = rng.uniform(0.6, 0.9)
    for left, right in pairwise(edges):
        middle, half = (left + right) / 2, (right - left) / 2
        sketch.polygon(rectangle(middle, 0.1, half, 0.88), Fill(light=light), edge=0.04)
        sketch.polygon(rectangle(middle, 0.1, half * 0.65, 0.6), Fill(light=light - 0.12))
        sketch.ellipse((right - 0.3 * half, -0.2), (0.035, 0.08), DARK)
    sketch.polygon(rectangle(0, -0.86, 0.98, 0.11), DARK)


def draw_stove(sketch: Sketch, rng: np.random.Generator) -> None:
    """Plates and a pot on top, a row of knobs, an oven with its window."""
    sketch.polygon(rectangle(0, 0.2, 0.9, 0.78), PALE, edge=0.05)
    for x in np.linspace(-0.65, 0.65, int(rng.integers(4, 6))):
        sketch.ellipse((x, -0.4), (0.08, 0.08), DARK)
    sketch.polygon(rectangle(0, 0.35, 0.62, 0.35), Fill(light=0.2), edge=0.05)
    sketch.stroke([(-0.6, -0.15), (0.6, -0.15)], 0.07, 0.3)
    for x in rng.choice([-0.45, 0.4], int(rng.integers(1, 3)), replace=False):
        sketch.polygon(rectangle(x, -0.75, 0.28, 0.16), MIDDLE)
        sketch.stroke([(x - 0.4, -0.8), (x + 0.4, -0.8)], 0.05, 0.1)


def draw_hood(sketch: Sketch, rng: np.random.Generator) -> None:
    """A hood with its chimney."""
    sketch.polygon(rectangle(0, -0.5, rng.uniform(0.2, 0.4), 0.5), PALE)
    sketch.polygon([(-0.4, -0.1), (0.4, -0.1), (0.95, 0.7), (-0.95, 0.7)], MIDDLE, edge=0.05)
    sketch.polygon(rectangle(0, 0.8, 0.95, 0.12), DARK)


def draw_shelf(sketch: Sketch, rng: np.random.Generator) -> None:
    """Boards full of books, upright with some that lean."""
    boards = int(rng.integers(4, 7))
    sketch.polygon(rectangle(0, 0, 0.98, 0.98), Fill(light=0.25), edge=0.06)
    edges = np.linspace(-0.95, 0.95, boards + 1)
    for top, bottom in pairwise(edges):
        x = -0.93
        while x < 0.85:
            width = rng.uniform(0.05, 0.15)
            height = (bottom - top) * rng.uniform(0.55, 0.9)
            lean = rng.choice([0, 0.06], p=[0.85, 0.15])
            book = [(x + lean, bottom - height), (x + width + lean, bottom - height)]
            fill = Fill(light=rng.uniform(0.2, 1))
            sketch.polygon([*book, (x + width, bottom), (x, bottom)], fill, edge=0.015)
            x += width + lean + (rng.uniform(0.05, 0.3) if rng.random() < 0.08 else 0)
        sketch.stroke([(-0.97, bottom), (0.97, bottom)], 0.06, 0.75)


def draw_washer(sketch: Sketch, rng: np.random.Generator) -> None:
    """A box with a large round door, a panel and knobs."""
    door = rng.uniform(0.42, 0.62)
    sketch.polygon(rectangle(0, 0, 0.93, 0.96), PALE, edge=0.05)
    sketch.ellipse((0, 0.2), (door, door), MIDDLE, edge=0.06)
    sketch.ellipse((0, 0.2), (door * 0.7, door * 0.7), DARK)
    sketch.polygon(rectangle(0, -0.72, 0.93, 0.2), Fill(light=0.7))
    for x in rng.uniform(-0.7, 0.7, 3):
        sketch.ellipse((x, -0.72), (0.08, 0.08), DARK)


def draw_barrel(sketch: Sketch, rng: np.random.Generator) -> None:
    """The front of a lying barrel: staves, a hoop, a tap."""
    staves = Fill(0.35, 0.75, "stripes", rng.uniform(3, 6), rng.choice([0, 90]))
    sketch.ellipse((0, 0), (0.97, 0.97), DARK)
    sketch.ellipse((0, 0), (0.83, 0.83), staves, edge=0.05)
    sketch.polygon(rectangle(0, rng.uniform(-0.1, 0.1), 0.82, 0.07), MIDDLE)
    sketch.ellipse((0, 0.55), (0.09, 0.12), DARK)


def draw_door(sketch: Sketch, rng: np.random.Generator) -> None:
    """A door with panels, a handle and a frame."""
    sketch.polygon(rectangle(0, 0, 0.95, 0.98), PALE, edge=0.1)
    sketch.polygon(rectangle(0, 0.03, 0.78, 0.93), Fill(light=rng.uniform(0.3, 0.6)))
    for y in np.linspace(-0.55, 0.6, int(rng.integers(1, 4))):
        sketch.polygon(rectangle(0, y, 0.5, 0.22), Fill(light=0.72))
    sketch.ellipse((0.62, 0.05), (0.1, 0.05), DARK)


def draw_tube(sketch: Sketch, rng: np.random.Generator) -> None:
    """A bright lamp of the ceiling."""
    sketch.polygon(rectangle(0, 0, 0.95, 0.9), PALE, edge=0.1)


def draw_steps(sketch: Sketch, rng: np.random.Generator) -> None:
    """A flight of stairs seen from its foot, and its banisters."""
    count, narrow = int(rng.integers(6, 11)), rng.uniform(0.35, 0.7)
    tread = pattern_of(rng, "dots", "stripes") if rng.random() < 0.4 else None
    levels = np.linspace(0.98, -0.8, count + 1)
    for low, high in pairwise(levels):
        left, right = (0.9 - (0.9 - narrow) * (0.98 - y) / 1.78 for y in (low, high))
        edge = (low + 2 * high) / 3
        sketch.polygon([(-left, low), (left, low), (left, edge), (-left, edge)], Fill(light=0.35))
        step = [(-left, edge), (left, edge), (right, high), (-right, high)]
        sketch.polygon(step, Fill(0.6, 0.9, tread, rng.uniform(4, 7)), edge=0.02)
    for side in (-1, 1):
        for y in np.linspace(0.95, -0.8, count * 2):
            x = side * (0.9 - (0.9 - narrow) * (0.98 - y) / 1.78)
            sketch.stroke([(x, y), (x, y - 0.2)], 0.03, 0.1)
        sketch.stroke([(side * 0.9, 0.75), (side * narrow, -0.99)], 0.07, 0.2)


def draw_fridge(sketch: Sketch, rng: np.random.Generator) -> None:
    """Two doors one above the other, with handles."""
    split = rng.uniform(-0.5, 0)
    for top, bottom in ((-0.97, split), (split, 0.97)):
        box = rectangle(0, (top + bottom) / 2, 0.9, (bottom - top) / 2)
        sketch.polygon(box, PALE, edge=0.06)
        sketch.stroke([(0.7, top + 0.15), (0.7, bottom - 0.15)], 0.08, 0.3)


def draw_plant(sketch: Sketch, rng: np.random.Generator) -> None:
    """A pot with leaves."""
    for _ in range(int(rng.integers(6, 12))):
        x, y = rng.uniform((-0.6, -0.85), (0.6, -0.1))
        sketch.stroke([(0, 0.4), (x, y)], 0.04, 0.3)
        sketch.ellipse((x, y), (0.3, 0.12), MIDDLE, rng.uniform(0, 180))
    sketch.polygon([(-0.45, 0.3), (0.45, 0.3), (0.3, 0.97), (-0.3, 0.97)], Fill(light=0.7))


def draw_crate(sketch: Sketch, rng: np.random.Generator) -> None:
    """A box of boards, found anywhere."""
    sketch.polygon(rectangle(0, 0, 0.95, 0.95), MIDDLE, edge=0.08)
    sketch.stroke([(-0.9, 0.9), (0.9, -0.9)], 0.12, 0.75)
    for y in (-0.6, 0.6):
        sketch.stroke([(-0.95, y), (0.95, y)], 0.05, 0.15)
