"""How things move: smooth waves, paths across the screen, and poses as homographies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Homography = NDArray[np.float64]

# Distance of the viewer, in half-sides of an object: near enough for a turned object to taper.
_VIEWER = 5.0


@dataclass(frozen=True)
class Wave:
    """A value that swings about `mean`; period in frames."""

    mean: float = 0.0
    amplitude: float = 0.0
    period: float = 60.0
    phase: float = 0.0

    def at(self, time: float) -> float:
        """The value at a time in frames."""
        return self.mean + self.amplitude * np.sin(2 * np.pi * time / self.period + self.phase)

    @classmethod
    def drawn(
        cls,
        rng: np.random.Generator,
        amplitude: float,
        periods: tuple[float, float],
        mean: float = 0.0,
    ) -> "Wave":
        """A wave with a random period within `periods` and a random phase."""
        return cls(mean, amplitude, rng.uniform(*periods), rng.uniform(0, 2 * np.pi))


@dataclass(frozen=True)
class Path:
    """A straight run from `start` (x, y) at `speed` (pixels a frame), thrown back at the walls of
    `area` (x0, y0, x1, y1), or out of the frame where there is none."""

    start: tuple[float, float]
    speed: tuple[float, float]
    area: tuple[float, float, float, float] | None = None

    def at(self, time: float) -> tuple[float, float]:
        """Place at a time in frames."""
        x, y = (self.start[k] + time * self.speed[k] for k in (0, 1))
        if self.area is None:
            return x, y
        x0, y0, x1, y1 = self.area
        return _thrown_back(x, x0, x1), _thrown_back(y, y0, y1)


def _thrown_back(value: float, low: float, high: float) -> float:
    width = max(high - low, 1e-6)
    return low + width - abs((value - low) % (2 * width) - width)


@dataclass(frozen=True)
class Pose:
    """Where an object is and how it is turned: centre, half side (pixels), angles (degrees)."""

    x: float
    y: float
    half_px: float
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    mirrored: bool = False
    stretch: float = 1.0

    def homography(self) -> Homography:
        """(3, 3): a sprite's units -> the screen's pixels, seen in weak perspective."""
        roll, yaw, pitch = np.radians((self.roll, self.yaw, self.pitch))
        cr, sr, cy, sy, cp, sp = (
            f(angle) for angle in (roll, yaw, pitch) for f in (np.cos, np.sin)
        )
        turned = (
            np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
            @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
            @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        )
        flat = turned[:, :2] * (-self.stretch if self.mirrored else self.stretch, 1 / self.stretch)
        depth = np.array([*flat[2] / _VIEWER, 1.0])
        across = np.array([*self.half_px * flat[0], 0.0]) + self.x * depth
        down = np.array([*self.half_px * flat[1], 0.0]) + self.y * depth
        return np.stack([across, down, depth])


def similarity(
    x: float, y: float, degrees: float, zoom: float, about: tuple[float, float]
) -> Homography:
    """(3, 3): turn and zoom about a point of the screen, then shift by (x, y) pixels."""
    c, s = zoom * np.cos(np.radians(degrees)), zoom * np.sin(np.radians(degrees))
    ax, ay = about
    return np.array(
        [[c, -s, ax - c * ax + s * ay + x], [s, c, ay - s * ax - c * ay + y], [0, 0, 1]]
    )


def project(homography: Homography, points: NDArray) -> NDArray[np.float64]:
    """Points (N, 2) under a homography -> (N, 2)."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ homography.T
    return mapped[:, :2] / mapped[:, 2:]
