"""Colour and light: they drift, so that they say little about the same object 30 frames on.

A network that ranks patches takes any shortcut (see docs/design.md): with a lasting colour for each
object it would learn colour and nothing else. Colours are pale and drifts slow enough for a tracker
that sees colour (OpenCV's KCF) to follow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trackssl.miniworld.motion import Wave

Ramp = NDArray[np.uint8]
_DRIFT = (70.0, 200.0)  # periods in frames, so that 30 frames on the drift is on average unrelated
_LEVELS = np.linspace(0, 1, 256)[:, None]


def colour(hue: float, saturation: float, value: float) -> NDArray[np.float64]:
    """(3,) BGR in 0..255; hue in radians, saturation 0..1, value 0..255."""
    thirds = hue + 2 * np.pi * np.arange(3) / 3
    return value * (1 - saturation * (0.5 - 0.5 * np.cos(thirds)))


@dataclass(frozen=True)
class Light:
    """Light on one object: its shades run from one drifting colour to another."""

    dark: tuple[Wave, Wave, Wave]
    light: tuple[Wave, Wave, Wave]
    gamma: Wave

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Light":
        """Light with random drifts of hue, saturation, value and contrast."""

        def tone(value: float, swing: float) -> tuple[Wave, Wave, Wave]:
            return (
                Wave.drawn(rng, 2.6, _DRIFT, rng.uniform(0, 2 * np.pi)),
                Wave.drawn(rng, 0.08, _DRIFT, 0.12),
                Wave.drawn(rng, swing, _DRIFT, value),
            )

        return cls(tone(50, 30), tone(200, 45), Wave.drawn(rng, 0.3, _DRIFT))

    def ramp(self, time: float) -> Ramp:
        """(1, 256, 3) uint8 BGR: the colour of each shade, for cv2.LUT."""
        dark, light = (
            colour(*(wave.at(time) for wave in tone)) for tone in (self.dark, self.light)
        )
        levels = _LEVELS ** np.exp(self.gamma.at(time))
        return np.clip(dark + (light - dark) * levels, 0, 255).astype(np.uint8)[None]


@dataclass(frozen=True)
class Ambient:
    """Light on the whole frame: a gain for each channel, and a flicker from frame to frame."""

    gains: tuple[Wave, Wave, Wave]
    flicker: NDArray[np.float64]

    @classmethod
    def drawn(cls, rng: np.random.Generator, frames: int) -> "Ambient":
        """Light with random drifts for so many frames."""
        red, green, blue = (Wave.drawn(rng, 0.08, _DRIFT, 0.92) for _ in range(3))
        return cls((red, green, blue), rng.normal(1, 0.012, frames))

    def ramp(self, frame: int) -> Ramp:
        """(1, 256, 3) uint8: what each channel's values become, for cv2.LUT."""
        gains = np.array([wave.at(frame) for wave in self.gains]) * self.flicker[frame]
        return np.clip(255 * _LEVELS * gains, 0, 255).astype(np.uint8)[None]
