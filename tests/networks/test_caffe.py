"""Caffe's files, beside readers and writers of other people: protobuf's own, and OpenCV's Caffe."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from trackssl.errors import InputError
from trackssl.images import MEAN_BGR
from trackssl.networks import RankingNetwork, caffe
from trackssl.networks.caffe import (
    caffe_layers,
    deploy_prototxt,
    ranking_shapes,
    ranking_weights_from_caffe,
    read_caffemodel,
    write_caffemodel,
)

torch.set_num_threads(1)

# What caffe.proto says of weights: message -> field -> (number, type, repeated).
CAFFE_PROTO = {
    "BlobShape": {"dim": (1, "INT64", True)},
    "BlobProto": {
        "num": (1, "INT32", False), "channels": (2, "INT32", False),
        "height": (3, "INT32", False), "width": (4, "INT32", False),
        "data": (5, "FLOAT", True), "diff": (6, "FLOAT", True),
        "shape": (7, "BlobShape", False), "double_data": (8, "DOUBLE", True),
    },
    "LayerParameter": {
        "name": (1, "STRING", False), "type": (2, "STRING", False),
        "bottom": (3, "STRING", True), "top": (4, "STRING", True),
        "loss_weight": (5, "FLOAT", True), "blobs": (7, "BlobProto", True),
        "phase": (10, "INT32", False),
    },
    "V1LayerParameter": {
        "layer": (1, "BlobProto", False), "bottom": (2, "STRING", True),
        "top": (3, "STRING", True), "name": (4, "STRING", False), "type": (5, "INT32", False),
        "blobs": (6, "BlobProto", True), "blobs_lr": (7, "FLOAT", True),
    },
    "NetParameter": {
        "name": (1, "STRING", False), "layers": (2, "V1LayerParameter", True),
        "input": (3, "STRING", True), "input_dim": (4, "INT32", True),
        "layer": (100, "LayerParameter", True),
    },
}  # fmt: skip
PACKED = {"BlobShape.dim", "BlobProto.data", "BlobProto.diff", "BlobProto.double_data"}
CONVOLUTION, INNER_PRODUCT, RELU = 4, 14, 18  # V1LayerParameter.LayerType


def protobuf_net() -> Any:
    """An empty NetParameter of Google's protobuf."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for message, fields in CAFFE_PROTO.items():
        described = file.message_type.add(name=message)
        for name, (number, kind, repeated) in fields.items():
            field = described.field.add(name=name, number=number)
            field.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if kind in CAFFE_PROTO:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                field.type = getattr(kinds, f"TYPE_{kind}")
            field.options.packed = f"{message}.{name}" in PACKED
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))()


@pytest.fixture(scope="module")
def network() -> RankingNetwork:
    """Full width, with random biases and weights strong enough that features depend on all."""
    made = RankingNetwork(seed=3).eval()
    draws = torch.Generator().manual_seed(1)
    for name, tensor in made.state_dict().items():
        if name.endswith("bias"):
            tensor.normal_(0.0, 0.5, generator=draws)
        else:
            tensor.mul_(2.0)
    return made


@pytest.fixture(scope="module")
def exported(network: RankingNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("caffe") / "network.caffemodel"
    write_caffemodel(path, caffe_layers(network.state_dict()))
    return path


def small() -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    shapes = {"conv": [(4, 3, 5, 5), (4,)], "fc": [(300, 200), (300,)], "scale": [(7,)]}
    return {
        name: [rng.normal(size=shape).astype(np.float32) for shape in blobs]
        for name, blobs in shapes.items()
    }


def assert_equal_layers(found: Any, wanted: Any) -> None:
    assert list(found) == list(wanted)
    for name, blobs in wanted.items():
        for a, b in zip(found[name], blobs, strict=True):
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            assert a.tobytes() == b.tobytes()


def test_a_network_comes_back_bit_for_bit(network: RankingNetwork, exported: Path) -> None:
    found = ranking_weights_from_caffe(exported)
    wanted = network.state_dict()
    assert list(found) == list(wanted)
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    assert {name: tuple(tensor.shape) for name, tensor in wanted.items()} == ranking_shapes()


def test_opencvs_caffe_computes_the_same_features(network: RankingNetwork, exported: Path) -> None:
    cv2.setNumThreads(1)
    prototxt = exported.with_suffix(".prototxt")
    prototxt.write_text(deploy_prototxt())
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 227, 227), np.uint8)
    theirs = cv2.dnn.readNetFromCaffe(str(prototxt), str(exported))
    theirs.setInput(images.astype(np.float32) - np.array(MEAN_BGR, np.float32).reshape(3, 1, 1))
    fc7 = theirs.forward()  # the last layer: fc7 after its ReLU
    fc7 /= np.linalg.norm(fc7, axis=1, keepdims=True)
    with torch.no_grad():
        ours = network(torch.from_numpy(images)).numpy()
    assert np.abs(ours[0] - ours[1]).max() > 1e-3  # the images do matter
    np.testing.assert_allclose(fc7, ours, atol=1e-5)


