"""Rooms of ten kinds as MIT Indoor 67 has its scenes: a folder a kind, and its two lists.

Kinds differ in layout, furniture and surfaces. Colours, views, sizes and what else stands about are
drawn for each image, so that colour says nothing about the kind and no piece of furniture alone
says all.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.files import whole_file, write_text
from trackssl.images import Image, encode_jpeg
from trackssl.miniworld import furniture as f
from trackssl.miniworld.interior import HEIGHT, WIDTH, Room
from trackssl.miniworld.light import Ambient
from trackssl.miniworld.motion import similarity
from trackssl.miniworld.sketch import Pixels, Sketch
from trackssl.miniworld.things import draw_clock
from trackssl.randomness import generator


def render_indoor(folder: Path, train_images: int, test_images: int, seed: int) -> None:
    """Write `Images/<kind>/<file>.jpg` and TrainImages.txt, TestImages.txt; counts are a kind's.

    Each image depends on the seed, its kind, list and number alone. The lists come last, so a tree
    that has them is whole.
    """
    for split, count, name in (("train", train_images, "Train"), ("test", test_images, "Test")):
        lines = []
        for kind in KINDS:
            for number in range(count):
                file = f"{kind}/{kind}_{split}_{number:04d}.jpg"
                with whole_file(folder / "Images" / file) as part:
                    part.write_bytes(encode_jpeg(draw_room(seed, kind, split, number), 92))
                lines.append(f"{file}\n")
        write_text(folder / f"{name}Images.txt", "".join(lines))


def draw_room(seed: int, kind: str, split: str, number: int) -> Image:
    """One room of a kind, (200, 260, 3) uint8 BGR."""
    rng = generator(seed, "indoor", kind, split, number)
    room = Room(rng, *_DEPTHS.get(kind, (0.4, 0.7)))
    KINDS[kind](room, rng)
    _strew(room, rng)
    image: Pixels = room.image()
    if rng.random() < 0.5:
        image = cv2.flip(image, 1)
    centre = (WIDTH / 2, HEIGHT / 2)
    turned = similarity(0, 0, rng.uniform(-4, 4), rng.uniform(1.05, 1.25), centre)
    image = cv2.warpPerspective(image, turned, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.1))
    return cv2.LUT(image, Ambient.drawn(rng, 1).ramp(0)).astype(np.uint8)


def _clock(sketch: Sketch, rng: np.random.Generator) -> None:
    draw_clock(sketch, rng, rng.uniform(0, 2 * np.pi))


def _places(rng: np.random.Generator, count: int, low: float, high: float) -> NDArray[np.float64]:
    """Middles of `count` equal parts, a little out of place."""
    edges = np.linspace(low, high, count + 1)
    return edges[:-1] + (high - low) / count * (0.5 + rng.uniform(-0.12, 0.12, count))


def _strew(room: Room, rng: np.random.Generator) -> None:
    """What is found in any room."""
    if rng.random() < 0.4:
        room.hang(
            room.new(f.draw_picture), rng.uniform(-0.7, 0.7), rng.uniform(0.65, 0.8), 0.15, 0.1
        )
    if rng.random() < 0.3:
        room.lean(
            room.new(f.draw_window),
            int(rng.choice([-1, 1])),
            rng.uniform(0.3, 0.7),
            0.15,
            0.45,
            0.35,
        )
    for draw, share in ((f.draw_plant, 0.4), (f.draw_chair, 0.3), (f.draw_crate, 0.3)):
        if rng.random() < share:
            x, z = rng.choice([-1, 1]) * rng.uniform(0.45, 0.9), rng.uniform(0.1, 0.8)
            room.stand(room.new(draw), x, z, rng.uniform(0.1, 0.16), rng.uniform(0.15, 0.3))


def _bathroom(room: Room, rng: np.random.Generator) -> None:
    tiles = f.surface("checks", "bricks", frequency=(5, 9), contrast=(0.1, 0.3))
    room.build(tiles, f.surface("checks", "dots", frequency=(3, 7)))
    side = rng.choice([-1, 1])
    room.stand(
        room.new(f.draw_bath), side * rng.uniform(0.3, 0.5), rng.uniform(0.35, 0.8), 0.5, 0.4
    )
    x = -side * rng.uniform(0.35, 0.6)
    room.stand(room.new(f.draw_basin), x, 0.95, rng.uniform(0.18, 0.26), 0.42)
    if rng.random() < 0.8:
        room.hang(room.new(f.draw_mirror), x, 0.68, rng.uniform(0.14, 0.2), 0.15)


def _bedroom(room: Room, rng: np.random.Generator) -> None:
    room.build(f.surface("stripes", "zigzag", "", contrast=(0.05, 0.25)), f.surface("stripes", ""))
    x = rng.uniform(-0.3, 0.3)
    room.stand(room.new(f.draw_bed), x, rng.uniform(0.45, 0.85), rng.uniform(0.4, 0.6), 0.5)
    for side in (-1, 1):
        if rng.random() < 0.7:
            at = x + side * rng.uniform(0.6, 0.75)
            room.stand(room.new(f.draw_crate), at, 0.95, 0.13, 0.2)
            room.stand(room.new(f.draw_stand_lamp), at, 0.94, 0.1, 0.22, y=0.2)
    if rng.random() < 0.6:
        room.hang(room.new(f.draw_window), rng.uniform(-0.6, 0.6), 0.7, 0.25, 0.2)


def _classroom(room: Room, rng: np.random.Generator) -> None:
    room.build(f.surface("", "bricks", contrast=(0.05, 0.2)), f.surface("checks", "", "stripes"))
    room.hang(room.new(f.draw_board), rng.uniform(-0.2, 0.2), 0.62, rng.uniform(0.45, 0.65), 0.2)
    if rng.random() < 0.6:
        room.hang(room.new(_clock), rng.choice([-0.8, 0.8]), 0.85, 0.1, 0.07)
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(2, 4))
    desk, high = room.new(f.draw_desk), rng.uniform(0.26, 0.32)
    for z in np.linspace(0.65, 0.1, rows):
        for x in _places(rng, columns, -0.85, 0.85):
            room.stand(desk, x, z, 0.6 / columns, high)
    if rng.random() < 0.7:
        side, window = int(rng.choice([-1, 1])), room.new(f.draw_window)
        for z in (0.25, 0.7):
            room.lean(window, side, z, 0.17, 0.45, 0.35)


def _corridor(room: Room, rng: np.random.Generator) -> None:
    room.build(f.surface("", "bricks", contrast=(0.05, 0.25)), f.surface("checks", "", "dots"))
    doors, door = int(rng.integers(2, 5)), room.new(f.draw_door)
    for side in (-1, 1):
        if rng.random() < 0.85:
            for z in _places(rng, doors, 0, 1):
                room.lean(door, side, z, 0.28 / doors, 0, rng.uniform(0.65, 0.75))
    lamp = room.new(f.draw_tube)
    for z in _places(rng, int(rng.integers(2, 5)), 0, 1):
        room.above(lamp, z, rng.uniform(0.12, 0.3), 0.07)
    if rng.random() < 0.6:
        room.hang(room.new(f.draw_door), 0, 0.35, 0.3, 0.35)


def _kitchen(room: Room, rng: np.random.Generator) -> None:
    tiles = f.surface("checks", "scales", "", frequency=(4, 8), contrast=(0.1, 0.3))
    room.build(tiles, f.surface("checks", "dots", "", frequency=(2, 5)))
    stove = rng.uniform(-0.5, 0.5)
    low = rng.uniform(0.32, 0.4)
    room.hang(room.new(f.draw_cupboards), 0, low / 2, 1, low / 2, 0.99)
    room.stand(room.new(f.draw_stove), stove, 0.95, 0.2, low * 1.12)
    for side in (-1, 1):
        if rng.random() < 0.8:
            middle = (stove + side * 0.2 + side) / 2
            half = abs(side - stove) / 2 - 0.12
            room.hang(room.new(f.draw_cupboards), middle, 0.8, half, 0.14, 0.98)
    if rng.random() < 0.7:
        room.hang(room.new(f.draw_hood), stove, 0.78, 0.18, 0.18, 0.97)
    if rng.random() < 0.6:
        room.stand(room.new(f.draw_fridge), rng.choice([-0.8, 0.8]), 0.85, 0.18, 0.68)


def _laundromat(room: Room, rng: np.random.Generator) -> None:
    room.build(f.surface("", "checks", contrast=(0.05, 0.25)), f.surface("checks", "dots"))
    count, levels = int(rng.integers(4, 7)), int(rng.integers(1, 3))
    height, washer = rng.uniform(0.3, 0.36), room.new(f.draw_washer)
    for level in range(levels):
        for x in _places(rng, count, -0.95, 0.95):
            room.stand(washer, x, 0.95, 0.88 / count, height, y=level * height)
    side = int(rng.choice([-1, 1]))
    if rng.random() < 0.8:
        for z in _places(rng, 3, 0.05, 0.95):
            room.lean(washer, side, z, 0.14, 0, height)


def _library(room: Room, rng: np.random.Generator) -> None:
    room.build(f.surface("", "stripes", contrast=(0.05, 0.2)), f.surface("zigzag", "stripes", ""))
    tall, shelf = rng.uniform(0.7, 0.95), room.new(f.draw_shelf)
    for x in _places(rng, int(rng.integers(2, 4)), -0.95, 0.95):
        room.stand(room.new(f.draw_shelf), x, 0.98, 0.3, tall)
    for side in (-1, 1):
        if rng.random() < 0.8:
            for z in _places(rng, 2, 0.0, 0.95):
                room.lean(shelf, side, z, 0.21, 0, tall)
    if rng.random() < 0.5:
        room.stand(room.new(f.draw_desk), rng.uniform(-0.4, 0.4), rng.uniform(0.2, 0.6), 0.3, 0.3)


def _livingroom(room: Room, rng: np.random.Generator) -> None:
    room.build(f.surface("stripes", "", "scales", contrast=(0.05, 0.3)), f.surface("stripes", ""))
    side = rng.choice([-1, 1])
    x, z = side * rng.uniform(0.1, 0.4), rng.uniform(0.55, 0.95)
    room.stand(room.new(f.draw_sofa), x, z, rng.uniform(0.45, 0.6), rng.uniform(0.36, 0.44))
    room.stand(room.new(f.draw_stand_lamp), x - side * 0.75, z, 0.12, rng.uniform(0.55, 0.65))
    if rng.random() < 0.6:
        x_screen, z_screen = -side * rng.uniform(0.5, 0.75), rng.uniform(0.2, 0.5)
        room.stand(room.new(f.draw_screen), x_screen, z_screen, 0.25, 0.4)
    if rng.random() < 0.6:
        room.hang(room.new(f.draw_picture), x, 0.72, rng.uniform(0.2, 0.3), 0.14)


def _stairs(room: Room, rng: np.random.Generator) -> None:
    room.build(f.surface("", "bricks", contrast=(0.05, 0.3)), f.surface("", "checks"))
    x, width = rng.uniform(-0.3, 0.3), rng.uniform(0.4, 0.65)
    room.stand(room.new(f.draw_steps), x, rng.uniform(0.5, 0.9), width, rng.uniform(0.75, 0.95))


def _winecellar(room: Room, rng: np.random.Generator) -> None:
    stones = f.surface("bricks", "scales", frequency=(2, 4), contrast=(0.2, 0.5))
    room.build(stones, f.surface("bricks", "", "dots"), stones)
    count, levels = int(rng.integers(3, 6)), int(rng.integers(1, 4))
    size, barrels = rng.uniform(0.24, 0.3), [room.new(f.draw_barrel) for _ in range(2)]
    for level in range(levels):
        for x in _places(rng, count, -0.9, 0.9):
            room.stand(barrels[level % 2], x, 0.9, 0.85 / count, size, y=level * size)
    side = int(rng.choice([-1, 1]))
    if rng.random() < 0.7:
        for z in _places(rng, 2, 0.1, 0.8):
            room.lean(barrels[0], side, z, 0.17, 0, 0.4)


_DEPTHS = {"corridor": (0.15, 0.35)}  # others: 0.4 to 0.7
KINDS: dict[str, Callable[[Room, np.random.Generator], None]] = {
    "bathroom": _bathroom,
    "bedroom": _bedroom,
    "classroom": _classroom,
    "corridor": _corridor,
    "kitchen": _kitchen,
    "laundromat": _laundromat,
    "library": _library,
    "livingroom": _livingroom,
    "stairs": _stairs,
    "winecellar": _winecellar,
}
