import pytest
from torch import nn, zeros
from torch import uint8 as byte
from torch.utils.flop_counter import FlopCounterMode

from trackssl.config import Network
from trackssl.networks import build_detector, build_ranking
from trackssl.normals.network import build_normals
from trackssl.planning import layers
from trackssl.tuning import Start

NETWORKS = [
    Network(width=0.25, input_px=99),
    Network(width=0.5, input_px=163),
    Network(backbone="resnet18", input_px=96),
    Network(backbone="resnet50", input_px=96),
]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("network", NETWORKS)
def test_the_numbers_of_parameters_are_those_of_the_networks_themselves(network) -> None:
    assert layers.ranking(network).parameters == parameters(build_ranking(network))


def test_so_are_those_of_detectors_and_of_normals_networks() -> None:
    network = NETWORKS[0]
    detector = build_detector("random", network.width, network.input_px, classes=11)
    assert layers.classifier(network, 11).parameters == parameters(detector)
    normals = build_normals(Start("random", None, 0), network, 500, dropout=0.5)
    assert layers.normals(network, 500).parameters == parameters(normals)


@pytest.mark.parametrize("network", NETWORKS)
def test_operations_are_those_that_torch_counts_in_the_layers(network) -> None:
    made = build_ranking(network).eval()
    with FlopCounterMode(display=False) as counter:
        made(zeros(1, 3, network.input_px, network.input_px, dtype=byte))
    name = type(made).__name__
    counts = counter.get_flop_counts()
    counted = sum(
        sum(counts[f"{name}.{layer}"].values())
        for layer, module in made.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    )
    # A ResNet's are scaled from 224 px by the area, which the borders' cells do not follow exactly.
    tolerance = 1e-9 if network.backbone == "alexnet" else 0.1
    assert layers.ranking(network).flop == pytest.approx(counted, rel=tolerance)


def test_the_papers_network_takes_4_gflop_a_patch_and_has_44_million_parameters() -> None:
    shape = layers.ranking(Network())
    assert shape.training_flop == pytest.approx(4.04e9, rel=0.005)
    assert shape.parameters == pytest.approx(44.28e6, rel=0.001)


def test_a_feature_costs_what_comes_before_its_layer() -> None:
    network = Network(width=0.25, input_px=99)
    shapes = [layers.up_to(network, layer) for layer in ("pool5", "fc6", "fc7")]
    assert [shape.features for shape in shapes] == [256, 1024, 1024]
    assert shapes[0].flop < shapes[1].flop < shapes[2].flop
