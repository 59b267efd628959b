"""AlexNet in CaffeNet's order, as released with Wang & Gupta 2015 (caffe-video_triplet).

Convolution, ReLU, pooling, then local response normalisation; `width` multiplies all channels. A
network's input is (N, 3, H, W) uint8 BGR, as images are decoded; it subtracts the mean by itself.
"""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trackssl.images import MEAN_BGR
from trackssl.randomness import derive_seed

FeatureLayer = Literal["pool5", "fc6", "fc7"]


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
FULLY_CONNECTED_STD = 0.005
CLASSIFIER_STD = 0.01  # R-CNN
NARROW_INPUT_SCALE = 64.0  # about the standard deviation of an image's values in 0..255
MIN_NORM = 1e-6


def scaled(channels: int, width: float) -> int:
    """Channels of a layer at a width: a multiple of 8 at least 8, so that two groups share them."""
    return max(8, 8 * round(channels * width / 8))


def pool5_size(input_px: int) -> int:
    """Side of pool5's map for a square input of this side, in cells: 6 for 227, 2 for 99."""
    size = input_px
    for spec in CONVOLUTIONS.values():
        size = (size + 2 * spec.padding - spec.kernel) // spec.stride + 1
        if spec.pooled:
            size = math.ceil((size - 3) / 2) + 1  # Caffe rounds up
    return size


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


class Convolutions(nn.Module):
    """conv1 to conv5 at a width, drawn from a seed: the part that other tasks carry over."""

    mean: Tensor

    def __init__(self, width: float, input_px: int, seed: int) -> None:
        super().__init__()
        self.width, self.input_px, self.seed = width, input_px, seed
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

    def _initialise(self, name: str, layer: nn.Conv2d | nn.Linear, std: float, bias: float) -> None:
        """Add a layer: weights N(0, std) and biases as in the paper; below full width as He et al.

        The paper's std lets a narrow network's signal die, also when scaled by the fan-in: its loss
        never leaves the margin. With He's std, biases of 1 make the first steps blow up.
        """
        if self.width < 1:
            bias = 0.0
            std = std if name == "classifier" else math.sqrt(2 / layer.weight[0].numel())
        draws = torch.Generator().manual_seed(derive_seed(self.seed, "init", name))
        nn.init.normal_(layer.weight, 0.0, std, generator=draws)
        nn.init.constant_(layer.bias, bias)  # type: ignore[arg-type]
        self.add_module(name, layer.to(memory_format=torch.channels_last))  # quicker on CPUs

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


class RankingNetwork(Convolutions):
    """The network of the ranking task: (N, 3, H, W) uint8 BGR -> (N, 1024 * width) of L2 norm 1.

    fc6 and fc7 with ReLU, no dropout. 44.28 M parameters at full width.
    """

    def __init__(self, width: float = 1.0, input_px: int = 227, seed: int = 0) -> None:
        super().__init__(width, input_px, seed)
        hidden, out = scaled(4096, width), scaled(1024, width)
        self._initialise("fc6", nn.Linear(self.pool5_features, hidden), FULLY_CONNECTED_STD, 1.0)
        self._initialise("fc7", nn.Linear(hidden, out), FULLY_CONNECTED_STD, 1.0)

    def forward(self, images: Tensor) -> Tensor:
        """Unit features of patches."""
        x = self.pool5(images).flatten(1)  # (N, 9216)
        x = F.relu(self.get_submodule("fc6")(x))  # (N, 4096)
        x = F.relu(self.get_submodule("fc7")(x))  # (N, 1024)
        return x / (x.norm(dim=1, keepdim=True) + MIN_NORM)


class DetectorNetwork(Convolutions):
    """R-CNN's classifier of windows: (N, 3, H, W) uint8 BGR -> (N, classes) scores.

    fc6 and fc7 of 4096 * width with ReLU and dropout, drawn from torch's global generator; the last
    layer is N(0, .01). Count the background among the classes.
    """

    def __init__(
        self,
        classes: int,
        width: float = 1.0,
        input_px: int = 227,
        seed: int = 0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(width, input_px, seed)
        self.dropout = dropout
        hidden = scaled(4096, width)
        self._initialise("fc6", nn.Linear(self.pool5_features, hidden), FULLY_CONNECTED_STD, 1.0)
        self._initialise("fc7", nn.Linear(hidden, hidden), FULLY_CONNECTED_STD, 1.0)
        self._initialise("classifier", nn.Linear(hidden, classes), CLASSIFIER_STD, 0.0)

    def features(self, images: Tensor, layer: FeatureLayer = "fc7") -> Tensor:
        """(N, 3, H, W) uint8 BGR -> (N, dim) features of a layer after its ReLU (and dropout)."""
        x = self.pool5(images).flatten(1)  # (N, 9216)
        for name in ("fc6", "fc7"):
            if layer == "pool5":
                break
            x = F.relu(self.get_submodule(name)(x))  # (N, 4096)
            x = F.dropout(x, self.dropout, self.training)
            if layer == name:
                break
        return x

    def forward(self, images: Tensor) -> Tensor:
        """Scores of windows, before the softmax."""
        return self.get_submodule("classifier")(self.features(images, "fc7"))


def parameter_groups(
    network: nn.Module, learning_rate: float, weight_decay: float
) -> list[dict[str, object]]:
    """Groups for torch's optimisers: biases learn at twice the rate and do not decay, as in Caffe.

    Each group also holds `lr_factor` (1 or 2), for schedules that set `lr` anew.
    """
    named = list(network.named_parameters())
    return [
        {
            "params": [p for name, p in named if name.endswith("bias") == biases],
            "lr": learning_rate * factor,
            "lr_factor": factor,
            "weight_decay": decay,
        }
        for biases, factor, decay in ((False, 1.0, weight_decay), (True, 2.0, 0.0))
    ]
