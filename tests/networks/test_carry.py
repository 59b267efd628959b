"""A classifier's .caffemodel, such as CaffeNet's, whose fc6 and fc7 R-CNN carries over."""

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.config import Config, Section, parse
from trackssl.errors import InputError
from trackssl.networks import DETECTOR, RANKING, build_detector, load_weights
from trackssl.networks.caffe import CLASSIFIER_FC7, Blobs, ranking_shapes, write_caffemodel


def refused(model: type[Section], values: dict) -> str:
    with pytest.raises(InputError) as caught:
        parse(model, values, "config")
    return str(caught.value)


def test_caffenets_fc6_and_fc7_start_a_detector_and_its_convolutions_alone_can(
    tmp_path: Path,
) -> None:
    shapes = ranking_shapes() | {"fc7.weight": CLASSIFIER_FC7, "fc7.bias": (4096,)}
    layers: Blobs = {}
    draws = np.random.default_rng(0)
    for name, shape in shapes.items():
        few = draws.normal(0, 0.01, shape[-1]).astype(np.float32)
        layers.setdefault(name.split(".")[0], []).append(np.broadcast_to(few, shape))
    layers["fc8"] = [np.zeros((1000, 4096), np.float32), np.zeros(1000, np.float32)]
    model = tmp_path / "bvlc_reference_caffenet.caffemodel"
    write_caffemodel(model, layers)
    whole, trunk = tmp_path / "whole.safetensors", tmp_path / "trunk.safetensors"
    for out, more in ((whole, []), (trunk, ["--convolutions-only"])):
        ran = CliRunner().invoke(app, ["import-weights", str(model), "--out", str(out), *more])
        assert ran.exit_code == 0, ran.exception
    tensors, metadata = load_weights(whole)
    assert (metadata["format"], metadata["pairs"]) == (DETECTOR, "")
    assert load_weights(trunk)[1]["format"] == RANKING
    state = build_detector("weights", 1.0, 227, 21, weights=whole, carry="all").state_dict()
    assert tensors.keys() == set(shapes)
    assert all(torch.equal(state[name], tensors[name]) for name in shapes)
    assert state["classifier.weight"].shape == (21, 4096)


VALUES = {"name": "a", "videos": {"source": "miniworld", "count": 1}}
CAFFENET = {"init": "caffemodel", "path": "a.caffemodel", "carry": "all"}


def test_the_config_says_what_may_be_carried() -> None:
    def config(network: dict) -> dict:
        return VALUES | {"networks": {"it": network}, "methods": {"it": {"networks": ["it"]}}}

    parse(Config, config(CAFFENET), "config")
    parse(Config, config({"init": "weights", "path": "a", "carry": "all"}), "config")
    said = refused(Config, config({"init": "pairs", "set": "8m", "carry": "all"}))
    assert "init 'pairs' does not take 'carry'" in said
    said = refused(Config, config(CAFFENET) | {"network": {"input_px": 99}})
    assert "carry 'all' takes fc6 of a network of 227 px, but network.input_px is 99" in said


def test_a_method_without_fine_tuning_sees_pool5_unless_it_says_otherwise() -> None:
    methods = {
        "plain": {"networks": ["unsup_8m"]},
        "pool5": {"networks": ["unsup_8m"], "finetuned": False},
        "fc6": {"networks": ["unsup_8m"], "finetuned": False, "layer": "fc6"},
        "tuned_pool5": {"networks": ["unsup_8m"], "layer": "pool5"},
    }
    config = parse(Config, VALUES | {"methods": methods}, "config")
    assert [config.layer(name) for name in methods] == ["fc7", "pool5", "fc6", "pool5"]
