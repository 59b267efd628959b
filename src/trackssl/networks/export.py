"""Weights in and out of other programs' formats, and a network ready for use from its file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trackssl import __version__
from trackssl.config import Network
from trackssl.errors import InputError
from trackssl.files import file_sha256, fingerprint, whole_file, write_text
from trackssl.networks.build import build_ranking
from trackssl.networks.caffe import (
    FULLY_CONNECTED,
    caffe_layers,
    deploy_prototxt,
    ranking_weights_from_caffe,
    write_caffemodel,
)
from trackssl.networks.weights import (
    DETECTOR,
    RANKING,
    load_network,
    load_weights,
    network_settings,
    save_weights,
)

Format = Literal["torch", "onnx", "caffe"]


def open_network(path: Path) -> nn.Module:
    """A ranking network or detector of this project's safetensors, in eval mode.

    (N, 3, H, W) uint8 BGR -> unit features or scores; H and W as its `input_px` says. Raises
    InputError if the file is absent, damaged, of another format or does not hold all its tensors.
    """
    _, metadata = load_weights(path, RANKING, DETECTOR)
    settings = network_settings(path, metadata)
    if metadata["format"] == RANKING:
        network = build_ranking(settings)
        load_network(network, path, RANKING)
        return network.eval()
    # Imported here, as it is the stage above's, which knows what else a detector may be.
    from trackssl.detection.features import load_detector

    return load_detector(path)[0]


def export_weights(weights: Path, form: Format, out: Path) -> list[Path]:
    """Write a network in another program's format -> the files written, whole or not at all.

    torch: {"state_dict", "metadata"}, for `torch.load(weights_only=True)`; onnx: `images`, (batch,
    3, input_px, input_px) uint8 BGR, to `features` or `scores`, any batch; caffe: a .caffemodel
    and, beside it, its .prototxt (ranking AlexNets of full width only).

    Raises InputError for weights that cannot be read or do not fit the format.
    """
    if out.exists() and out.samefile(weights):
        raise InputError(f"{out}: the export would replace its own source; give another --out.")
    network = open_network(weights)
    state, metadata = load_weights(weights)
    if form == "torch":
        with whole_file(out) as part:
            torch.save({"state_dict": state, "metadata": metadata}, part)
        return [out]
    if form == "onnx":
        _write_onnx(network, network_settings(weights, metadata).input_px, metadata, out)
        return [out]
    if metadata["format"] != RANKING:
        raise InputError(f"{weights}: only ranking networks are written for Caffe, not detectors.")
    prototxt = out.with_suffix(".prototxt")
    if prototxt == out:
        raise InputError(f"{out}: this is the name of the network's text; end it in .caffemodel.")
    settings = network_settings(weights, metadata)
    if settings.backbone != "alexnet":
        raise InputError(
            f"{weights}: its backbone is {settings.backbone}, but only AlexNet is exchanged with "
            "Caffe; export it as torch or onnx."
        )
    if settings.width != 1:
        raise InputError(
            f"{weights}: its width is {settings.width:g}, but only networks of full width are "
            "exchanged with Caffe, as narrower ones divide their input by 64; export it as torch "
            "or onnx."
        )
    write_text(prototxt, deploy_prototxt(settings.input_px))
    write_caffemodel(out, caffe_layers(state))
    return [out, prototxt]


def import_caffe(
    source: Path,
    out: Path,
    suffix: str = "",
    convolutions_only: bool = False,
    pairs: int | None = None,
    name: str | None = None,
) -> None:
    """Write a .caffemodel's ranking network as this project's weights, for `init: weights`.

    A classifier's, such as CaffeNet's, becomes a detector without its last layer: `carry: all`.
    `pairs` is what the network was trained on, for the tables, None if unknown; `name` is that of
    the file where it was got. Raises InputError as `ranking_weights_from_caffe` does.
    """
    state = ranking_weights_from_caffe(source, suffix, convolutions_only)
    described = {
        "network": Network(width=1.0, input_px=227).model_dump(),
        "source": name or source.name,
        "source_sha256": file_sha256(source),
        "suffix": suffix,
    }
    fc7 = state.get("fc7.bias")
    metadata = {
        "format": RANKING if fc7 is None or len(fc7) == FULLY_CONNECTED["fc7"] else DETECTOR,
        "config": fingerprint(described),
        "settings": json.dumps(described, sort_keys=True),
        "pairs": "" if pairs is None else str(pairs),
        "rounds": "0",
        "version": __version__,
    }
    save_weights(out, _Tensors(state), metadata)


class _Tensors(nn.Module):
    """Tensors under dotted names, as a module that `save_weights` takes."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.state = state

    def state_dict(self, *_: Any, **__: Any) -> Any:
        return dict(self.state)


def _write_onnx(network: nn.Module, input_px: int, metadata: Mapping[str, str], out: Path) -> None:
    """Trace a network and write it as one ONNX file, without the tracer's notes on source files."""
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ImportError as error:
        raise InputError(
            f"the format onnx needs the package {error.name}; install onnx and onnxscript."
        ) from None
    output = "features" if metadata["format"] == RANKING else "scores"
    program = torch.onnx.export(
        network,
        (torch.zeros(2, 3, input_px, input_px, dtype=torch.uint8),),
        input_names=["images"],
        output_names=[output],
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    for node in [*model.graph.node, *(node for f in model.functions for node in f.node)]:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    onnx.checker.check_model(model)
    with whole_file(out) as part:
        onnx.save(model, part)
