"""Windows warped to a network's input, as in R-CNN (Caffe's window_data_layer.cpp)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trackssl.boxes import Boxes
from trackssl.datasets.voc import VocIndex
from trackssl.detection.windows import Batch, Windows
from trackssl.images import MEAN_BGR, read_image
from trackssl.networks.torchvision_input import TorchvisionInput

Colour = tuple[float, float, float]  # BGR, 0..255

_INPUT_PX = 227  # the input for which context_px is given


class Placement(NamedTuple):
    """Which part of an image becomes which part of a crop, a row a window."""

    source: NDArray[np.int64]  # (N, 4) edges x0, y0, x1, y1 in the image
    offset: NDArray[np.int64]  # (N, 2) left and top in the crop
    sides: NDArray[np.int64]  # (N, 2) width and height in the crop


def place_windows(
    sizes: NDArray[np.int64],
    boxes: Boxes,
    input_px: int,
    context_px: int,
    mirrored: NDArray[np.bool_],
) -> Placement:
    """Where each box (N, 4) lies in its crop; `sizes` (N, 2) are its image's width and height.

    A box grows so that `context_px` pixels of context (at an input of 227, in proportion at others)
    surround it after the warp to a square, and is cut at the image. Caffe's rounding, with its
    expanded region one pixel wider than it need be.
    """
    context = context_px * input_px / _INPUT_PX
    half = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64) / 2
    centre = boxes[:, :2] + half
    half *= input_px / (input_px - 2 * context)
    region = _round(np.concatenate([centre - half, centre + half], axis=1))
    region[:, 2:] += context > 0  # Caffe rounds the last pixel, not the edge
    inside = np.clip(region, 0, np.tile(sizes, 2))
    scale = input_px / np.tile(region[:, 2:] - region[:, :2], 2)
    before, after = np.split(_round(np.abs(inside - region) * scale), 2, axis=1)
    sides = _round((inside[:, 2:] - inside[:, :2]) * scale[:, :2])
    offset = np.where(mirrored[:, None] & [True, False], after, before)
    return Placement(inside, offset, np.clip(sides, 1, input_px - offset))


def cut_windows(
    image: NDArray[Any],
    boxes: Boxes,
    input_px: int,
    context_px: int,
    mirrored: NDArray[np.bool_],
    outside: Colour = MEAN_BGR,
) -> NDArray[Any]:
    """Warp windows of an image (H, W, 3) BGR, boxes (N, 4) -> (N, input_px, input_px, 3).

    Crops are float32 or uint8 as the image is; where the image ends they hold the colour `outside`,
    in uint8 rounded to whole grey levels.
    """
    sizes = np.tile(np.array(image.shape[1::-1]), (len(boxes), 1))
    placed = place_windows(sizes, boxes, input_px, context_px, mirrored)
    crops = np.empty((len(boxes), input_px, input_px, 3), image.dtype)
    blank = np.array(outside, np.float32)
    blank = np.rint(blank).astype(np.uint8) if image.dtype == np.uint8 else blank
    rows = (column.tolist() for column in (*placed, mirrored))
    for crop, (x0, y0, x1, y1), (left, top), (width, height), mirror in zip(
        crops, *rows, strict=True
    ):
        if width < input_px or height < input_px:
            crop[:] = blank
        part, to = image[y0:y1, x0:x1], crop[top : top + height, left : left + width]
        if mirror:
            cv2.flip(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), 1, to)
        else:
            cv2.resize(part, (width, height), to, interpolation=cv2.INTER_LINEAR)
    return crops


def _round(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """C's round: halves away from zero."""
    return np.trunc(values + np.copysign(0.5, values)).astype(np.int64)


class Cutter:
    """Cuts batches of windows for a network where it runs: by OpenCV on the CPU, on a GPU there.

    A GPU takes each image once, as uint8. Its crops equal OpenCV's to 0.01 grey levels (a test).
    What lies outside of an image is the network's mean colour, so zero after its subtraction.
    """

    def __init__(
        self, network: nn.Module, input_px: int, context_px: int, device: torch.device
    ) -> None:
        self.input_px, self.context_px, self.device = input_px, context_px, device
        self.outside = mean_colour(network)

    def take(self, image: NDArray[np.uint8]) -> Tensor:
        """An image (H, W, 3) BGR, where `cut` reads windows of it."""
        return torch.from_numpy(image).to(self.device)

    def cut(
        self,
        images: Sequence[Tensor],
        of_image: NDArray[np.int64],
        boxes: Boxes,
        mirrored: NDArray[np.bool_],
    ) -> Tensor:
        """Windows of images as `take` gave them -> (N, 3, input_px, input_px) float32, 0..255.

        `of_image` (N,) says which of the images each box (N, 4) is in.
        """
        px, context = self.input_px, self.context_px
        if self.device.type != "cpu":
            return cut_by_torch(images, of_image, boxes, px, context, mirrored, self.outside)
        crops = np.empty((len(boxes), px, px, 3), np.float32)
        for number in np.unique(of_image):
            mine = np.flatnonzero(of_image == number)
            pixels = images[number].numpy().astype(np.float32)
            given = (pixels, boxes[mine], px, context, mirrored[mine], self.outside)
            if len(mine) == len(boxes):
                crops = cut_windows(*given)
            else:
                crops[mine] = cut_windows(*given)
        return torch.from_numpy(crops).permute(0, 3, 1, 2)


