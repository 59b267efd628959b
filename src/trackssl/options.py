"""Options that commands of several stages share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class InitName(StrEnum):
    """Where weights come from."""

    random = "random"
    weights = "weights"
    torchvision = "torchvision"


class CarryName(StrEnum):
    """What is carried over."""

    convolutions = "convolutions"
    all = "all"


ProgressFolder = Annotated[
    Path, typer.Option(help="Folder that keeps unfinished work, to go on after a kill.")
]
Threads = Annotated[int, typer.Option(min=1, help="Numerical threads; results depend on them.")]
Init = Annotated[InitName, typer.Option(help="Where the weights come from.")]
InitWeights = Annotated[Path | None, typer.Option(help="init weights: the file.")]
Carry = Annotated[
    CarryName, typer.Option(help="init weights: all takes a classifier's fc6 and fc7 over too.")
]
WeightsFile = Annotated[Path, typer.Option(help="Weights to write, safetensors.")]
LogFile = Annotated[Path, typer.Option(help="Losses to write, JSON lines.")]
NetworkSettings = Annotated[
    str | None, typer.Option(help="Section `network`: inline JSON or a YAML file.")
]
