import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn
from typer.testing import CliRunner

import trackssl
from trackssl.cli import app
from trackssl.config import Finetuning
from trackssl.errors import InputError
from trackssl.networks import (
    DETECTOR,
    RANKING,
    DetectorNetwork,
    RankingNetwork,
    build_detector,
    load_weights,
    save_weights,
)
from trackssl.networks.caffe import read_caffemodel, write_caffemodel

torch.set_num_threads(1)

SIDE = 71  # both poolings round up
NETWORK = {"width": 0.1, "input_px": SIDE}


def images(count: int, side: int = SIDE) -> torch.Tensor:
    draws = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=draws)


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception:
        raise result.exception
    return result.output


@pytest.fixture
def ranking(tmp_path: Path) -> Path:
    path = tmp_path / "ranking.safetensors"
    settings = json.dumps({"network": NETWORK, "seed": 1})
    metadata = {"format": RANKING, "settings": settings, "pairs": "12"}
    save_weights(path, RankingNetwork(0.1, SIDE, 1), metadata)
    return path


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    path = tmp_path / "detector.safetensors"
    settings = {"network": NETWORK, "finetuning": Finetuning().model_dump()}
    metadata = {
        "format": DETECTOR,
        "settings": json.dumps(settings),
        "classes": '["a", "b"]',
        "init": "random",
    }
    save_weights(path, DetectorNetwork(3, 0.1, SIDE, 1), metadata)
    return path


def wanted(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(x)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("full") / "weights.safetensors"
    settings = json.dumps({"network": {"width": 1.0, "input_px": 227}})
    save_weights(path, RankingNetwork(seed=2), {"format": RANKING, "settings": settings})
    return path


def test_one_line_gives_a_network_ready_for_use(ranking: Path, detector: Path) -> None:
    for path, made in [
        (ranking, RankingNetwork(0.1, SIDE, 1)),
        (str(detector), DetectorNetwork(3, 0.1, SIDE, 1)),
    ]:
        network = trackssl.load(path)
        assert not network.training
        assert torch.equal(wanted(network, images(2)), wanted(made, images(2)))


def test_importing_the_package_and_its_commands_loads_no_torch() -> None:
    code = "import sys, trackssl, trackssl.cli; trackssl.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_torch_reads_the_export_safely(ranking: Path, tmp_path: Path) -> None:
    out = tmp_path / "network.pt"
    assert str(out) in invoke("export", ranking, "--format", "torch", "--out", out)
    held = torch.load(out, weights_only=True)
    assert held["metadata"] == load_weights(ranking)[1]
    network = RankingNetwork(0.1, SIDE, 2)
    network.load_state_dict(held["state_dict"])
    assert torch.equal(wanted(network, images(1)), wanted(trackssl.load(ranking), images(1)))


@pytest.mark.parametrize("kind", ["ranking", "detector"])
def test_onnx_computes_the_same_for_any_batch(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    weights, out = request.getfixturevalue(kind), tmp_path / "network.onnx"
    invoke("export", weights, "--format", "onnx", "--out", out)
    assert [path.name for path in tmp_path.iterdir() if "onnx" in path.name] == ["network.onnx"]
    model = onnx.load(out)
    assert {item.key: item.value for item in model.metadata_props} == load_weights(weights)[1]
    assert model.graph.output[0].name == {"ranking": "features", "detector": "scores"}[kind]
    assert b".py" not in out.read_bytes()  # the tracer's notes on who made which node
    evaluator = ReferenceEvaluator(model)
    network = trackssl.load(weights)
    for count in (1, 3):
        x = images(count)
        (found,) = evaluator.run(None, {"images": x.numpy()})
        np.testing.assert_allclose(found, wanted(network, x), rtol=1e-4, atol=2e-6)


def test_from_our_file_to_caffes_and_back_nothing_changes(full: Path, tmp_path: Path) -> None:
    model, back = tmp_path / "a.caffemodel", tmp_path / "back.safetensors"
    said = invoke("export", full, "--format", "caffe", "--out", model)
    assert said.split() == [str(model), str(model.with_suffix(".prototxt"))]
    invoke("import-weights", model, "--out", back, "--pairs", 8_000_000)
    before, _ = load_weights(full)
    after, metadata = load_weights(back, RANKING)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (metadata["pairs"], metadata["rounds"]) == ("8000000", "0")
    x = images(1, 227)
    assert torch.equal(wanted(trackssl.load(back), x), wanted(trackssl.load(full), x))


def test_released_convolutions_start_a_detector(full: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "a.caffemodel", tmp_path / "convolutions.safetensors"
    invoke("export", full, "--format", "caffe", "--out", model)
    layers = {f"{name}_2": blobs for name, blobs in read_caffemodel(model).items()}
    del layers["fc6_2"], layers["fc7_2"]
    write_caffemodel(model, layers)
    invoke("import-weights", model, "--out", out, "--suffix", "_2", "--convolutions-only")
    tuned = build_detector("weights", 1.0, 227, 3, weights=out).state_dict()
    source, _ = load_weights(full)
    names = [name for name in tuned if name.startswith("conv")]
    assert len(names) == 10
    assert all(torch.equal(tuned[name], source[name]) for name in names)
    with pytest.raises(InputError, match=r"fc7\.bias are missing"):
        trackssl.load(out)


def test_what_cannot_be_exported_is_one_sentence(
    ranking: Path, detector: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.safetensors"
    save_weights(bare, RankingNetwork(0.1, SIDE), {"format": RANKING})
    untold = tmp_path / "untold.safetensors"
    known = {"format": DETECTOR, "settings": load_weights(detector)[1]["settings"]}
    save_weights(untold, RankingNetwork(0.1, SIDE), known)
    nearly = tmp_path / "nearly.safetensors"  # conv1's channels are those of full width
    settings = json.dumps({"network": {"width": 0.96, "input_px": 67}})
    save_weights(nearly, RankingNetwork(0.96, 67), {"format": RANKING, "settings": settings})
    before = sorted(tmp_path.iterdir())
    out = tmp_path / "out.caffemodel"
    for weights, form, target, said in [
        (ranking, "caffe", out, "width is 0.1, but only networks of full width"),
        (nearly, "caffe", out, "width is 0.96, but only networks of full width"),
        (detector, "caffe", out, "only ranking networks are written for Caffe"),
        (ranking, "caffe", tmp_path / "a.prototxt", "end it in .caffemodel"),
        (ranking, "torch", ranking, "replace its own source"),
        (bare, "torch", out, "does not say the network's width"),
        (untold, "torch", out, "or a detector's classes"),
        (tmp_path / "absent", "onnx", out, "no such weights file"),
    ]:
        with pytest.raises(InputError, match=said) as caught:
            invoke("export", weights, "--format", form, "--out", target)
        assert str(weights) in str(caught.value) or str(target) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
    assert load_weights(ranking)[1]["pairs"] == "12"


def test_a_source_that_is_no_caffemodel_leaves_no_weights(ranking: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(InputError, match=r"not a whole \.caffemodel"):
        invoke("import-weights", ranking, "--out", out)
    assert not out.exists()


def test_without_onnx_the_other_formats_still_work(
    ranking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match="needs the package onnxscript; install"):
        invoke("export", ranking, "--format", "onnx", "--out", tmp_path / "a.onnx")
    invoke("export", ranking, "--format", "torch", "--out", tmp_path / "a.pt")
