"""Crops against a slow reading of Caffe's window_data_layer, pixel by pixel."""

import math

import numpy as np
import pytest
import torch

from trackssl.detection.crops import Cutter, cut_by_torch, cut_windows
from trackssl.images import MEAN_BGR
from trackssl.networks import DetectorNetwork
from trackssl.networks.torchvision_input import TorchvisionInput


def c_round(value: float) -> int:
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def bilinear(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """Value at pixel coordinates, the border repeated."""
    height, width = image.shape[:2]
    y0, x0 = math.floor(y), math.floor(x)
    result = np.zeros(3)
    for row, weight_y in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
        for column, weight_x in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
            pixel = image[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            result += weight_y * weight_x * pixel
    return result


def slow_crop(image: np.ndarray, box: list[int], size: int, context: float, mirror: bool):
    """One window, box as first and last pixel -> (crop (size, size, 3), which pixels are image)."""
    rows, columns = image.shape[:2]
    x1, y1, x2, y2 = box
    scale = size / (size - 2 * context)
    half_height, half_width = (y2 - y1 + 1) / 2, (x2 - x1 + 1) / 2
    center_x, center_y = x1 + half_width, y1 + half_height
    if context > 0:
        x1, x2 = c_round(center_x - half_width * scale), c_round(center_x + half_width * scale)
        y1, y2 = c_round(center_y - half_height * scale), c_round(center_y + half_height * scale)
    scale_x, scale_y = size / (x2 - x1 + 1), size / (y2 - y1 + 1)
    pad_x1, pad_y1 = max(0, -x1), max(0, -y1)
    pad_x2, pad_y2 = max(0, x2 - columns + 1), max(0, y2 - rows + 1)
    x1, x2, y1, y2 = x1 + pad_x1, x2 - pad_x2, y1 + pad_y1, y2 - pad_y2
    width, height = c_round((x2 - x1 + 1) * scale_x), c_round((y2 - y1 + 1) * scale_y)
    left = c_round((pad_x2 if mirror else pad_x1) * scale_x)
    top = c_round(pad_y1 * scale_y)
    width, height = min(width, size - left), min(height, size - top)
    source = image[y1 : y2 + 1, x1 : x2 + 1].astype(float)
    crop = np.tile(np.array(MEAN_BGR), (size, size, 1))
    inside = np.zeros((size, size), bool)
    for h in range(height):
        for w in range(width):
            y = (h + 0.5) * source.shape[0] / height - 0.5
            x = (w + 0.5) * source.shape[1] / width - 0.5
            column = left + (width - 1 - w if mirror else w)
            crop[top + h, column] = bilinear(source, y, x)
            inside[top + h, column] = True
    return crop, inside


BOXES = {
    "whole image": [0, 0, 59, 39],
    "inside": [20, 12, 40, 30],
    "one pixel": [30, 20, 30, 20],
    "left top": [0, 0, 12, 25],
    "right bottom": [45, 20, 59, 39],
    "wide": [0, 18, 59, 22],
    "tall": [28, 0, 33, 39],
}


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(("size", "context_px"), [(33, 16), (40, 0), (67, 16)])
def test_crops_are_caffes_pixel_by_pixel(size: int, context_px: int, mirror: bool):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    boxes = np.array(list(BOXES.values()), np.float32) + [0, 0, 1, 1]
    crops = cut_windows(
        image, boxes.astype(np.float32), size, context_px, np.full(len(boxes), mirror)
    )
    filled = 0
    for crop, (name, box) in zip(crops, BOXES.items(), strict=True):
        context = context_px * size / 227
        expected, inside = slow_crop(image, box, size, context, mirror)
        error = np.abs(crop.astype(float) - expected)
        assert error[inside].max() <= 1.01, name  # OpenCV's weights have 11 bits
        assert error[~inside].max(initial=0) <= 0.5, name  # the mean in whole grey levels
        filled += (~inside).sum()
    assert (filled > 0) == (context_px > 0)


def test_a_mirrored_crop_is_the_crop_of_the_mirrored_image():
    image = np.random.default_rng(1).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    box = np.array([[0, 3, 20, 21]], np.float32)
    mirrored = np.array([[40, 3, 60, 21]], np.float32)
    yes, no = np.array([True]), np.array([False])
    one = cut_windows(image, box, 50, 16, yes)
    two = cut_windows(np.ascontiguousarray(image[:, ::-1]), mirrored, 50, 16, no)
    # Caffe's region is a pixel wider on the right, so the two differ by that pixel's share.
    assert np.mean(one[0].mean(axis=2) - two[0].mean(axis=2)) == pytest.approx(0, abs=4)
    assert one.shape == (1, 50, 50, 3)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(("size", "context_px"), [(33, 16), (67, 16)])
def test_float_crops_are_the_reference_and_hold_zero_after_the_mean_where_the_image_ends(
    size: int, context_px: int, mirror: bool
):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.float32)
    boxes = np.array(list(BOXES.values()), np.float32) + np.float32([0, 0, 1, 1])
    crops = cut_windows(image, boxes, size, context_px, np.full(len(boxes), mirror))
    for crop, (name, box) in zip(crops, BOXES.items(), strict=True):
        expected, inside = slow_crop(image, box, size, context_px * size / 227, mirror)
        assert np.abs(crop - expected).max() < 0.01, name
        assert (crop[~inside] == np.float32(MEAN_BGR)).all(), name


@pytest.mark.parametrize(("size", "context_px"), [(33, 16), (67, 16), (99, 0)])
def test_windows_cut_by_torch_are_those_of_opencv(size: int, context_px: int):
    draws = np.random.default_rng(1)
    images = [
        draws.integers(0, 256, (height, width, 3)).astype(np.uint8)
        for height, width in [(40, 60), (75, 31), (9, 200)]
    ]
    of_image = draws.integers(0, 3, 60)
    sides = np.array([image.shape[1::-1] for image in images])[of_image]
    ends = np.sort(np.stack([draws.integers(0, sides + 1), draws.integers(0, sides + 1)], 1), 1)
    ends[:, 1] += ends[:, 0] == ends[:, 1]  # one pixel at least, some beyond the image's edge
    boxes = ends.reshape(-1, 4).astype(np.float32)
    boxes[:3] = [[0, 0, *image.shape[1::-1]] for image in images]
    of_image[:3] = [0, 1, 2]
    boxes[:, :2] = np.minimum(
        boxes[:, :2], np.array([i.shape[1::-1] for i in images])[of_image] - 1
    )
    mirrored = draws.random(60) < 0.5
    tensors = [torch.from_numpy(image) for image in images]
    outside = (10.25, 20.5, 30.75)
    found = cut_by_torch(tensors, of_image, boxes, size, context_px, mirrored, outside)
    assert found.shape == (60, 3, size, size)
    for number, image in enumerate(images):
        mine = of_image == number
        crops = cut_windows(
            image.astype(np.float32), boxes[mine], size, context_px, mirrored[mine], outside
        )
        error = np.abs(found.numpy()[mine].transpose(0, 2, 3, 1) - crops)
        assert error.max() < 0.01
    alone = cut_by_torch(
        tensors[:1], np.zeros(1, int), boxes[:1], size, context_px, mirrored[:1], outside
    )
    assert torch.equal(alone[0], found[0])


def test_a_cutter_fills_with_the_mean_of_its_network():
    image = np.full((20, 30, 3), 200, np.uint8)
    corner, straight = np.float32([[0, 0, 18, 18]]), np.zeros(1, bool)
    for network in (DetectorNetwork(2, 0.1, 67), TorchvisionInputOnly()):
        cutter = Cutter(network, 67, 16, torch.device("cpu"))
        crops = cutter.cut([cutter.take(image)], np.zeros(1, np.int64), corner, straight)
        assert crops.shape == (1, 3, 67, 67)
        prepared = network.preprocess(crops)[0]
        assert prepared[:, 0, 0].abs().max() < 1e-6
        assert prepared[:, 40, 40].abs().min() > 0.5


class TorchvisionInputOnly(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.preprocess = TorchvisionInput()


if torch.cuda.is_available():

    def test_a_gpu_cuts_the_same_windows():
        image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
        boxes = np.array(list(BOXES.values()), np.float32) + np.float32([0, 0, 1, 1])
        of_image, mirrored = np.zeros(len(boxes), np.int64), np.arange(len(boxes)) % 2 == 0
        network = DetectorNetwork(2, 0.1, 67)
        found = []
        for device in ("cpu", "cuda"):
            cutter = Cutter(network, 67, 16, torch.device(device))
            found.append(cutter.cut([cutter.take(image)], of_image, boxes, mirrored).cpu())
        assert (found[0] - found[1]).abs().max() < 0.01
