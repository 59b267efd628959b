import pytest
import torch
from torch import nn

from trackssl.networks.alexnet import (
    CONVOLUTIONS,
    DetectorNetwork,
    RankingNetwork,
    normalise_channels,
    pool5_size,
)
from trackssl.networks.heads import parameter_groups

torch.set_num_threads(1)


def images(count: int, side: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=draws)


@pytest.fixture(scope="module")
def full() -> RankingNetwork:
    return RankingNetwork()


def test_the_ranking_network_has_44_28_million_parameters(full: RankingNetwork) -> None:
    assert sum(p.numel() for p in full.parameters()) == 44_282_240
    assert next(iter(full.state_dict())) == "conv1.weight"
    assert len(full.state_dict()) == 14  # the mean colour is no weight


def test_at_full_width_the_initial_weights_are_the_papers(full: RankingNetwork) -> None:
    for name, std, bias in [
        ("conv1", 0.01, 0), ("conv2", 0.01, 1), ("conv3", 0.01, 0), ("conv4", 0.01, 1),
        ("conv5", 0.01, 1), ("fc6", 0.005, 1), ("fc7", 0.005, 1),
    ]:  # fmt: skip
        layer = full.get_submodule(name)
        assert layer.weight.std().item() == pytest.approx(std, rel=0.02)
        assert abs(layer.weight.mean().item()) < 0.1 * std
        assert (layer.bias == bias).all()


def test_the_network_is_caffenets(full: RankingNetwork) -> None:
    """Written down a second time, in torch's own layers and order of the paper's table."""
    layers: list[nn.Module] = []
    for name in CONVOLUTIONS:
        layers += [full.get_submodule(name), nn.ReLU()]
        if name in ("conv1", "conv2", "conv5"):
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        if name in ("conv1", "conv2"):
            layers.append(nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0))
    fc6, fc7 = full.get_submodule("fc6"), full.get_submodule("fc7")
    plain = nn.Sequential(*layers, nn.Flatten(), fc6, nn.ReLU(), fc7, nn.ReLU())
    x = images(2, 227)
    with torch.no_grad():
        wanted = plain(x.float() - torch.tensor([96.64, 102.75, 108.00]).view(1, 3, 1, 1))
        wanted /= wanted.norm(dim=1, keepdim=True)
        found = full(x)
    assert found.shape == (2, 1024)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_pooling_rounds_up() -> None:
    network = RankingNetwork(width=0.1, input_px=227)
    sides = {}
    for name in CONVOLUTIONS:
        network.get_submodule(name).register_forward_hook(
            lambda _, given, made, name=name: sides.update(
                {name: (given[0].shape[-1], made.shape[-1])}
            )
        )
    pool5 = network.pool5(images(1, 227))
    assert sides["conv1"] == (227, 55)
    assert sides["conv2"] == (27, 27)
    assert sides["conv3"] == sides["conv4"] == sides["conv5"] == (13, 13)
    assert pool5.shape[-2:] == (6, 6)
    # one pixel more than fits makes a cell of its own
    for side in range(67, 140):
        assert network.pool5(images(1, side)).shape[-1] == pool5_size(side)


def test_two_groups_do_not_see_each_other() -> None:
    network = RankingNetwork(width=0.25, input_px=99)
    conv2 = network.get_submodule("conv2")
    x = torch.rand(1, 24, 11, 11)
    other = x.clone()
    other[:, 12:] += 1
    same, changed = (conv2(other) - conv2(x)).chunk(2, dim=1)
    assert (same == 0).all()
    assert (changed != 0).any()


def test_caffes_normalisation_by_hand() -> None:
    x = torch.tensor([10.0, -20.0, 30.0, 40.0, 50.0, 60.0, 70.0]).view(1, 7, 1, 1)
    values = x.flatten().tolist()
    for c, found in enumerate(normalise_channels(x).flatten().tolist()):
        neighbours = values[max(0, c - 2) : c + 3]
        scale = 1 + 1e-4 / 5 * sum(v * v for v in neighbours)  # alpha / n, n = 5 at the ends too
        assert found == pytest.approx(values[c] / scale**0.75, rel=1e-6)


def test_features_have_unit_length_and_depend_on_the_seed() -> None:
    x = images(3, 67)
    a, b, c = (RankingNetwork(0.1, 67, seed)(x) for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.allclose(a, c)
    torch.testing.assert_close(a.norm(dim=1), torch.ones(3), rtol=1e-4, atol=0)


def test_scratch_and_pretrained_networks_start_from_the_same_convolutions() -> None:
    ranking, detector = RankingNetwork(0.25, 99, 3), DetectorNetwork(21, 0.25, 99, 3)
    for name in CONVOLUTIONS:
        assert torch.equal(ranking.get_submodule(name).weight, detector.get_submodule(name).weight)


def test_a_detector_gives_the_features_of_each_layer() -> None:
    detector = DetectorNetwork(21, 0.25, 99).eval()
    x = images(2, 99)
    assert detector.features(x, "pool5").shape == (2, 64 * 2 * 2)
    assert detector.features(x, "fc6").shape == detector.features(x, "fc7").shape == (2, 1024)
    assert detector(x).shape == (2, 21)
    assert (detector.features(x, "fc7") >= 0).all()
    assert torch.equal(detector(x), detector.get_submodule("classifier")(detector.features(x)))
    dropped = (detector.train().features(x, "fc7") == 0).float().mean()
    kept = (detector.eval().features(x, "fc7") == 0).float().mean()
    assert dropped > kept + 0.1


def test_biases_learn_at_twice_the_rate_and_do_not_decay() -> None:
    network = RankingNetwork(0.1, 67)
    weights, biases = parameter_groups(network, 0.001, 5e-4)
    assert (weights["lr"], weights["weight_decay"]) == (0.001, 5e-4)
    assert (biases["lr"], biases["weight_decay"]) == (0.002, 0)
    assert {id(p) for p in biases["params"]} == {
        id(p) for name, p in network.named_parameters() if "bias" in name
    }
    assert len(weights["params"]) == len(biases["params"]) == 7
