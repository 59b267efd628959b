"""The network of surface normals: a trunk, fc6 of 4096, and a score a word for each cell."""

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from trackssl.config import Backbone, Network
from trackssl.errors import InputError
from trackssl.networks.alexnet import Convolutions
from trackssl.networks.heads import CLASSIFIER_STD, FULLY_CONNECTED_STD, Trunk, scaled
from trackssl.networks.weights import load_convolutions
from trackssl.tuning import Start

if TYPE_CHECKING:
    from trackssl.networks.torchvision_alexnet import TorchvisionDetector

NORMALS = "trackssl.normals"


class NormalsHead(Trunk):
    """The head of normals: (N, 3, H, W) uint8 BGR -> (N, cells * words) scores, cells in rows.

    fc6 of 4096 * width with ReLU and dropout (torch's global generator), then one linear layer.
    """

    dropout: float

    def _add_head(self, outputs: int, dropout: float) -> None:
        self.dropout = dropout
        hidden = scaled(4096, self.width)
        self._initialise("fc6", nn.Linear(self.pool5_features, hidden), FULLY_CONNECTED_STD, 1.0)
        self._initialise("classifier", nn.Linear(hidden, outputs), CLASSIFIER_STD, 0.0)

    def forward(self, images: Tensor) -> Tensor:
        """Scores before the softmax over each cell's words."""
        x = self.pool5(images).flatten(1)  # (N, 9216)
        x = F.relu(self.get_submodule("fc6")(x))  # (N, 4096)
        x = F.dropout(x, self.dropout, self.training)
        return self.get_submodule("classifier")(x)


class NormalsNetwork(NormalsHead, Convolutions):
    """On AlexNet."""

    def __init__(self, outputs: int, network: Network, seed: int = 0, dropout: float = 0.5) -> None:
        Convolutions.__init__(self, network.width, network.input_px, seed)
        self._add_head(outputs, dropout)


def build_normals(
    start: Start, network: Network, outputs: int, dropout: float
) -> "NormalsHead | TorchvisionDetector":
    """The network with the weights of its start; what they do not cover is drawn from the seed.

    torchvision's AlexNet keeps its own fc6 and fc7. Raises InputError for weights that do not fit.
    """
    if start.init == "torchvision":
        return start.build(network, outputs, dropout)  # type: ignore[return-value]
    made = _bare(network, outputs, start.seed, dropout)
    if start.init == "weights":
        if start.weights is None:
            raise InputError("init 'weights' needs a weights file; give its path.")
        load_convolutions(made, start.weights, layers=("fc6",) if start.carry == "all" else ())
    return made


def _bare(network: Network, outputs: int, seed: int, dropout: float) -> NormalsHead:
    if network.backbone == "alexnet":
        return NormalsNetwork(outputs, network, seed, dropout)
    # Imported here, as torchvision takes seconds to load and most runs do without it.
    from trackssl.networks.resnet import ResNetTrunk

    class ResNetNormals(NormalsHead, ResNetTrunk):
        def __init__(self, backbone: Backbone) -> None:
            ResNetTrunk.__init__(self, backbone, network.input_px, seed)
            self._add_head(outputs, dropout)

    return ResNetNormals(network.backbone)
