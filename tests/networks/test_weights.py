from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import alexnet

from trackssl.errors import InputError
from trackssl.networks import (
    DETECTOR,
    RANKING,
    DetectorNetwork,
    RankingNetwork,
    build_detector,
    load_convolutions,
    load_network,
    load_weights,
    save_weights,
)

torch.set_num_threads(1)


@pytest.fixture
def ranking_file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_weights(path, RankingNetwork(0.1, 67, 1), {"format": RANKING, "pairs": "12"})
    return path


def test_weights_come_back_as_they_were_written(ranking_file: Path) -> None:
    other = RankingNetwork(0.1, 67, 2)
    assert load_network(other, ranking_file, RANKING) == {"format": RANKING, "pairs": "12"}
    for name, tensor in RankingNetwork(0.1, 67, 1).state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    metadata = {"format": RANKING} | {f"key{i}": "é" for i in range(8)}
    for name in ("a", "b"):
        save_weights(tmp_path / name, RankingNetwork(0.1, 67), metadata)
        metadata = dict(reversed(metadata.items()))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert load_weights(tmp_path / "a", RANKING)[1] == metadata


def test_only_convolutions_are_carried_over(ranking_file: Path) -> None:
    scratch = build_detector("random", 0.1, 67, 21, seed=5).state_dict()
    tuned = build_detector("weights", 0.1, 67, 21, seed=5, weights=ranking_file).state_dict()
    source = RankingNetwork(0.1, 67, 1).state_dict()
    for name in tuned:
        origin = source if name.startswith("conv") else scratch
        assert torch.equal(tuned[name], origin[name])


def test_a_detectors_file_is_a_source_of_convolutions_too(tmp_path: Path) -> None:
    path = tmp_path / "detector.safetensors"
    save_weights(path, DetectorNetwork(21, 0.1, 67, 1), {"format": DETECTOR})
    network = RankingNetwork(0.1, 67, 2)
    load_convolutions(network, path)
    first = DetectorNetwork(21, 0.1, 67, 1).get_submodule("conv1")
    assert torch.equal(network.get_submodule("conv1").weight, first.weight)


def test_a_file_that_does_not_serve_is_one_sentence(ranking_file: Path, tmp_path: Path) -> None:
    cut, text, bare = tmp_path / "cut", tmp_path / "text", tmp_path / "bare"
    cut.write_bytes(ranking_file.read_bytes()[:-100])
    text.write_text("no weights")
    save_file({"conv1.weight": torch.zeros(8, 3, 11, 11)}, bare, metadata={"format": RANKING})
    network = RankingNetwork(0.1, 67)
    for path, said in [
        (tmp_path / "absent", "no such weights file"),
        (cut, "not a whole safetensors file"),
        (text, "not a whole safetensors file"),
        (bare, "conv5.bias are missing"),
    ]:
        with pytest.raises(InputError, match=said) as caught:
            load_convolutions(network, path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"ranking', but trackssl\.detector is needed"):
        load_weights(ranking_file, DETECTOR)
    with pytest.raises(InputError, match=r"conv1.weight has the shape \(8, 3, 11, 11\)"):
        load_convolutions(RankingNetwork(0.25, 67), ranking_file)
    with pytest.raises(InputError, match="needs a weights file"):
        build_detector("weights", 0.1, 67, 21)


def test_torchvisions_network_keeps_its_features(tmp_path: Path) -> None:
    original, path = alexnet().eval(), tmp_path / "alexnet.pth"
    torch.save(original.state_dict(), path)
    detector = build_detector("torchvision", 1.0, 227, 21, weights=path).eval()
    x = torch.randint(0, 256, (2, 3, 227, 227), dtype=torch.uint8)
    rgb = x[:, [2, 1, 0]].float() / 255
    rgb = (rgb - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    with torch.no_grad():
        pool5 = original.avgpool(original.features(rgb)).flatten(1)
        torch.testing.assert_close(detector.features(x, "pool5"), pool5)
        fc7 = original.classifier[:6](pool5)
        torch.testing.assert_close(detector.features(x, "fc7"), fc7)
        assert detector(x).shape == (2, 21)


def test_torchvisions_network_refuses_other_weights(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    for content in (b"", b"no weights"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="not torchvision's AlexNet weights"):
            build_detector("torchvision", 1.0, 227, 21, weights=path)
    torch.save({"x": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="not torchvision's AlexNet weights"):
        build_detector("torchvision", 1.0, 227, 21, weights=path)
    with pytest.raises(InputError, match="full width only"):
        build_detector("torchvision", 0.25, 99, 21, weights=path)
