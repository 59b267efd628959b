"""A room as a box seen from its open side, and the things that are put into it."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.images import Image
from trackssl.miniworld.furniture import Draw, surface
from trackssl.miniworld.light import Light
from trackssl.miniworld.scenes import paint
from trackssl.miniworld.sketch import Sketch, Sprite

HEIGHT, WIDTH = 200, 260
PLAIN = surface("", contrast=(0, 0.1))
_SURFACES = 5
_CORNERS = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)  # of a sprite


@dataclass(frozen=True)
class Thing:
    """Something drawn, in its light; it may stand in a room several times."""

    sprite: Sprite
    light: Light

    @classmethod
    def drawn(cls, draw: Draw, rng: np.random.Generator) -> "Thing":
        """A new individual."""
        sketch = Sketch(edge_scale=rng.uniform(0.4, 1.3), edge_shade=rng.uniform(0, 0.3))
        draw(sketch, rng)
        return cls(sketch.sprite(gamma=np.exp(rng.uniform(-0.4, 0.4))), Light.drawn(rng))


Corners = list[tuple[float, float, float]]  # x from -1 to 1, z from near 0 to far 1, y up 0 to 1


@dataclass
class Room:
    """A box seen from its open side: floor at y 0, ceiling at 1, back wall at z 1.

    `shallow` and `deep` bound the back wall's share of the frame.
    """

    rng: np.random.Generator
    deep: float
    shallow: float
    placed: list[tuple[Thing, NDArray[np.float64]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        low, high = (0.35 * WIDTH, 0.25 * HEIGHT), (0.65 * WIDTH, 0.6 * HEIGHT)
        self._vanishing = self.rng.uniform(low, high)
        self._depth = 1 / self.rng.uniform(self.deep, self.shallow) - 1

    def new(self, draw: Draw) -> Thing:
        """A thing drawn for this room."""
        return Thing.drawn(draw, self.rng)

    def build(self, wall: Draw, floor: Draw, ceiling: Draw = PLAIN) -> None:
        """The room's five surfaces; the walls are alike. They come before all things."""
        near = max(-0.3, -0.5 / self._depth)  # beyond the frame, before the viewer
        walls = self.new(wall)
        for side in (-1, 1):
            self._place(walls, [(side, z, y) for y in (1, 0) for z in (near, 1)])
        self._place(walls, [(x, 1, y) for y in (1, 0) for x in (-1, 1)])
        for y, draw in ((0, floor), (1, ceiling)):
            self._place(self.new(draw), [(x, z, y) for z in (1, near) for x in (-1, 1)])

    def hang(
        self, thing: Thing, x: float, y: float, half_width: float, half_height: float, z: float = 1
    ) -> None:
        """Face the viewer about (x, y), on the back wall or at depth z."""
        self._place(
            thing, [(x + a * half_width, z, y + b * half_height) for b in (1, -1) for a in (-1, 1)]
        )

    def stand(
        self, thing: Thing, x: float, z: float, half_width: float, height: float, y: float = 0
    ) -> None:
        """Face the viewer from the floor, or from height y."""
        self.hang(thing, x, y + height / 2, half_width, height / 2, z)

    def lean(
        self, thing: Thing, side: int, z: float, half_depth: float, y: float, height: float
    ) -> None:
        """Along the left (-1) or right (1) wall, from height y."""
        ends = (z - half_depth, z + half_depth)
        self._place(thing, [(0.99 * side, end, up) for up in (y + height, y) for end in ends])

    def above(self, thing: Thing, z: float, half_width: float, half_depth: float) -> None:
        """On the ceiling."""
        ends = (z + half_depth, z - half_depth)
        self._place(thing, [(x, end, 0.99) for end in ends for x in (-half_width, half_width)])

    def image(self) -> Image:
        """The picture (200, 260, 3): surfaces, then things from far to near."""
        frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        things = sorted(self.placed[_SURFACES:], key=lambda item: -item[1][:, 1].mean())
        for thing, corners in [*self.placed[:_SURFACES], *things]:
            seen = self._project(corners)[[0, 1, 3, 2]].astype(np.float32)
            onto = np.asarray(cv2.getPerspectiveTransform(_CORNERS, seen), np.float64)
            paint(frame, thing.sprite, onto, thing.light.ramp(0))
        return frame

    def _place(self, thing: Thing, corners: Corners) -> None:
        self.placed.append((thing, np.array(corners, float)))

    def _project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 3) x, z, y of the room -> (N, 2) pixels."""
        x, z, y = points.T
        flat = np.stack([WIDTH * (0.5 + 0.54 * x), HEIGHT * (1.1 - 1.2 * y)], 1)
        return self._vanishing + (flat - self._vanishing) / (1 + self._depth * z)[:, None]
