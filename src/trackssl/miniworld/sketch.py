"""Sprites: objects drawn in unit coordinates, as a grey shade with alpha. Colour comes later."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.miniworld.patterns import PATTERNS, Field, turned

SPRITE_PX = 160
_OVERSAMPLING = 2
_DRAWN_PX = SPRITE_PX * _OVERSAMPLING

Pixels = NDArray[np.integer | np.floating]  # as OpenCV types them; uint8 here
Point = tuple[float, float]
Points = Sequence[Point] | NDArray


@dataclass(frozen=True)
class Fill:
    """How a part's surface looks: shades 0..1, and a pattern with its periods a unit."""

    dark: float = 0.2
    light: float = 0.9
    pattern: str | None = None
    frequency: float = 4.0
    degrees: float = 0.0


@dataclass(frozen=True)
class Sprite:
    """A drawn object: `image` (S, S, 2) uint8, shade and alpha; `hull` (N, 2), its outline."""

    image: Pixels
    hull: NDArray[np.float32]

    @cached_property
    def half(self) -> Pixels:
        """The image at half its size."""
        return cv2.resize(self.image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


@cache
def _grid() -> tuple[Field, Field]:
    line = ((np.arange(_DRAWN_PX) + 0.5) * 2 / _DRAWN_PX - 1).astype(np.float32)
    x, y = np.meshgrid(line, line)
    return x, y


class Sketch:
    """A sheet to draw one object on: x and y from -1 to 1, y down; later parts cover earlier ones.

    `edge_scale` and `edge_shade` (0..1) say how wide and how light its edges are.
    """

    def __init__(self, edge_scale: float = 1.0, edge_shade: float = 0.05) -> None:
        self.edge_scale, self.edge_shade = edge_scale, edge_shade
        self.shade = np.zeros((_DRAWN_PX, _DRAWN_PX), np.uint8)
        self.alpha = np.zeros_like(self.shade)

    def polygon(self, points: Points, fill: Fill, edge: float = 0.03) -> None:
        """A filled part with a dark edge of the given width."""
        corners = _pixels(points)
        x0, y0 = np.clip(corners.min(axis=0), 0, _DRAWN_PX)
        x1, y1 = np.clip(corners.max(axis=0) + 1, 0, _DRAWN_PX)
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [corners - (x0, y0)], 255)
        window = slice(y0, y1), slice(x0, x1)
        np.copyto(self.shade[window], _surface(fill, window), where=mask > 0)
        self.alpha[window] |= mask
        if edge:
            self.stroke([*points, points[0]], edge * self.edge_scale, self.edge_shade)

    def ellipse(
        self,
        centre: Point,
        radii: Point,
        fill: Fill,
        degrees: float = 0.0,
        edge: float = 0.03,
    ) -> None:
        """A filled ellipse; `radii` along and across its own axis, which is turned by `degrees`."""
        self.polygon(ellipse_points(centre, radii, degrees), fill, edge)

    def stroke(self, points: Points, width: float, shade: float) -> None:
        """A line through points."""
        corners = [_pixels(points)]
        thickness = max(1, round(width * _DRAWN_PX / 2))
        cv2.polylines(self.shade, corners, False, round(255 * shade), thickness)
        cv2.polylines(self.alpha, corners, False, 255, thickness)

    def sprite(self, gamma: float = 1.0) -> Sprite:
        """The finished sprite, smoothed to its size, its shades raised to the power `gamma`."""
        tones = np.round(255 * np.linspace(0, 1, 256) ** gamma).astype(np.uint8)
        image = cv2.merge([cv2.LUT(self.shade, tones), self.alpha])
        image = cv2.resize(image, (SPRITE_PX, SPRITE_PX), interpolation=cv2.INTER_AREA)
        inside = cv2.findNonZero((image[..., 1] > 127).astype(np.uint8))
        hull = cv2.convexHull(inside).reshape(-1, 2)
        return Sprite(image, ((hull + 0.5) * 2 / SPRITE_PX - 1).astype(np.float32))


def ellipse_points(centre: Point, radii: Point, degrees: float = 0.0, count: int = 36) -> NDArray:
    """Points around an ellipse, (count, 2)."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return turn(np.stack([radii[0] * np.cos(angle), radii[1] * np.sin(angle)], 1), degrees) + centre


def turn(points: Points, degrees: float) -> NDArray:
    """Points (N, 2) turned clockwise (y is down) about the origin."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray(points, float) @ np.array([[c, s], [-s, c]])


def _pixels(points: Points) -> NDArray[np.int32]:
    return np.round((np.asarray(points, float) + 1) * _DRAWN_PX / 2).astype(np.int32)


def _surface(fill: Fill, window: tuple[slice, slice]) -> NDArray[np.uint8] | np.uint8:
    if fill.pattern is None:
        return np.uint8(255 * fill.light)
    x, y = (axis[window] for axis in _grid())
    level = PATTERNS[fill.pattern](*turned(x, y, fill.frequency, fill.degrees))
    return (255 * (fill.dark + (fill.light - fill.dark) * level)).astype(np.uint8)
