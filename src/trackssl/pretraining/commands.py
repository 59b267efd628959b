"""Commands that train the ranking network."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trackssl.launching import is_lead, launch, launched
from trackssl.speech import tell

if TYPE_CHECKING:
    from trackssl.errors import InputError

_PANEL = "Pre-training"

Pairs = Annotated[Path, typer.Option(help="The merged list of pairs, sets.parquet.")]
Set = Annotated[str, typer.Option("--set", help="Which of the section's `sets` to train on.")]
Out = Annotated[Path, typer.Option(help="The weights to write, safetensors.")]
Log = Annotated[Path, typer.Option(help="The log to write, a JSON object a line.")]
ProgressFolder = Annotated[
    Path, typer.Option(help="Folder of the checkpoint: a killed run goes on from it exactly.")
]
Settings = Annotated[
    str | None, typer.Option(help="Section `pretraining`: inline JSON or the path of a YAML file.")
]
NetworkSettings = Annotated[
    str | None, typer.Option(help="Section `network`: inline JSON or the path of a YAML file.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of the initial weights and of all draws.")]
Threads = Annotated[
    int, typer.Option(min=1, help="Numerical threads; results are bit-equal for equal numbers.")
]

Devices = Annotated[
    int,
    typer.Option(
        min=1,
        help="Processes of this machine, each with a device and its part of each batch. Under "
        "torchrun or srun, theirs count.",
    ),
]
DataSettings = Annotated[
    str | None, typer.Option("--data", help="Section `data`: inline JSON or a YAML file's path.")
]
TensorBoard = Annotated[
    Path | None, typer.Option(help="Folder for the curves, as `tensorboard --logdir` reads them.")
]


class EmbeddedLayer(StrEnum):
    """Layer of a feature."""

    fc7 = "fc7"
    pool5 = "pool5"


class DeviceName(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


ComputedOn = Annotated[DeviceName, typer.Option(help="auto: a GPU if there is one.")]


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    app.command("pretrain", rich_help_panel=_PANEL)(pretrain)
    app.command("readapt", rich_help_panel=_PANEL)(readapt)
    app.command("embed", rich_help_panel="Weights")(embed)


def pretrain(
    pairs: Pairs,
    set_name: Set,
    out: Out,
    log: Log,
    progress: ProgressFolder,
    settings: Settings = None,
    network: NetworkSettings = None,
    seed: Seed = 0,
    threads: Threads = 1,
    devices: Devices = 1,
    device: ComputedOn = DeviceName.auto,
    data: DataSettings = None,
    tensorboard: TensorBoard = None,
) -> None:
    """Learn from pairs of patches by ranking, from random weights.

    Example: trackssl pretrain --pairs results/pairs/sets.parquet --set 5m --seed 0
    --out weights.safetensors --log log.jsonl --progress progress/5m
    """
    from trackssl import config

    if devices > 1 and not launched():
        launch(devices)
        return
    from trackssl.pretraining import runs

    loss = runs.pretrain(
        runs.RunFiles(pairs, out, log, progress, tensorboard),
        set_name,
        config.load_settings(config.Pretraining, settings, "pretraining"),
        config.load_settings(config.Network, network, "network"),
        seed,
        runs.Machine(threads, device.value, config.load_settings(config.Data, data, "data")),
    )
    if is_lead():
        tell(f"{out}: loss {loss:.4f}", out=out, log=log, loss=loss)


def readapt(
    weights: Annotated[Path, typer.Option(help="The fine-tuned detector to start from.")],
    pairs: Pairs,
    set_name: Set,
    out: Out,
    log: Log,
    progress: ProgressFolder,
    settings: Settings = None,
    readaptation: Annotated[
        str | None,
        typer.Option(help="Section `readaptation`: inline JSON or the path of a YAML file."),
    ] = None,
    network: NetworkSettings = None,
    seed: Seed = 0,
    threads: Threads = 1,
    devices: Devices = 1,
    device: ComputedOn = DeviceName.auto,
    data: DataSettings = None,
    tensorboard: TensorBoard = None,
) -> None:
    """Go back to ranking from a fine-tuned detector's convolutions (iterative fine-tuning).

    Example: trackssl readapt --weights detector.safetensors --pairs results/pairs/sets.parquet
    --set 5m --out weights.safetensors --log log.jsonl --progress progress/5m_round1
    """
    from trackssl import config

    if devices > 1 and not launched():
        launch(devices)
        return
    from trackssl.pretraining import runs

    loss = runs.readapt(
        weights,
        runs.RunFiles(pairs, out, log, progress, tensorboard),
        set_name,
        config.load_settings(config.Pretraining, settings, "pretraining"),
        config.load_settings(config.Readaptation, readaptation, "readaptation"),
        config.load_settings(config.Network, network, "network"),
        seed,
        runs.Machine(threads, device.value, config.load_settings(config.Data, data, "data")),
    )
    if is_lead():
        tell(f"{out}: loss {loss:.4f}", out=out, log=log, loss=loss)


def embed(
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    weights: Annotated[Path, typer.Option(help="A ranking network or a detector, safetensors.")],
    out: Annotated[Path, typer.Option(help="Parquet table to write: path, feature.")],
    layer: Annotated[
        EmbeddedLayer, typer.Option(help="fc7, or pool5 flattened.")
    ] = EmbeddedLayer.fc7,
    device: ComputedOn = DeviceName.auto,
    batch_images: Annotated[int, typer.Option(min=1, help="Images computed at once.")] = 64,
    skip_bad: Annotated[
        bool, typer.Option(help="Leave out images that cannot be decoded, and name them.")
    ] = False,
    threads: Threads = 1,
) -> None:
    """Compute features of images by trained weights, a row an image.

    fc7 of a ranking network has L2 norm 1. Each image is one patch: crop to the object beforehand.

    Example: trackssl embed photos --weights weights.safetensors --layer pool5 --out photos.parquet
    """
    import torch

    from trackssl.pretraining import embed as embedding

    def leave_out(error: "InputError") -> None:
        typer.secho(f"left out: {error}", err=True, fg="yellow")

    torch.set_num_threads(threads)
    encoder = embedding.Encoder(weights, layer.value, device.value)
    files = embedding.image_files(images)
    on_bad = leave_out if skip_bad else None
    rows = embedding.write_features(files, encoder, out, batch_images, on_bad)
    tell(
        f"{rows} images, {encoder.dim} numbers each: {out}",
        out=out,
        images=rows,
        numbers=encoder.dim,
    )
