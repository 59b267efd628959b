"""AlexNet in CaffeNet's order, as released with Wang & Gupta 2015 (caffe-video_triplet).

Convolution, ReLU, pooling, then local response normalisation; `width` multiplies all channels.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trackssl.config import Backbone
from trackssl.images import MEAN_BGR
from trackssl.networks.heads import DetectorHead, RankingHead, Trunk, scaled


class ConvolutionSpec(NamedTuple):
    """One convolution at full width."""

    channels: int
    kernel: int
    stride: int
    padding: int
    groups: int
    bias: float
    pooled: bool
    normalised: bool


CONVOLUTIONS = {
    "conv1": ConvolutionSpec(96, 11, 4, 0, 1, 0.0, pooled=True, normalised=True),
    "conv2": ConvolutionSpec(256, 5, 1, 2, 2, 1.0, pooled=True, normalised=True),
    "conv3": ConvolutionSpec(384, 3, 1, 1, 1, 0.0, pooled=False, normalised=False),
    "conv4": ConvolutionSpec(384, 3, 1, 1, 2, 1.0, pooled=False, normalised=False),
    "conv5": ConvolutionSpec(256, 3, 1, 1, 2, 1.0, pooled=True, normalised=False),
}
CONVOLUTION_STD = 0.01
NARROW_INPUT_SCALE = 64.0  # about the standard deviation of an image's values in 0..255


def pool5_size(input_px: int) -> int:
    """Side of pool5's map for a square input of this side, in cells: 6 for 227, 2 for 99."""
    size = input_px
    for spec in CONVOLUTIONS.values():
        size = (size + 2 * spec.padding - spec.kernel) // spec.stride + 1
        if spec.pooled:
            size = pooled_size(size)
    return size


def pooled_size(size: int) -> int:
    """Side of a map after pooling, in cells; Caffe rounds up."""
    return math.ceil((size - 3) / 2) + 1


def normalise_channels(x: Tensor) -> Tensor:
    """Caffe's LRN, (N, C, h, w): x / (1 + alpha / 5 * sum of x^2 over 5 channels) ** 0.75.

    The sum is a product with a banded matrix: on CPUs the whole network learns 1.3 to 1.5 times as
    fast as with torch's own, whose values it equals (a test).
    """
    channel = torch.arange(x.shape[1], device=x.device)
    window = ((channel[:, None] - channel).abs() <= 2).to(x.dtype)  # (C, C)
    y = x.permute(0, 2, 3, 1)  # (N, h, w, C)
    scale = 1 + 1e-4 / 5 * (y.square() @ window)
    return (y * scale.pow(-0.75)).permute(0, 3, 1, 2)


class Convolutions(Trunk):
    """conv1 to conv5 at a width, drawn from a seed."""

    backbone: Backbone = "alexnet"
    mean: Tensor

    def __init__(self, width: float, input_px: int, seed: int) -> None:
        super().__init__(width, input_px, seed, he=width < 1)
        self.register_buffer("mean", torch.tensor(MEAN_BGR).view(1, 3, 1, 1), persistent=False)
        before = 3
        for name, spec in CONVOLUTIONS.items():
            channels = scaled(spec.channels, width)
            layer = nn.Conv2d(
                before, channels, spec.kernel, spec.stride, spec.padding, groups=spec.groups
            )
            self._initialise(name, layer, CONVOLUTION_STD, spec.bias)
            before = channels
        self.pool5_features = before * pool5_size(input_px) ** 2

    def preprocess(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 BGR -> float32 minus the mean colour, Caffe's range of about +-128.

        Below full width, where He's initial weights keep the input's scale through all layers, it
        is brought to about +-2: else fine-tuning at the paper's rate diverges within ten steps.
        """
        x = images.to(self.mean.dtype, memory_format=torch.channels_last) - self.mean
        return x / NARROW_INPUT_SCALE if self.width < 1 else x

    def pool5(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 BGR -> (N, C, h, w) float32; h, w as `pool5_size` says."""
        x = self.preprocess(images)
        for name, spec in CONVOLUTIONS.items():
            x = F.relu(self.get_submodule(name)(x))
            if spec.pooled:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            if spec.normalised:
                x = normalise_channels(x)
        return x


class RankingNetwork(RankingHead, Convolutions):
    """AlexNet of the ranking task; 44.28 M parameters at full width."""

    def __init__(self, width: float = 1.0, input_px: int = 227, seed: int = 0) -> None:
        Convolutions.__init__(self, width, input_px, seed)
        self._add_head()


class DetectorNetwork(DetectorHead, Convolutions):
    """AlexNet as R-CNN's classifier of windows; count the background among the classes."""

    def __init__(
        self,
        classes: int,
        width: float = 1.0,
        input_px: int = 227,
        seed: int = 0,
        dropout: float = 0.5,
    ) -> None:
        Convolutions.__init__(self, width, input_px, seed)
        self._add_head(classes, dropout)