def test_the_text_states_the_groups() -> None:
    """Of its own, as OpenCV takes them from the weights' shapes; Caffe does not."""
    lines = [line for line in deploy_prototxt().splitlines() if "Convolution" in line]
    groups = [re.findall(r'name: "(\w+)".* group: (\d)', line)[0] for line in lines]
    wanted = {"conv1": "1", "conv2": "2", "conv3": "1", "conv4": "2", "conv5": "2"}  # the release's
    assert dict(groups) == wanted


def test_special_floats_survive(tmp_path: Path) -> None:
    bits = np.array([0x7FC00001, 0xFF800000, 0x80000000, 0x00000001, 0x3F800001], np.uint32)
    layers = {"a": [bits.view(np.float32)]}
    write_caffemodel(tmp_path / "a", layers)
    assert_equal_layers(read_caffemodel(tmp_path / "a"), layers)


def test_protobuf_reads_what_was_written(tmp_path: Path) -> None:
    layers, net = small(), protobuf_net()
    write_caffemodel(tmp_path / "a", layers, "a net")
    net.ParseFromString((tmp_path / "a").read_bytes())
    assert net.name == "a net"
    assert [layer.type for layer in net.layer] == ["Convolution", "InnerProduct", ""]
    assert_equal_layers(
        {
            layer.name: [
                np.array(blob.data, np.float32).reshape(tuple(blob.shape.dim))
                for blob in layer.blobs
            ]
            for layer in net.layer
        },
        layers,
    )


def test_the_new_format_is_read_as_protobuf_writes_it(tmp_path: Path) -> None:
    layers, net = small(), protobuf_net()
    net.input.append("data")
    net.input_dim.extend([1, 3, 227, 227])
    for name, blobs in layers.items():
        net.layer.add(name=f"relu_{name}", type="ReLU")
        layer = net.layer.add(name=name, type="Any", bottom=["b"], loss_weight=[1.0], phase=1)
        for blob in blobs:
            added = layer.blobs.add(data=blob.ravel(), diff=np.zeros(blob.size))
            added.shape.dim.extend(blob.shape)
    (tmp_path / "a").write_bytes(net.SerializeToString())
    assert_equal_layers(read_caffemodel(tmp_path / "a"), layers)


def v1_net(layers: dict[str, list[np.ndarray]]) -> Any:
    """The old format: numbered types, and four axes for every blob."""
    net = protobuf_net()
    net.name = "old"
    for name, blobs in layers.items():
        kind = CONVOLUTION if blobs[0].ndim == 4 else INNER_PRODUCT
        layer = net.layers.add(name=name, type=kind, bottom=["x"], top=[name], blobs_lr=[1, 2])
        for blob in blobs:
            num, channels, height, width = (1,) * (4 - blob.ndim) + blob.shape
            layer.blobs.add(
                num=num, channels=channels, height=height, width=width, data=blob.ravel()
            )
        net.layers.add(name=f"relu_{name}", type=RELU)
    return net


def test_the_old_format_is_read(tmp_path: Path) -> None:
    layers = small()
    (tmp_path / "a").write_bytes(v1_net(layers).SerializeToString())
    wanted = {
        name: [blob.reshape((1,) * (4 - blob.ndim) + blob.shape) for blob in blobs]
        for name, blobs in layers.items()
    }
    assert wanted["fc"][0].shape == (1, 1, 300, 200)
    assert_equal_layers(read_caffemodel(tmp_path / "a"), wanted)


