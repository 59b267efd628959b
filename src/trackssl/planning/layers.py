"""What networks cost, by the shapes of their layers: operations an image and numbers to keep."""

from dataclasses import dataclass

from trackssl.config import FeatureLayer, Network

# By torchvision's documentation of its weights: 10^9 multiplications with additions of an image of
# 224 px, parameters without the last layer, features.
_RESNETS = {"resnet18": (1.81, 11_176_512, 512), "resnet50": (4.09, 23_508_032, 2048)}
_RESNET_PX = 224


@dataclass(frozen=True)
class Shape:
    """A trunk or a network: operations of an image's forward pass and of its first layer alone."""

    flop: float
    first_flop: float
    parameters: int
    features: int  # of its last layer

    @property
    def training_flop(self) -> float:
        """Forward and backward of an image, without the gradient of the image itself."""
        return 3 * self.flop - self.first_flop

    def then(self, *outputs: int) -> "Shape":
        """With fully connected layers of so many outputs each."""
        flop, parameters, before = self.flop, self.parameters, self.features
        for count in outputs:
            flop += 2.0 * before * count
            parameters += (before + 1) * count
            before = count
        return Shape(flop, self.first_flop, parameters, before)


def trunk(network: Network) -> Shape:
    """The backbone up to pool5. A ResNet's first layer is not told apart."""
    if network.backbone != "alexnet":
        giga, parameters, features = _RESNETS[network.backbone]
        return Shape(2e9 * giga * (network.input_px / _RESNET_PX) ** 2, 0.0, parameters, features)
    from trackssl.networks.alexnet import CONVOLUTIONS, pool5_size, pooled_size
    from trackssl.networks.heads import scaled

    side, before, works, parameters = network.input_px, 3, [], 0
    for spec in CONVOLUTIONS.values():
        channels = scaled(spec.channels, network.width)
        side = (side + 2 * spec.padding - spec.kernel) // spec.stride + 1
        weights = channels * (before // spec.groups) * spec.kernel**2
        works.append(2.0 * weights * side**2)
        parameters += weights + channels
        if spec.pooled:
            side = pooled_size(side)
        before = channels
    features = before * pool5_size(network.input_px) ** 2
    return Shape(sum(works), works[0], parameters, features)


def ranking(network: Network) -> Shape:
    """The network of the ranking task."""
    return trunk(network).then(_hidden(network), _scaled(1024, network))


def classifier(network: Network, classes: int) -> Shape:
    """A detector or a classifier of images; count the background among a detector's classes."""
    return trunk(network).then(_hidden(network), _hidden(network), classes)


def normals(network: Network, outputs: int) -> Shape:
    """The network of surface normals."""
    return trunk(network).then(_hidden(network), outputs)


def up_to(network: Network, layer: FeatureLayer) -> Shape:
    """What a feature takes: a detector up to one of its layers."""
    heads = {"pool5": 0, "fc6": 1, "fc7": 2}[layer]
    return trunk(network).then(*[_hidden(network)] * heads)


def _hidden(network: Network) -> int:
    return _scaled(4096, network)


def _scaled(channels: int, network: Network) -> int:
    from trackssl.networks.heads import scaled

    return scaled(channels, network.width)
