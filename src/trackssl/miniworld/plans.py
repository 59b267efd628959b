"""What happens in a video: its shots, actors, camera and mishaps, all drawn before a frame is.

Most videos give the miner pairs. Some parts make each of its rejections happen: stillness (too few
points move), water and close-ups (too many), posts that pass in front and exits (tracks are lost),
cuts.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trackssl.miniworld.light import Ambient, Light
from trackssl.miniworld.motion import Path, Wave
from trackssl.miniworld.objects import CLASSES
from trackssl.miniworld.scenes import Actor, Camera
from trackssl.randomness import generator

HEIGHT, WIDTH, FPS, FRAMES = 240, 320, 24, 120
CANVAS_HEIGHT, CANVAS_WIDTH = 460, 580
_MARGIN_PX = 24  # of the canvas, for shake and zoom


@dataclass(frozen=True)
class Shot:
    """What is seen from frame `first` to the next cut; actors from back to front."""

    first: int
    key: str
    actors: tuple[Actor, ...]
    camera: Camera
    under_water: bool = False  # the background ripples, as no homography does


@dataclass(frozen=True)
class Plan:
    """A whole video; `clock` (FRAMES,) is the scene's time, which stands still in stillness."""

    shots: tuple[Shot, ...]
    clock: NDArray[np.float64]
    still: NDArray[np.bool_]
    ambient: Ambient

    def shot(self, frame: int) -> Shot:
        """The shot that a frame is in."""
        return next(shot for shot in reversed(self.shots) if shot.first <= frame)


def plan_video(seed: int, index: int) -> Plan:
    """The plan of video `index` of a world."""
    rng = generator(seed, "video", index)
    cuts = [0] if rng.random() > 0.2 else [0, int(rng.integers(46, 74))]
    shots = tuple(_shot(seed, index, number, first) for number, first in enumerate(cuts))
    still = np.zeros(FRAMES, bool)
    if rng.random() < 0.2:
        start = int(rng.integers(5, 70))
        still[start : start + int(rng.integers(30, 50))] = True
    clock = np.concatenate([[0.0], np.cumsum(~still[1:])])
    return Plan(shots, clock, still, Ambient.drawn(rng, FRAMES))


def cast(
    rng: np.random.Generator,
    name: str,
    individual: str,
    half_px: float,
    path: Path,
) -> Actor:
    """An actor with random swings of pose, size and light."""
    return Actor(
        name,
        individual,
        path,
        half_px=Wave.drawn(rng, 0.1 * half_px, (70, 140), half_px),
        roll=Wave.drawn(rng, rng.uniform(8, 18), (80, 160), rng.uniform(-15, 15)),
        yaw=Wave.drawn(rng, rng.uniform(10, 35), (80, 160), rng.uniform(-25, 25)),
        pitch=Wave.drawn(rng, rng.uniform(5, 20), (80, 160), rng.uniform(-20, 20)),
        stretch=float(np.exp(rng.uniform(-0.22, 0.22))),
        mirrored=bool(rng.integers(2)),
        light=Light.drawn(rng),
        beat=rng.uniform(28, 60),
        turn_from=rng.uniform(0, FRAMES) if rng.random() < 0.15 else np.inf,
    )


def draw_class(seed: int, what: str, number: int) -> str:
    """The leading class of item `number`: random, but each block of items holds every class."""
    block, place = divmod(number, len(CLASSES))
    return CLASSES[generator(seed, what, "classes", block).permutation(len(CLASSES))[place]]


def _shot(seed: int, index: int, number: int, first: int) -> Shot:
    rng = generator(seed, "video", index, "shot", number)
    key = f"{seed}/{index}/{number}"
    lead = draw_class(seed, "videos", 2 * index + number)
    kind = rng.choice(["plain", "close-up", "water"], p=[0.86, 0.07, 0.07])
    count = 1 if kind == "close-up" else int(rng.choice([1, 2, 3], p=[0.35, 0.5, 0.15]))
    names = [lead, *map(str, rng.choice(CLASSES, count - 1))]
    lanes = _lanes(rng, count)
    actors = []
    for k, (name, lane) in enumerate(zip(names, lanes, strict=True)):
        half_px = rng.uniform(150, 190) if kind == "close-up" else _half_px(rng, count)
        actors.append(cast(rng, name, f"{key}/{k}", half_px, _path(rng, lane, half_px)))
    if rng.random() < 0.35:
        actors += [_drifting_leaf(rng, f"{key}/leaf{k}") for k in range(3)]
    if rng.random() < 0.25:
        actors.append(_passing_post(rng, f"{key}/post"))
    return Shot(first, key, tuple(actors), _camera(rng), kind == "water")


