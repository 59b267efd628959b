"""Crops of whole images as Caffe has them: squashed to a square, of which 227/256 is taken."""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trackssl.images import read_image
from trackssl.randomness import generator


class SquashedImages:
    """Image files as squares of 256/227 of the input's side, each decoded once and then kept."""

    def __init__(self, paths: list[Path], input_px: int) -> None:
        self.input_px, self._side = input_px, round(input_px * 256 / 227)
        self._paths = paths
        self._squares = np.empty((len(paths), self._side, self._side, 3), np.uint8)
        self._read = np.zeros(len(paths), bool)

    def __len__(self) -> int:
        return len(self._paths)

    def draw(self, seed: int, iteration: int, count: int) -> tuple[NDArray[np.int64], Tensor]:
        """Image numbers (B,) and random crops of them, half of them mirrored, (B, 3, H, W) uint8.

        A function of seed and iteration. No image comes twice, unless there are fewer than `count`.
        Raises InputError for an image that cannot be decoded.
        """
        draws = generator(seed, "image crops", iteration)
        rows = draws.choice(len(self), count, replace=len(self) < count)
        corners = draws.integers(0, self._side - self.input_px + 1, (count, 2))
        mirrored = draws.random(count) < 0.5
        crops = np.empty((count, self.input_px, self.input_px, 3), np.uint8)
        for crop, row, corner, mirror in zip(crops, rows, corners, mirrored, strict=True):
            part = self._crop(int(row), *corner)
            crop[:] = part[:, ::-1] if mirror else part
        return rows, torch.from_numpy(crops).permute(0, 3, 1, 2)

    def central(self, rows: NDArray[np.int64]) -> Tensor:
        """The middle crops of images (B,), (B, 3, H, W) uint8."""
        corner = (self._side - self.input_px) // 2
        crops = np.stack([self._crop(int(row), corner, corner) for row in rows])
        return torch.from_numpy(crops).permute(0, 3, 1, 2)

    def ten_crops(self, row: int) -> Tensor:
        """Corners and centre of an image, and their mirror images, (10, 3, H, W) uint8."""
        last = self._side - self.input_px
        corners = [(0, 0), (last, 0), (0, last), (last, last), (last // 2, last // 2)]
        crops = np.stack([self._crop(row, x, y) for x, y in corners])
        both = np.concatenate([crops, crops[:, :, ::-1]])
        return torch.from_numpy(both).permute(0, 3, 1, 2)

    def _crop(self, row: int, x: int, y: int) -> NDArray[np.uint8]:
        if not self._read[row]:
            size = (self._side, self._side)
            self._squares[row] = cv2.resize(read_image(self._paths[row]), size)
            self._read[row] = True
        return self._squares[row, y : y + self.input_px, x : x + self.input_px]
