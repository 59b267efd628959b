import json
import math
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn
from torchvision.models import resnet18

import trackssl
from trackssl.config import Finetuning, Network, Pretraining, parse
from trackssl.detection.features import load_detector
from trackssl.errors import InputError
from trackssl.networks import (
    DETECTOR,
    RANKING,
    RankingNetwork,
    build_detector,
    build_ranking,
    load_convolutions,
    load_weights,
    parameter_groups,
    save_weights,
)
from trackssl.networks.export import export_weights
from trackssl.networks.heads import DetectorHead, RankingHead
from trackssl.pretraining.embed import embed
from trackssl.pretraining.ranking import ranking_loss

torch.set_num_threads(1)

SIDE = 67
NETWORK = Network(backbone="resnet18", input_px=SIDE)


def images(count: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=draws)


def detector(seed: int = 0, weights: Path | None = None) -> DetectorHead:
    init = "weights" if weights else "random"
    made = build_detector(init, 1.0, SIDE, 3, 0.5, seed, weights, NETWORK.backbone)
    assert isinstance(made, DetectorHead)
    return made


@pytest.fixture(scope="module")
def trained() -> RankingHead:
    """A ranking network that has seen a batch, so that its statistics are its own."""
    network = build_ranking(NETWORK, seed=3)
    network(images(4))
    return network.eval()


@pytest.fixture(scope="module")
def ranking(trained: RankingHead, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "ranking.safetensors"
    settings = json.dumps({"network": NETWORK.model_dump()})
    save_weights(path, trained, {"format": RANKING, "settings": settings, "pairs": "12"})
    return path


def test_all_heads_stand_on_the_average_pool(trained: RankingHead) -> None:
    x = images(2)
    with torch.no_grad():
        assert trained.pool5(x).shape == (2, 512, 1, 1)
        assert trained(x).shape == (2, 1024)
        torch.testing.assert_close(trained(x).norm(dim=1), torch.ones(2), rtol=1e-4, atol=0)
        made = detector().eval()
        assert [made.features(x, layer).shape[1] for layer in ("pool5", "fc6", "fc7")] == [
            512, 4096, 4096,
        ]  # fmt: skip
        assert made(x).shape == (2, 3)
    assert trained.get_submodule("fc6").in_features == trained.pool5_features == 512


def test_a_resnet50_has_2048_features() -> None:
    network = build_ranking(Network(backbone="resnet50", input_px=SIDE)).eval()
    with torch.no_grad():
        assert network.pool5(images(1)).shape == (1, 2048, 1, 1)
    # He et al.'s 25.6 M without the classifier, and the heads
    trunk = [
        network.get_parameter(n)
        for n in network.trunk_names()
        if "running" not in n and "num" not in n
    ]
    assert sum(p.numel() for p in trunk) == 25_557_032 - (2048 * 1000 + 1000)


def test_initial_weights_are_draws_of_the_seed_alone() -> None:
    first, again, other = (build_ranking(NETWORK, seed).state_dict() for seed in (5, 5, 6))
    torch.rand(3)
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name])
        same = "bn" in name or name.endswith("bias") or "downsample.1" in name
        assert torch.equal(tensor, other[name]) == same
    trunk = detector(seed=5).state_dict()
    assert all(torch.equal(trunk[n], first[n]) for n in trunk if not n.startswith(("fc", "class")))


def test_initial_weights_are_he_et_als() -> None:
    network = build_ranking(NETWORK, seed=5)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            std = math.sqrt(2 / (module.out_channels * module.kernel_size[0] ** 2))
            assert module.weight.std().item() == pytest.approx(std, rel=0.03)
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
    fc6, fc7 = network.get_submodule("fc6"), network.get_submodule("fc7")
    assert fc6.weight.std().item() == pytest.approx(math.sqrt(2 / 512), rel=0.01)
    assert (fc6.bias == 0).all()
    assert (fc7.bias == 0).all()