def test_an_old_file_of_the_network_gives_its_weights(
    network: RankingNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # fc6 and fc7 shrunk: Google's protobuf takes seconds for tens of millions of values
    monkeypatch.setattr(caffe, "FULLY_CONNECTED", {"fc6": 8, "fc7": 1})
    state = network.state_dict()
    state["fc6.weight"], state["fc6.bias"] = state["fc6.weight"][:8], state["fc6.bias"][:8]
    state["fc7.weight"], state["fc7.bias"] = state["fc7.weight"][:1, :8], state["fc7.bias"][:1]
    layers = {f"{name}_rank_2": blobs for name, blobs in caffe_layers(state).items()}
    (tmp_path / "a").write_bytes(v1_net(layers).SerializeToString())
    found = ranking_weights_from_caffe(tmp_path / "a", suffix="_rank_2")
    assert list(found) == list(state)
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_doubles_are_read(tmp_path: Path) -> None:
    net = protobuf_net()
    blob = net.layer.add(name="a").blobs.add(double_data=[0.1, -2.0])
    blob.shape.dim.append(2)
    (tmp_path / "a").write_bytes(net.SerializeToString())
    assert_equal_layers(read_caffemodel(tmp_path / "a"), {"a": [np.array([0.1, -2.0])]})


def test_a_file_cut_anywhere_is_refused_or_lacks_whole_layers(tmp_path: Path) -> None:
    layers = {"a": [np.arange(6, dtype=np.float32).reshape(2, 3)], "b": [np.zeros(2, np.float32)]}
    path = tmp_path / "a"
    write_caffemodel(path, layers)
    content, refused = path.read_bytes(), 0
    for length in range(len(content)):
        path.write_bytes(content[:length])
        try:
            found = read_caffemodel(path)
        except InputError as error:
            refused += 1
            assert str(path) in str(error)
            assert "\n" not in str(error)
        else:  # the cut fell between two layers, which protobuf cannot tell from a shorter net
            assert_equal_layers(found, {"a": layers["a"]})
    assert refused == len(content) - 1


def test_bytes_changed_at_random_never_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "a"
    write_caffemodel(path, {"a": [np.ones((2, 3), np.float32), np.ones(2, np.float32)]})
    content, refused = np.frombuffer(path.read_bytes(), np.uint8), 0
    for _ in range(500):
        changed = content.copy()
        changed[rng.integers(0, len(content), 2)] = rng.integers(0, 256, 2)
        path.write_bytes(changed.tobytes())
        try:
            read_caffemodel(path)
        except InputError:
            refused += 1
    assert refused > 100


def _field(number: int, content: bytes) -> bytes:
    return b"".join(caffe._field(number, [content]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no layer with weights"),
        (b"name: 'net'", "no field of kind"),
        (b"\x12" + b"\xff" * 20, "breaks off within a number"),
        (_field(2, _field(1, b"")), "format V0"),
        (_field(100, _field(7, _field(5, b"\0" * 8))), r"shape \(\) holds 2 values"),
        (_field(100, _field(7, _field(5, b"\0" * 7))), "multiple of element size"),
        (_field(100, _field(7, _field(7, _field(1, b"\xff" * 9 + b"\1")))), "holds 0 values"),
        (
            _field(100, _field(7, _field(7, _field(1, b"\0" + b"\xff" * 9 + b"\1")))),
            "dimension exceeded",
        ),
        (_field(100, _field(7, _field(7, _field(1, b"\1" * 99)))), "more than 32 axes"),
        (_field(100, _field(7, _field(7, b"\x08\x01" * 99))), "more than 32 axes"),
        (_field(100, _field(7, _field(5, b"\0" * 4))) * 2, "two layers are named"),
        (_field(100, _field(1, b"\xff")), "can't decode"),
        (b"\x08\x01" * 1_000_001, "more than 1000000 fields"),
    ],
)
def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.caffemodel"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_caffemodel(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_absent_and_huge_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such"):
        read_caffemodel(tmp_path / "absent")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**31)  # sparse
    with pytest.raises(InputError, match="over 2 GiB"):
        read_caffemodel(tmp_path / "huge")


def without_fc7(layers: dict[str, list[np.ndarray]]) -> None:
    del layers["fc7"]


def grey(layers: dict[str, list[np.ndarray]]) -> None:
    layers["conv1"][0] = layers["conv1"][0][:, :1]


def transposed(layers: dict[str, list[np.ndarray]]) -> None:
    layers["fc7"][0] = layers["fc7"][0].T


def without_bias(layers: dict[str, list[np.ndarray]]) -> None:
    layers["conv3"].pop()


def diverged(layers: dict[str, list[np.ndarray]]) -> None:
    layers["conv5"][1] = np.full(256, np.nan, np.float32)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_fc7, "layers fc7 are missing, it has conv1, conv2"),
        (grey, r"conv1's weight has the shape \(96, 1, 11, 11\), but the network's is \(96, 3,"),
        (transposed, r"fc7's weight has the shape \(8, 2\), but the network's is \(2, 8\)"),
        (without_bias, "conv3 has 1 blobs"),
        (diverged, "conv5's bias holds values that are not finite"),
    ],
)
def test_another_network_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[dict[str, list[np.ndarray]]], None],
    said: str,
) -> None:
    monkeypatch.setattr(caffe, "FULLY_CONNECTED", {"fc6": 8, "fc7": 2})
    layers: dict[str, list[np.ndarray]] = {}
    for name, shape in ranking_shapes().items():
        layers.setdefault(name.split(".")[0], []).append(np.zeros(shape, np.float32))
    path = tmp_path / "a.caffemodel"
    write_caffemodel(path, layers)
    ranking_weights_from_caffe(path)
    change(layers)
    write_caffemodel(path, layers)
    with pytest.raises(InputError, match=said) as caught:
        ranking_weights_from_caffe(path)
    assert str(path) in str(caught.value)


def test_convolutions_alone_do_for_other_tasks(tmp_path: Path) -> None:
    layers: dict[str, list[np.ndarray]] = {}
    for name, shape in ranking_shapes().items():
        if name.startswith("conv"):
            layers.setdefault(name.split(".")[0], []).append(np.ones(shape, np.float32))
    write_caffemodel(tmp_path / "a", layers)
    with pytest.raises(InputError, match="layers fc6, fc7 are missing"):
        ranking_weights_from_caffe(tmp_path / "a")
    assert len(ranking_weights_from_caffe(tmp_path / "a", convolutions_only=True)) == 10
