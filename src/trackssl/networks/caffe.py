"""Caffe's files of weights without Caffe: `.caffemodel` in and out, and the ranking network's.

A .caffemodel is the protobuf message NetParameter of caffe.proto, of which weights need a dozen
fields. They are read off the wire here: that needs no further package, bounds what a hostile file
can cost, says what is wrong with it, and takes no longer than Google's protobuf (0.2 s for 177 MB),
which the tests read and write the same files with.

Between our ranking network and CaffeNet nothing but the container changes: names, order of axes,
BGR, mean, and the order (C, H, W) in which fc6 sees pool5 are the same. Only full width is
exchanged: narrower networks divide their input by 64, which a .caffemodel cannot say.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trackssl.errors import InputError
from trackssl.files import whole_file
from trackssl.images import MEAN_BGR
from trackssl.networks.alexnet import CONVOLUTIONS, pool5_size

Blobs = dict[str, list[np.ndarray]]
Chunks = list[bytes | memoryview]

MAX_BYTES = 2**31 - 1  # protobuf's own limit of a message
MAX_FIELDS = 1_000_000  # a network of hundreds of layers has some ten thousand
MAX_AXES = 32  # Caffe's
FULLY_CONNECTED = {"fc6": 4096, "fc7": 1024}
CLASSIFIER_FC7 = (4096, 4096)

# Numbers of caffe.proto's fields.
_NET_NAME, _NET_LAYERS_V1, _NET_LAYER = 1, 2, 100
_LAYER_NAME, _LAYER_TYPE, _LAYER_BLOBS = 1, 2, 7
_V1_OLDER, _V1_NAME, _V1_BLOBS = 1, 4, 6
_BLOB_LEGACY, _BLOB_DATA, _BLOB_SHAPE, _BLOB_DOUBLES = (1, 2, 3, 4), 5, 7, 8
_SHAPE_DIM = 1
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5  # kinds of the wire format
_TYPES = {4: "Convolution", 2: "InnerProduct"}  # by the axes of a layer's first blob


def read_caffemodel(path: Path) -> Blobs:
    """Weights of a .caffemodel, new or old (V1) format: layer -> blobs, in the file's order.

    Blobs are float32 (float64 if stored as doubles) in the file's shapes; files of before 2014 give
    matrices as (1, 1, out, in) and biases as (1, 1, 1, out). Layers without blobs are left out, and
    so are types: shapes tell them.

    Raises InputError if the file is absent, cut short, beyond protobuf's 2 GiB or no .caffemodel.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such .caffemodel; check the path.")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(
            f"{path}: it is over 2 GiB, more than a .caffemodel can be; check the path."
        )
    try:
        layers = _read_net(memoryview(path.read_bytes()))
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path}: this is not a whole .caffemodel ({error}); download or copy it again."
        ) from None
    if not layers:
        raise InputError(f"{path}: it holds no layer with weights; give a trained .caffemodel.")
    return layers


def write_caffemodel(
    path: Path, layers: Mapping[str, Sequence[np.ndarray]], name: str = "trackssl"
) -> None:
    """Write layer -> blobs as a .caffemodel (new format, float32), whole or not at all.

    A layer's type follows from its first blob: 4 axes a Convolution, 2 an InnerProduct.
    """
    chunks = _field(_NET_NAME, [name.encode()])
    for layer, blobs in layers.items():
        content = _field(_LAYER_NAME, [layer.encode()])
        if kind := _TYPES.get(blobs[0].ndim if blobs else 0):
            content += _field(_LAYER_TYPE, [kind.encode()])
        for blob in blobs:
            dims = b"".join(map(_varint, blob.shape))
            values = np.ascontiguousarray(blob, "<f4").reshape(-1).view(np.uint8).data
            shape = _field(_BLOB_SHAPE, _field(_SHAPE_DIM, [dims]))
            content += _field(_LAYER_BLOBS, _field(_BLOB_DATA, [values]) + shape)
        chunks += _field(_NET_LAYER, content)
    with whole_file(path) as part, part.open("wb") as file:
        file.writelines(chunks)


def ranking_shapes(input_px: int = 227) -> dict[str, tuple[int, ...]]:
    """Shapes of the ranking network's tensors at full width, named as in its state dict."""
    shapes: dict[str, tuple[int, ...]] = {}
    before = 3
    for name, spec in CONVOLUTIONS.items():
        shapes[f"{name}.weight"] = (spec.channels, before // spec.groups, spec.kernel, spec.kernel)
        shapes[f"{name}.bias"] = (spec.channels,)
        before = spec.channels
    before *= pool5_size(input_px) ** 2
    for name, out in FULLY_CONNECTED.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, before), (out,)
        before = out
    return shapes


