"""torchvision's ImageNet AlexNet as a detector: another architecture (no groups or LRN, RGB)."""

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import AlexNet_Weights, alexnet

from trackssl.datasets.place import obtain
from trackssl.datasets.table import entries
from trackssl.errors import InputError
from trackssl.networks.heads import CLASSIFIER_STD, FeatureLayer
from trackssl.networks.torchvision_input import TorchvisionInput
from trackssl.randomness import derive_seed

_LAYER_ENDS = {"pool5": 0, "fc6": 3, "fc7": 6}  # where a layer ends in torchvision's `classifier`


class TorchvisionDetector(nn.Module):
    """torchvision's AlexNet with a new last layer: (N, 3, H, W) uint8 BGR -> (N, classes) scores.

    Its weights are `state`, torchvision's own names and tensors (see `read_state`), or random.
    """

    def __init__(
        self,
        classes: int,
        seed: int = 0,
        dropout: float = 0.5,
        state: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        network = alexnet(dropout=dropout)
        if state is not None:
            network.load_state_dict(state)
        last = nn.Linear(4096, classes)
        draws = torch.Generator().manual_seed(derive_seed(seed, "init", "classifier"))
        nn.init.normal_(last.weight, 0.0, CLASSIFIER_STD, generator=draws)
        nn.init.zeros_(last.bias)
        self.convolutions = nn.Sequential(network.features, network.avgpool)
        # torchvision: dropout, fc6, ReLU, dropout, fc7, ReLU, classifier
        self.fully_connected = nn.Sequential(*list(network.classifier)[:-1])
        self.classifier = last
        self.preprocess = TorchvisionInput()

    def features(self, images: Tensor, layer: FeatureLayer = "fc7") -> Tensor:
        """(N, 3, H, W) uint8 BGR -> (N, dim) features of a layer after its ReLU."""
        x = self.convolutions(self.preprocess(images)).flatten(1)  # (N, 9216)
        return self.fully_connected[: _LAYER_ENDS[layer]](x)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of windows, before the softmax."""
        return self.classifier(self.features(images, "fc7"))


def _downloaded() -> Path:
    """The weights in PyTorch's own cache, fetched if they are not there."""
    (entry,) = entries("alexnet")
    path = Path(torch.hub.get_dir()) / "checkpoints" / entry.file
    obtain(entry, path)
    return path


def read_state(weights: Path | None) -> dict[str, Tensor]:
    """Tensors of torchvision's AlexNet, from a .pth file as it publishes them or by its download.

    Raises InputError when they cannot be had.
    """
    if weights is None:
        weights = _downloaded()
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        alexnet().load_state_dict(state)
    except (
        OSError,
        RuntimeError,
        EOFError,
        TypeError,
        AttributeError,
        LookupError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{weights}: these are not torchvision's AlexNet weights ({reason}); give the file of "
            f"{AlexNet_Weights.IMAGENET1K_V1.url}."
        ) from None
    return state
