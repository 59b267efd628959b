"""What all networks share: a trunk up to pool5, and on it the head of the ranking task or R-CNN's.

A network's input is (N, 3, H, W) uint8 BGR, as images are decoded; each trunk prepares it itself.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trackssl.config import Backbone
from trackssl.randomness import derive_seed

FeatureLayer = Literal["pool5", "fc6", "fc7"]

HEAD_LAYERS = ("fc6", "fc7", "classifier")
FULLY_CONNECTED_STD = 0.005
CLASSIFIER_STD = 0.01  # R-CNN
MIN_NORM = 1e-6


def scaled(channels: int, width: float) -> int:
    """Channels of a layer at a width: a multiple of 8 at least 8, so that two groups share them."""
    return max(8, 8 * round(channels * width / 8))


class Trunk(nn.Module):
    """A backbone up to pool5, the part that other tasks carry over; heads add their layers to it.

    `he` draws the layers' weights as He et al. in place of the paper's, with biases of 0.
    """

    backbone: Backbone
    pool5_features: int

    def __init__(self, width: float, input_px: int, seed: int, he: bool) -> None:
        super().__init__()
        self.width, self.input_px, self.seed, self.he = width, input_px, seed, he

    def pool5(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 BGR -> (N, C, h, w) float32; C * h * w is `pool5_features`."""
        raise NotImplementedError

    def trunk_names(self) -> list[str]:
        """Names of the trunk's tensors, batch norm's statistics among them."""
        return [name for name in self.state_dict() if name.split(".")[0] not in HEAD_LAYERS]

    def _initialise(self, name: str, layer: nn.Conv2d | nn.Linear, std: float, bias: float) -> None:
        """Add a layer: weights N(0, std) and biases as in the paper, or as He et al.

        The paper's std lets a narrow network's signal die, also when scaled by the fan-in: its loss
        never leaves the margin. With He's std, biases of 1 make the first steps blow up.
        """
        if self.he:
            bias = 0.0
            std = std if name == "classifier" else math.sqrt(2 / layer.weight[0].numel())
        draws = torch.Generator().manual_seed(derive_seed(self.seed, "init", name))
        nn.init.normal_(layer.weight, 0.0, std, generator=draws)
        nn.init.constant_(layer.bias, bias)  # type: ignore[arg-type]
        self.add_module(name, layer.to(memory_format=torch.channels_last))  # quicker on CPUs


class RankingHead(Trunk):
    """The head of the ranking task: (N, 3, H, W) uint8 BGR -> (N, 1024 * width) of L2 norm 1.

    fc6 and fc7 with ReLU, no dropout.
    """

    def _add_head(self) -> None:
        hidden, out = scaled(4096, self.width), scaled(1024, self.width)
        self._initialise("fc6", nn.Linear(self.pool5_features, hidden), FULLY_CONNECTED_STD, 1.0)
        self._initialise("fc7", nn.Linear(hidden, out), FULLY_CONNECTED_STD, 1.0)

    def forward(self, images: Tensor) -> Tensor:
        """Unit features of patches."""
        x = self.pool5(images).flatten(1)  # (N, 9216)
        x = F.relu(self.get_submodule("fc6")(x))  # (N, 4096)
        x = F.relu(self.get_submodule("fc7")(x))  # (N, 1024)
        return x / (x.norm(dim=1, keepdim=True) + MIN_NORM)


class DetectorHead(Trunk):
    """R-CNN's head, a classifier of windows: (N, 3, H, W) uint8 BGR -> (N, classes) scores.

    fc6 and fc7 of 4096 * width with ReLU and dropout, drawn from torch's global generator; the last
    layer is N(0, .01). Count the background among the classes.
    """

    dropout: float

    def _add_head(self, classes: int, dropout: float) -> None:
        self.dropout = dropout
        hidden = scaled(4096, self.width)
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
    """Groups for torch's optimisers: weights; biases at twice the rate without decay, as in Caffe.

    Batch norm's weights and biases, where there are any, are a third group: at the plain rate and
    without decay (as in Goyal et al. 2017).

    Each group also holds `lr_factor` (1 or 2), for schedules that set `lr` anew.
    """
    normalising = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm)
        for parameter in module.parameters()
    }
    weights: list[nn.Parameter] = []
    biases: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if id(parameter) in normalising:
            norms.append(parameter)
        else:
            (biases if name.endswith("bias") else weights).append(parameter)
    return [
        {
            "params": parameters,
            "lr": learning_rate * factor,
            "lr_factor": factor,
            "weight_decay": decay,
        }
        for parameters, factor, decay in (
            (weights, 1.0, weight_decay),
            (biases, 2.0, 0.0),
            *([(norms, 1.0, 0.0)] if norms else []),
        )
    ]
