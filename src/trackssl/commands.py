"""Commands on files of weights, which no stage owns.

They are not in networks/, as importing any module of that folder loads torch, and `--help` should
not wait for it.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_PANEL = "Weights"


class FormatName(StrEnum):
    """Other programs' formats."""

    torch = "torch"
    onnx = "onnx"
    caffe = "caffe"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("export", rich_help_panel=_PANEL)(export)
    app.command("import-weights", rich_help_panel=_PANEL)(import_weights)


def export(
    weights: Annotated[Path, typer.Argument(help="Weights that trackssl wrote, safetensors.")],
    form: Annotated[FormatName, typer.Option("--format", help="Whose format to write.")],
    out: Annotated[Path, typer.Option(help="The file to write; caffe adds a .prototxt beside it.")],
) -> None:
    """Write a network for use elsewhere: PyTorch's .pt, ONNX, or Caffe (full width only).

    Example: trackssl export weights.safetensors --format onnx --out network.onnx
    """
    from trackssl.networks.export import export_weights

    for path in export_weights(weights, form.value, out):
        typer.echo(path)


def import_weights(
    source: Annotated[Path, typer.Argument(help="A .caffemodel, such as the authors' release.")],
    out: Annotated[Path, typer.Option(help="The weights to write, safetensors.")],
    suffix: Annotated[
        str, typer.Option(help="What the file adds to the layers' names: _2 for conv1_2 ... fc7_2.")
    ] = "",
    convolutions_only: Annotated[
        bool,
        typer.Option(help="Take conv1 to conv5 alone, all that a network with init weights uses."),
    ] = False,
    pairs: Annotated[
        int, typer.Option(min=0, help="Pairs it was trained on, for the tables; 0 is unknown.")
    ] = 0,
) -> None:
    """Read a Caffe AlexNet of full width, for networks with `init: weights`.

    Example: trackssl import-weights released.caffemodel --out released.safetensors
    """
    from trackssl.networks.export import import_caffe

    import_caffe(source, out, suffix, convolutions_only, pairs)
    typer.echo(out)