def mean_colour(network: nn.Module) -> Colour:
    """The colour that a network's preparation of its input turns into zeros."""
    prepare = getattr(network, "preprocess", None)
    if not isinstance(prepare, TorchvisionInput):
        return MEAN_BGR
    red, green, blue = (255 * prepare.mean.flatten()).tolist()
    return blue, green, red


def cut_by_torch(
    images: Sequence[Tensor],
    of_image: NDArray[np.int64],
    boxes: Boxes,
    input_px: int,
    context_px: int,
    mirrored: NDArray[np.bool_],
    outside: Colour,
) -> Tensor:
    """As `cut_windows`, of several images (H, W, 3) uint8 at once, on the device that they are on.

    Returns (N, 3, input_px, input_px) float32. Which windows share a call changes no crop.
    """
    device = images[0].device
    shapes = np.array([image.shape[:2] for image in images], np.int64)
    starts = np.concatenate([[0], np.cumsum(shapes.prod(axis=1))[:-1]])
    sizes = shapes[of_image, ::-1]
    placed = place_windows(sizes, boxes, input_px, context_px, mirrored)
    flips = np.stack([mirrored, np.zeros_like(mirrored)], axis=1)
    lows, highs, shares, filled = [], [], [], []
    for axis in (0, 1):  # x, y
        offset, side = placed.offset[:, axis, None], placed.sides[:, axis, None]
        first, stop = placed.source[:, axis, None], placed.source[:, axis + 2, None]
        cell = np.arange(input_px) - offset  # (N, input_px)
        filled.append((cell >= 0) & (cell < side))
        cell = np.where(flips[:, axis, None], side - 1 - cell, cell)
        at = np.clip((cell + 0.5) * (stop - first) / side - 0.5, 0, stop - first - 1)
        low = np.floor(at).astype(np.int64)
        lows.append(first + low)
        highs.append(np.minimum(first + low + 1, stop - 1))
        shares.append((at - low).astype(np.float32))
    base, width = starts[of_image, None], sizes[:, :1]
    arrays = (
        *(lows[0], highs[0], base + lows[1] * width, base + highs[1] * width),
        *(*shares, *filled),
    )
    left, right, top, bottom, share_x, share_y, in_x, in_y = (
        torch.from_numpy(array).to(device) for array in arrays
    )
    pixels = torch.cat([image.reshape(-1, 3) for image in images])
    share_x, share_y = share_x[:, None, :, None], share_y[:, :, None, None]

    def row(start: Tensor) -> Tensor:
        one, two = (pixels[start[:, :, None] + x[:, None, :]].float() for x in (left, right))
        return one.lerp_(two, share_x.expand_as(one))

    crops = row(top)
    crops.lerp_(row(bottom), share_y.expand_as(crops))  # (N, input_px, input_px, 3)
    blank = torch.tensor(outside, dtype=torch.float32, device=device)
    inside = (in_y[:, :, None] & in_x[:, None, :])[..., None]
    return torch.where(inside, crops, blank).permute(0, 3, 1, 2)


class ImageStore:
    """Images of a split as a `Cutter` takes them, kept up to a limit, on a GPU's memory there.

    Batches draw from all images alike, so keeping the first ones hits as often as any other rule.
    """

    def __init__(
        self, index: VocIndex, split: str, cutter: Cutter, limit_bytes: int = 4 << 30
    ) -> None:
        self._paths = [index.devkit.image_path(image) for image in index.images(split)]
        self._cutter = cutter
        self._kept: dict[int, Tensor] = {}
        self._left_bytes = limit_bytes

    def __getitem__(self, position: int) -> Tensor:
        """Image number `position` of the split. Raises InputError if it cannot be read."""
        if position in self._kept:
            return self._kept[position]
        image = self._cutter.take(read_image(self._paths[position]))
        if image.nbytes <= self._left_bytes:
            self._kept[position] = image
            self._left_bytes -= image.nbytes
        return image

    def cut_batch(self, windows: Windows, batch: Batch) -> Tensor:
        """The crops of a batch, (B, 3, input_px, input_px) float32 of 0..255, in its order."""
        positions, of_image = np.unique(windows.images[batch.rows], return_inverse=True)
        images = [self[int(position)] for position in positions]
        return self._cutter.cut(images, of_image, windows.boxes[batch.rows], batch.mirrored)
