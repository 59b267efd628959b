"""torchvision's ResNets (He et al. 2016) as trunks, with the same heads as AlexNet.

The trunk's tensors bear torchvision's names (`layer1.0.conv1.weight`) and it takes the same input,
so they can be loaded into torchvision's own models. Its last feature is the global average pool,
which He et al. call pool5 too.
"""

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, resnet18, resnet50

from trackssl.config import Backbone
from trackssl.networks.heads import DetectorHead, RankingHead, Trunk
from trackssl.networks.torchvision_input import TorchvisionInput
from trackssl.randomness import derive_seed

_MODELS = {"resnet18": resnet18, "resnet50": resnet50}


class ResNetTrunk(Trunk):
    """A ResNet up to its global average pool, drawn from a seed.

    Convolutions are drawn as torchvision does: He et al.'s normal draws by the fan-out; batch norm
    begins with weights of 1 and biases of 0. fc6 and fc7 are drawn as He et al. too, with biases of
    0: with the paper's of 1 all patches would begin with nearly the same features.
    """

    def __init__(self, backbone: Backbone, input_px: int, seed: int) -> None:
        super().__init__(1.0, input_px, seed, he=True)
        self.backbone = backbone
        self.preprocess = TorchvisionInput()
        network: ResNet = _MODELS[backbone](weights=None)
        self.pool5_features = network.fc.in_features
        for name, layer in network.named_children():
            if name not in ("avgpool", "fc"):
                self.add_module(name, layer)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                draws = torch.Generator().manual_seed(derive_seed(seed, "init", name))
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu", generator=draws
                )
        self.to(memory_format=torch.channels_last)  # quicker on CPUs

    def pool5(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 BGR -> (N, C, 1, 1) float32, C 512 or 2048: the image's mean."""
        x = self.preprocess(images).to(memory_format=torch.channels_last)
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            x = self.get_submodule(name)(x)
        return x.mean((2, 3), keepdim=True)


class ResNetRanking(RankingHead, ResNetTrunk):
    """A ResNet of the ranking task."""

    def __init__(self, backbone: Backbone, input_px: int = 227, seed: int = 0) -> None:
        ResNetTrunk.__init__(self, backbone, input_px, seed)
        self._add_head()


class ResNetDetector(DetectorHead, ResNetTrunk):
    """A ResNet as R-CNN's classifier of windows; count the background among the classes."""

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        input_px: int = 227,
        seed: int = 0,
        dropout: float = 0.5,
    ) -> None:
        ResNetTrunk.__init__(self, backbone, input_px, seed)
        self._add_head(classes, dropout)