def _half_px(rng: np.random.Generator, count: int) -> float:
    return rng.uniform(*{1: (58, 72), 2: (48, 64), 3: (40, 50)}[count])


def _lanes(rng: np.random.Generator, count: int) -> list[tuple[float, float, float, float]]:
    """Where each actor moves (x0, y0, x1, y1): side by side, or one above the other."""
    upright = count == 3 or rng.random() < 0.5
    edges = np.linspace(0, WIDTH if upright else HEIGHT, count + 1)
    lanes = [
        (low, 0, high, HEIGHT) if upright else (0, low, WIDTH, high)
        for low, high in pairwise(edges)
    ]
    return [lanes[k] for k in rng.permutation(count)]


def _path(
    rng: np.random.Generator, lane: tuple[float, float, float, float], half_px: float
) -> Path:
    """To and fro within a lane; a few cross the frame and leave it."""
    direction, speed = rng.uniform(0, 2 * np.pi), rng.uniform(1.0, 2.4)
    velocity = (speed * np.cos(direction), speed * np.sin(direction))
    x0, y0, x1, y1 = lane
    if rng.random() < 0.12:
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        return Path((middle[0] - 30 * velocity[0], middle[1] - 30 * velocity[1]), velocity)
    inset_x = min(0.8 * half_px, (x1 - x0) / 2 - 12)
    inset_y = min(0.8 * half_px, (y1 - y0) / 2 - 12)
    area = (x0 + inset_x, y0 + inset_y, x1 - inset_x, y1 - inset_y)
    return Path((rng.uniform(area[0], area[2]), rng.uniform(area[1], area[3])), velocity, area)


def _drifting_leaf(rng: np.random.Generator, individual: str) -> Actor:
    """A small scrap that drifts through the frame, before the objects."""
    way = Path(tuple(rng.uniform((0, 0), (WIDTH, HEIGHT))), tuple(rng.uniform(-0.9, 0.9, 2)))
    return cast(rng, "leaf", individual, rng.uniform(12, 26), way)


def _passing_post(rng: np.random.Generator, individual: str) -> Actor:
    """A post that crosses the frame once, before all else."""
    speed = rng.choice([-1, 1]) * rng.uniform(3.5, 6)
    crossing = rng.uniform(20, 100)
    return Actor(
        "post",
        individual,
        Path((WIDTH / 2 - crossing * speed, HEIGHT / 2), (speed, 0)),
        Wave(mean=rng.uniform(140, 190)),
        Wave(mean=rng.uniform(-15, 15)),
        Wave(),
        Wave(),
        False,
        Light.drawn(rng),
    )


def _camera(rng: np.random.Generator) -> Camera:
    """Static, or panning, shaking and zooming a little."""
    area = (
        _MARGIN_PX,
        _MARGIN_PX,
        CANVAS_WIDTH - WIDTH - _MARGIN_PX,
        CANVAS_HEIGHT - HEIGHT - _MARGIN_PX,
    )
    start = (rng.uniform(area[0], area[2]), rng.uniform(area[1], area[3]))
    if rng.random() < 0.45:
        return Camera(Path(start, (0, 0), area))
    direction, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.6)
    return Camera(
        Path(start, (speed * np.cos(direction), speed * np.sin(direction)), area),
        shake=(Wave.drawn(rng, 1.6, (9, 20)), Wave.drawn(rng, 1.6, (9, 20))),
        roll=Wave.drawn(rng, 1.0, (25, 60)),
        zoom=Wave.drawn(rng, 0.03, (60, 140), 1.02),
    )
