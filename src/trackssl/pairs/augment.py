"""What may be done to a patch on its way to the network; each draw is a function of its place.

The paper mirrors and does no more. Colour, grey and crop are options: the prototxt of the authors'
older grey model names `color_aug` and `gray_aug`, but the code behind them is not public, so how
they are done here is ours. Each draw has a key of its own, so an option changes no other's draws.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.config import Pretraining
from trackssl.images import Image
from trackssl.randomness import generator

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Augmentation:
    """The options of section `pretraining` that change patches; by default the paper's."""

    mirror: bool = True
    colour: float = 0.0
    grey_share: float = 0.0
    crop_min_area: float = 1.0

    @classmethod
    def of(cls, settings: Pretraining) -> Self:
        """Those that a config asks for."""
        return cls(settings.mirror, settings.colour, settings.grey_share, settings.crop_min_area)

    def draw(self, seed: int, iteration: int, pairs: int) -> "Draws":
        """All draws of the batch of an iteration that holds so many pairs."""

        def uniform(key: str, *each: int) -> Doubles:
            return generator(seed, key, iteration).random((pairs, 2, *each))

        return Draws(
            mirror=uniform("mirror") < 0.5 if self.mirror else None,
            gains=1 + self.colour * (2 * uniform("colour", 3) - 1) if self.colour else None,
            grey=uniform("grey") < self.grey_share if self.grey_share else None,
            crops=_crops(uniform("crop", 3), self.crop_min_area)
            if self.crop_min_area < 1
            else None,
        )


PAPER = Augmentation()


@dataclass(frozen=True)
class Draws:
    """What befalls each patch of a batch of B pairs; None for what is switched off."""

    mirror: NDArray[np.bool_] | None  # (B, 2)
    gains: Doubles | None  # (B, 2, 3) of brightness, contrast, saturation
    grey: NDArray[np.bool_] | None  # (B, 2)
    crops: Doubles | None  # (B, 2, 3) left, top, side of the square, in sides of the patch

    def augment(
        self, patch: Image, pair: int, end: int, resize: Callable[[Image], Image], out: Image
    ) -> None:
        """Crop, resize, colour, grey and mirror a patch (h, w, 3) BGR into `out` (H, H, 3).

        It is the first (`end` 0) or last (1) patch of the batch's pair of that number.
        """
        if self.crops is not None:
            patch = _crop(patch, self.crops[pair, end])
        patch = resize(patch)
        grey = self.grey is not None and bool(self.grey[pair, end])
        if self.gains is not None or grey:
            gains = np.ones(3) if self.gains is None else self.gains[pair, end]
            patch = _recolour(patch, gains, grey)
        if self.mirror is not None and self.mirror[pair, end]:
            cv2.flip(patch, 1, out)
        else:
            out[:] = patch


def _crops(uniform: Doubles, min_area: float) -> Doubles:
    """Squares of a share of the area drawn evenly from `min_area` to 1, at a place drawn evenly.

    Of a patch that is no square they are parts of its own shape.
    """
    side = np.sqrt(1 - (1 - min_area) * uniform[..., :1])
    return np.concatenate([(1 - side) * uniform[..., 1:], side], axis=-1)


def _crop(patch: Image, square: Doubles) -> Image:
    height, width = patch.shape[:2]
    left, top, side = square.tolist()
    rows, columns = (max(1, round(side * whole)) for whole in (height, width))
    y, x = min(round(top * height), height - rows), min(round(left * width), width - columns)
    return patch[y : y + rows, x : x + columns]


def _recolour(patch: Image, gains: Doubles, grey: bool) -> Image:
    """Saturation about each pixel's grey, contrast about the patch's mean grey, then brightness.

    All three are one affine map of a pixel's BGR: grey is a saturation of 0.
    """
    brightness, contrast, saturation = gains.tolist()
    if grey:
        saturation = 0.0
    luma = cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY)
    offset = brightness * (1 - contrast) * cv2.mean(luma)[0]
    own, common = (brightness * contrast * share for share in (saturation, 1 - saturation))
    same = cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.addWeighted(patch, own, same, common, offset), np.uint8)