def test_the_trunk_is_torchvisions(trained: RankingHead) -> None:
    theirs = resnet18().eval()
    trunk = {name: trained.state_dict()[name] for name in trained.trunk_names()}
    missing, unexpected = theirs.load_state_dict(trunk, strict=False)
    assert (sorted(missing), unexpected) == (["fc.bias", "fc.weight"], [])
    theirs.fc = nn.Identity()
    rgb = images(2)[:, [2, 1, 0]] / 255
    rgb = (rgb - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    with torch.no_grad():
        pool5 = trained.pool5(images(2)).flatten(1)
        torch.testing.assert_close(pool5, theirs(rgb), rtol=1e-4, atol=1e-5)


def test_a_ranking_network_learns() -> None:
    network = build_ranking(NETWORK, seed=1)
    groups = parameter_groups(network, 0.01, 5e-4)
    optimiser = torch.optim.SGD(groups, 0.01, momentum=0.9)
    first = images(6)
    last = (first.float() * 0.8 + 20).to(torch.uint8)
    videos = torch.arange(6)
    losses = []
    for _ in range(4):
        features = network(torch.cat([first, last]))
        result = ranking_loss(
            *features.chunk(2), videos, True, Pretraining(), torch.Generator().manual_seed(0)
        )
        optimiser.zero_grad()
        result.loss.backward()
        optimiser.step()
        losses.append(result.loss.item())
    assert losses[1] < losses[0]
    assert losses[-1] < 0.8 * losses[0]


def test_batch_norm_learns_at_the_plain_rate_and_does_not_decay() -> None:
    network = build_ranking(NETWORK)
    weights, biases, norms = parameter_groups(network, 0.001, 5e-4)
    assert (weights["lr"], weights["lr_factor"], weights["weight_decay"]) == (0.001, 1, 5e-4)
    assert (biases["lr"], biases["lr_factor"], biases["weight_decay"]) == (0.002, 2, 0)
    assert (norms["lr"], norms["lr_factor"], norms["weight_decay"]) == (0.001, 1, 0)
    assert len(weights["params"]) == 20 + 2  # convolutions, fc6 and fc7
    assert len(biases["params"]) == 2  # convolutions have none
    assert len(norms["params"]) == 2 * 20


def test_the_trunk_is_carried_over_with_its_statistics(
    trained: RankingHead, ranking: Path, tmp_path: Path
) -> None:
    tuned, scratch, source = detector(5, ranking), detector(5), trained.state_dict()
    for name, tensor in tuned.state_dict().items():
        head = name.startswith(("fc", "classifier"))
        assert torch.equal(tensor, (scratch.state_dict() if head else source)[name])
    assert source["bn1.num_batches_tracked"] == 1
    assert source["layer4.1.bn2.running_mean"].abs().sum() > 0


def test_a_file_of_another_backbone_is_refused(ranking: Path, tmp_path: Path) -> None:
    alexnet, untold = tmp_path / "alexnet.safetensors", tmp_path / "untold.safetensors"
    settings = json.dumps({"network": {"width": 0.1, "input_px": SIDE}})  # of before there was one
    save_weights(alexnet, RankingNetwork(0.1, SIDE), {"format": RANKING, "settings": settings})
    save_weights(untold, RankingNetwork(0.1, SIDE), {"format": RANKING})
    for network, path, said in [
        (RankingNetwork(1.0, SIDE), ranking, "backbone is resnet18, but the network's is alexnet"),
        (build_ranking(NETWORK), alexnet, "backbone is alexnet, but the network's is resnet18"),
        (build_ranking(NETWORK), untold, r"the tensors bn1\.weight, .* and 10\d more are missing"),
    ]:
        with pytest.raises(InputError, match=said) as caught:
            load_convolutions(network, path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="resnet18, but the torchvision rows are its AlexNet"):
        build_detector("torchvision", 1.0, SIDE, 3, backbone="resnet18")


def test_a_resnet_has_no_other_width() -> None:
    with pytest.raises(InputError, match=r"network\.width is 0\.25, but resnet18 has full width"):
        parse(Network, {"backbone": "resnet18", "width": 0.25}, "config")
    assert parse(Network, {"width": 0.25}, "config").backbone == "alexnet"


def test_one_line_gives_a_resnet_ready_for_use(
    trained: RankingHead, ranking: Path, tmp_path: Path
) -> None:
    path, x = tmp_path / "detector.safetensors", images(2)
    made = detector(seed=4)
    settings = {"network": NETWORK.model_dump(), "finetuning": Finetuning().model_dump()}
    metadata = {"format": DETECTOR, "classes": '["a", "b"]', "init": "random"}
    save_weights(path, made, {**metadata, "settings": json.dumps(settings)})
    with torch.no_grad():
        assert torch.equal(trackssl.load(ranking)(x), trained(x))
        assert torch.equal(trackssl.load(path)(x), made.eval()(x))
        network, found, _ = load_detector(path)
        assert torch.equal(network.features(x, "fc7"), made.features(x, "fc7"))
    assert found == NETWORK


def test_exports_of_a_resnet(trained: RankingHead, ranking: Path, tmp_path: Path) -> None:
    (path,) = export_weights(ranking, "torch", tmp_path / "network.pt")
    other = build_ranking(NETWORK, seed=9)
    other.load_state_dict(torch.load(path, weights_only=True)["state_dict"])
    x = images(1)
    with torch.no_grad():
        wanted = trained(x)
        assert torch.equal(other.eval()(x), wanted)
    (path,) = export_weights(ranking, "onnx", tmp_path / "network.onnx")
    (found,) = ReferenceEvaluator(onnx.load(path)).run(None, {"images": x.numpy()})
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
    with pytest.raises(InputError, match="resnet18, but only AlexNet is exchanged with Caffe"):
        export_weights(ranking, "caffe", tmp_path / "network.caffemodel")
    assert load_weights(ranking)[1]["pairs"] == "12"


@pytest.mark.parametrize("layer", ["pool5", "fc7"])
def test_features_of_image_files_are_the_networks(
    trained: RankingHead, ranking: Path, tmp_path: Path, layer: str
) -> None:
    x = images(3)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, image in zip(paths, x, strict=True):
        cv2.imwrite(str(path), image.permute(1, 2, 0).numpy())
    with torch.no_grad():
        wanted = trained.pool5(x).flatten(1) if layer == "pool5" else trained(x)
    np.testing.assert_allclose(embed(paths, ranking, layer), wanted, rtol=1e-4, atol=1e-5)