def ranking_weights_from_caffe(
    path: Path, suffix: str = "", convolutions_only: bool = False
) -> dict[str, Tensor]:
    """The ranking network's state dict (full width, 227 px, float32) from a .caffemodel.

    `suffix` is what the file adds to our names of layers (conv1_rank_2: "_rank_2"). With
    `convolutions_only` fc6 and fc7 are not looked for: other tasks carry over conv1 to conv5 alone.
    An fc7 of 4096 in place of 1024, a classifier's such as CaffeNet's, is taken as well.

    Raises InputError as `read_caffemodel` does, and for absent layers, other shapes or values that
    are not finite.
    """
    layers = read_caffemodel(path)
    shapes = ranking_shapes()
    fc7 = layers.get(f"fc7{suffix}")
    if fc7 and _without_leading_ones(fc7[0].shape) == CLASSIFIER_FC7:
        shapes |= {"fc7.weight": CLASSIFIER_FC7, "fc7.bias": CLASSIFIER_FC7[:1]}
    names = [*CONVOLUTIONS, *([] if convolutions_only else FULLY_CONNECTED)]
    if missing := [f"{name}{suffix}" for name in names if f"{name}{suffix}" not in layers]:
        raise InputError(
            f"{path}: the layers {', '.join(missing)} are missing, it has "
            f"{', '.join(list(layers)[:20])}; give a file of this network, or the suffix of its "
            "layers' names."
        )
    state = {}
    for name in names:
        blobs = layers[f"{name}{suffix}"]
        if len(blobs) != 2:
            raise InputError(
                f"{path}: {name}{suffix} has {len(blobs)} blobs, not weights and biases; give a "
                "file of this network."
            )
        for kind, blob in zip(("weight", "bias"), blobs, strict=True):
            wanted = shapes[f"{name}.{kind}"]
            if _without_leading_ones(blob.shape) != _without_leading_ones(wanted):
                raise InputError(
                    f"{path}: {name}{suffix}'s {kind} has the shape {blob.shape}, but the "
                    f"network's is {wanted} (full width, 227 px, colour); give a file of this "
                    "network."
                )
            if not np.isfinite(blob).all():
                raise InputError(
                    f"{path}: {name}{suffix}'s {kind} holds values that are not finite; give "
                    "another snapshot."
                )
            values = blob.reshape(wanted).astype(np.float32, copy=False)
            state[f"{name}.{kind}"] = torch.from_numpy(values)
    return state


def caffe_layers(state: Mapping[str, Tensor]) -> Blobs:
    """A full-width ranking network's state dict as layer -> (weights, biases), for Caffe."""
    return {
        name: [state[f"{name}.{kind}"].detach().cpu().numpy() for kind in ("weight", "bias")]
        for name in (*CONVOLUTIONS, *FULLY_CONNECTED)
    }


def deploy_prototxt(input_px: int = 227, batch: int = 10) -> str:
    """The full-width ranking network as Caffe's text, up to fc7's ReLU; old and new Caffe read it.

    The division by the L2 norm is left to the user: plain Caffe has no layer for it.
    """
    mean = " / ".join(f"{value:.2f}" for value in MEAN_BGR)
    lines = [
        "# AlexNet in CaffeNet's order, trained by ranking tracked patches (trackssl).",
        f"# Input: BGR, 0..255, minus the mean {mean} (B / G / R).",
        "# Divide fc7 by its L2 norm to have the unit features that the ranking compares.",
        'name: "trackssl"',
        'input: "data"',
        f"input_shape {{ dim: {batch} dim: 3 dim: {input_px} dim: {input_px} }}",
    ]
    top = "data"

    def layer(name: str, kind: str, bottom: str, parameters: str = "") -> str:
        made = bottom if kind == "ReLU" else name  # in place
        lines.append(
            f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{made}"'
            f"{' ' * bool(parameters)}{parameters} }}"
        )
        return made

    for name, spec in CONVOLUTIONS.items():
        values = (
            f"num_output: {spec.channels} kernel_size: {spec.kernel} stride: {spec.stride} "
            f"pad: {spec.padding} group: {spec.groups}"
        )
        top = layer(name, "Convolution", top, f"convolution_param {{ {values} }}")
        top = layer(f"relu{name[4:]}", "ReLU", top)
        if spec.pooled:
            values = "pool: MAX kernel_size: 3 stride: 2"
            top = layer(f"pool{name[4:]}", "Pooling", top, f"pooling_param {{ {values} }}")
        if spec.normalised:
            values = "local_size: 5 alpha: 0.0001 beta: 0.75"
            top = layer(f"norm{name[4:]}", "LRN", top, f"lrn_param {{ {values} }}")
    for name, out in FULLY_CONNECTED.items():
        top = layer(name, "InnerProduct", top, f"inner_product_param {{ num_output: {out} }}")
        top = layer(f"relu{name[2:]}", "ReLU", top)
    return "\n".join(lines) + "\n"


