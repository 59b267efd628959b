"""The classes of the world: each a drawing of parts and patterns with an individual's own traits.

A drawing takes its traits from a generator, so the same seed draws the same individual again, and
a phase (radians) that moves its parts: a tail wags, wings flap, wheels turn. Shades only: colour
is given by the light and says nothing about the class.
"""

from collections.abc import Callable

import numpy as np

from trackssl.miniworld.living import draw_butterfly, draw_fish, draw_flower
from trackssl.miniworld.sketch import Sketch, Sprite
from trackssl.miniworld.things import (
    draw_clock,
    draw_guitar,
    draw_house,
    draw_kite,
    draw_leaf,
    draw_post,
)
from trackssl.miniworld.vehicles import draw_bus, draw_truck, draw_wheel
from trackssl.randomness import Key, generator

Draw = Callable[[Sketch, np.random.Generator, float], None]

_DRAWINGS: dict[str, Draw] = {
    "bus": draw_bus,
    "butterfly": draw_butterfly,
    "clock": draw_clock,
    "fish": draw_fish,
    "flower": draw_flower,
    "guitar": draw_guitar,
    "house": draw_house,
    "kite": draw_kite,
    "truck": draw_truck,
    "wheel": draw_wheel,
}
CLASSES = tuple(_DRAWINGS)
FACING_RIGHT = ("bus", "fish", "truck")
# What stands in front of things and has no class.
_FOREGROUND: dict[str, Draw] = {"leaf": draw_leaf, "post": draw_post}
FOREGROUND = tuple(_FOREGROUND)


def draw_object(name: str, individual: Key, phase: float = 0.0) -> Sprite:
    """The sprite of one individual of a class, or of the foreground; `phase` in radians."""
    draw = (_DRAWINGS | _FOREGROUND)[name]
    rng = generator("individual", name, individual)
    sketch = Sketch(edge_scale=rng.uniform(0.3, 1.4), edge_shade=rng.uniform(0.0, 0.35))
    draw(sketch, rng, phase)
    return sketch.sprite(gamma=np.exp(rng.uniform(-0.5, 0.5)))
