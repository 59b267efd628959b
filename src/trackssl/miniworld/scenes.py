"""Scenes: who is in a shot, how it moves, what the camera does. Pixels are the screen's."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from trackssl.images import Image
from trackssl.miniworld.light import Light, Ramp
from trackssl.miniworld.motion import Homography, Path, Pose, Wave, project, similarity
from trackssl.miniworld.sketch import SPRITE_PX, Pixels, Sprite

# Sprite pixels (centres) -> units.
_UNITS = np.array(
    [[2 / SPRITE_PX, 0, 1 / SPRITE_PX - 1], [0, 2 / SPRITE_PX, 1 / SPRITE_PX - 1], [0, 0, 1]]
)
_HALVED = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])


@dataclass(frozen=True)
class Actor:
    """One individual in a shot: what it is, how it moves, and the light on it."""

    name: str
    individual: str
    path: Path
    half_px: Wave
    roll: Wave
    yaw: Wave
    pitch: Wave
    mirrored: bool
    light: Light
    stretch: float = 1.0  # its own build: wider, and as much lower
    beat: float = 30.0  # frames a cycle of its parts
    turn_from: float = np.inf  # the frame where it begins to turn round, in 40 frames

    def pose(self, time: float) -> Pose:
        """Its pose at a time in frames."""
        x, y = self.path.at(time)
        half_turn = 180 * float(np.clip((time - self.turn_from) / 40, 0, 1))
        return Pose(
            x,
            y,
            self.half_px.at(time),
            self.roll.at(time),
            self.yaw.at(time) + half_turn,
            self.pitch.at(time),
            self.mirrored,
            self.stretch,
        )


@dataclass(frozen=True)
class Camera:
    """Pan over the background, and shake and zoom of everything that is seen."""

    pan: Path
    shake: tuple[Wave, Wave] = (Wave(), Wave())
    roll: Wave = field(default_factory=Wave)
    zoom: Wave = field(default_factory=lambda: Wave(mean=1))

    def view(self, time: float, centre: tuple[float, float]) -> Homography:
        """(3, 3): the steady screen -> the screen."""
        x, y = (wave.at(time) for wave in self.shake)
        return similarity(x, y, self.roll.at(time), self.zoom.at(time), centre)

    def canvas_to_screen(self, time: float, centre: tuple[float, float]) -> Homography:
        """(3, 3): the background's canvas -> the screen."""
        x, y = self.pan.at(time)
        return self.view(time, centre) @ np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])


def paint(
    frame: Image, sprite: Sprite, homography: Homography, ramp: Ramp
) -> tuple[tuple[slice, slice], Pixels]:
    """Draw a sprite into a frame (H, W, 3), in place -> the window drawn in and its alpha there."""
    height, width = frame.shape[:2]
    outline = project(homography, sprite.hull)
    x0, y0 = np.clip(np.floor(outline.min(axis=0)) - 1, 0, (width, height)).astype(int)
    x1, y1 = np.clip(np.ceil(outline.max(axis=0)) + 2, 0, (width, height)).astype(int)
    window = slice(y0, y1), slice(x0, x1)
    if x0 >= x1 or y0 >= y1:
        return window, np.zeros((max(y1 - y0, 0), max(x1 - x0, 0)), np.uint8)
    image, to_units = sprite.image, _UNITS
    reach = np.sqrt(cv2.contourArea(outline.astype(np.float32)) / cv2.contourArea(sprite.hull))
    if reach < 0.3 * SPRITE_PX:  # small or turned away: from half the size, or it flickers
        image, to_units = sprite.half, _UNITS @ _HALVED
    shift = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]])
    warped = cv2.warpPerspective(image, shift @ homography @ to_units, (x1 - x0, y1 - y0))
    shade, alpha = cv2.split(warped)
    colours = cv2.LUT(cv2.merge([shade] * 3), ramp)
    under = frame[window]
    weight = (alpha.astype(np.float32) / 255)[..., None]
    under[:] = (under + (colours.astype(np.float32) - under) * weight).astype(np.uint8)
    return window, alpha


def visible_box(
    homography: Homography, sprite: Sprite, height: int, width: int
) -> tuple[tuple[float, float, float, float], float]:
    """Box x0, y0, x1, y1 of a sprite's outline within the frame, and the share of its box inside.

    The box is (0, 0, 0, 0) where nothing is inside.
    """
    outline = project(homography, sprite.hull)
    low, high = outline.min(axis=0), outline.max(axis=0)
    x0, y0 = np.clip(low, 0, (width, height))
    x1, y1 = np.clip(high, 0, (width, height))
    share = float((x1 - x0) * (y1 - y0) / np.prod(high - low))
    box = (float(x0), float(y0), float(x1), float(y1)) if share > 0 else (0.0, 0.0, 0.0, 0.0)
    return box, share