def _without_leading_ones(shape: Sequence[int]) -> tuple[int, ...]:
    start = next((i for i, size in enumerate(shape) if size != 1), len(shape))
    return tuple(shape[start:])


def _read_net(content: memoryview) -> Blobs:
    """NetParameter -> layer -> blobs. Raises ValueError with what is wrong."""
    wire = _Wire()
    layers: Blobs = {}
    for number, layer in wire.fields(content, _LENGTH):
        if number not in (_NET_LAYER, _NET_LAYERS_V1):
            continue
        v1 = number == _NET_LAYERS_V1
        name_field, blobs_field = (_V1_NAME, _V1_BLOBS) if v1 else (_LAYER_NAME, _LAYER_BLOBS)
        name, blobs = "", []
        for inner, value in wire.fields(layer, _LENGTH):
            if v1 and inner == _V1_OLDER:
                raise ValueError("it has the format V0 of 2013, which Caffe's tools can upgrade")
            if inner == name_field:
                name = bytes(value).decode()
            elif inner == blobs_field:
                blobs.append(_read_blob(wire, value))
        if blobs and name in layers:
            raise ValueError(f"two layers are named {name}")
        if blobs:
            layers[name] = blobs
    return layers


def _read_blob(wire: "_Wire", message: memoryview) -> np.ndarray:
    """BlobProto -> array of its own memory, in the shape it states."""
    floats, doubles = bytearray(), bytearray()
    dims: list[int] | None = None
    legacy: dict[int, int] = {}
    for number, value in wire.fields(message):
        if number in _BLOB_LEGACY and isinstance(value, int):
            legacy[number] = value
        elif isinstance(value, int):
            continue
        elif number == _BLOB_DATA:
            floats += value
        elif number == _BLOB_DOUBLES:
            doubles += value
        elif number == _BLOB_SHAPE:
            dims = []
            for inner, sizes in wire.fields(value):
                if inner == _SHAPE_DIM:
                    dims += [sizes] if isinstance(sizes, int) else _varints(sizes)
    values = np.frombuffer(doubles, "<f8") if doubles else np.frombuffer(floats, "<f4")
    if legacy:
        dims = [legacy.get(axis, 0) for axis in _BLOB_LEGACY]
    if len(dims or []) > MAX_AXES:
        raise ValueError(f"a blob has more than {MAX_AXES} axes")
    if math.prod(dims or []) != len(values):
        raise ValueError(f"a blob of shape {tuple(dims or [])} holds {len(values)} values")
    return values.reshape(dims or [])


class _Wire:
    """Fields of protobuf messages; no more than MAX_FIELDS of a file, so that time is bounded."""

    def __init__(self) -> None:
        self.left = MAX_FIELDS

    def fields(self, message: memoryview, kind: int | None = None) -> Iterator[tuple[int, Any]]:
        """(number, value) of a message, of one kind if given: an int, or the bytes as a view."""
        at = 0
        while at < len(message):
            self.left -= 1
            if self.left < 0:
                raise ValueError(f"it has more than {MAX_FIELDS} fields")
            key, at = _read_varint(message, at)
            number, found = key >> 3, key & 7
            value: int | memoryview
            if found == _VARINT:
                value, at = _read_varint(message, at)
            else:
                if found == _LENGTH:
                    size, at = _read_varint(message, at)
                elif found in (_EIGHT_BYTES, _FOUR_BYTES):
                    size = 8 if found == _EIGHT_BYTES else 4
                else:
                    raise ValueError(f"there is no field of kind {found}")
                if size > len(message) - at:
                    raise ValueError("it breaks off within a field")
                value, at = message[at : at + size], at + size
            if kind is None or kind == found:
                yield number, value


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """An integer of up to 64 bits, 7 a byte, least first -> it and where the next field begins."""
    value = 0
    for i, byte in enumerate(message[at : at + 10]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at + i + 1
    raise ValueError("it breaks off within a number")


def _varints(message: memoryview) -> list[int]:
    """Packed sizes of a shape; none are read beyond those that are too many."""
    values: list[int] = []
    at = 0
    while at < len(message) and len(values) <= MAX_AXES:
        value, at = _read_varint(message, at)
        values.append(value)
    return values


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def _field(number: int, chunks: Chunks) -> Chunks:
    """A field of bytes, its content in chunks so that large arrays are not copied."""
    size = sum(len(chunk) for chunk in chunks)
    return [_varint(number << 3 | _LENGTH) + _varint(size), *chunks]
