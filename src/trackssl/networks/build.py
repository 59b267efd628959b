"""Networks by name: of their backbone, and of where a detector's weights come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trackssl.config import Backbone, Carry, Network
from trackssl.errors import InputError
from trackssl.networks.alexnet import DetectorNetwork, RankingNetwork
from trackssl.networks.heads import DetectorHead, RankingHead
from trackssl.networks.weights import load_convolutions

if TYPE_CHECKING:
    from trackssl.networks.torchvision_alexnet import TorchvisionDetector

Init = Literal["random", "weights", "torchvision"]


def build_ranking(settings: Network, seed: int = 0) -> RankingHead:
    """The network of the ranking task, (N, 3, input_px, input_px) uint8 BGR -> (N, dim) of norm 1.

    Drawn from the seed; `dim` is 1024 * width, `pool5` gives the trunk's features.
    """
    if settings.backbone == "alexnet":
        return RankingNetwork(settings.width, settings.input_px, seed)
    # Imported here, as torchvision takes seconds to load and most runs do without it.
    from trackssl.networks.resnet import ResNetRanking

    return ResNetRanking(settings.backbone, settings.input_px, seed)


def build_detector(
    init: Init,
    width: float,
    input_px: int,
    classes: int,
    dropout: float = 0.5,
    seed: int = 0,
    weights: Path | None = None,
    backbone: Backbone = "alexnet",
    carry: Carry = "convolutions",
) -> DetectorHead | TorchvisionDetector:
    """A classifier of windows, (N, 3, input_px, input_px) uint8 BGR -> (N, classes).

    random: all anew; weights: the trunk (conv1 to conv5, a ResNet up to pool5) of a ranking or
    detector file, with `carry` all a detector's fc6 and fc7 too, as in R-CNN; torchvision: its
    ImageNet AlexNet, from the file `weights` or by download (only at full width, always with fc6
    and fc7). Layers that are not carried over are drawn from the seed.

    Raises InputError when the init lacks its file, or the file does not fit.
    """
    if init == "torchvision":
        if backbone != "alexnet":
            raise InputError(
                f"network.backbone is {backbone}, but the torchvision rows are its AlexNet; set it "
                "to alexnet or leave them out."
            )
        if width != 1:
            raise InputError(
                f"network.width is {width}, but torchvision's AlexNet has full width only; set it "
                "to 1 or leave the torchvision rows out."
            )
        from trackssl.networks.torchvision_alexnet import TorchvisionDetector, read_state

        return TorchvisionDetector(classes, seed, dropout, read_state(weights))
    network: DetectorHead
    if backbone == "alexnet":
        network = DetectorNetwork(classes, width, input_px, seed, dropout)
    else:
        from trackssl.networks.resnet import ResNetDetector

        network = ResNetDetector(backbone, classes, input_px, seed, dropout)
    if init == "weights":
        if weights is None:
            raise InputError("init 'weights' needs a weights file; give its path.")
        load_convolutions(network, weights, layers=("fc6", "fc7") if carry == "all" else ())
    return network
