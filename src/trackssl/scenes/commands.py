"""Commands of the scenes benchmark, MIT Indoor 67."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trackssl.options import (
    Carry,
    CarryName,
    Init,
    InitWeights,
    NetworkSettings,
    ProgressFolder,
    Threads,
)
from trackssl.speech import tell

if TYPE_CHECKING:
    from trackssl.scenes.evaluation import Accuracy

_PANEL = "Scenes"

ImagesFile = Annotated[Path, typer.Option(help="The index of fetch-mit67.")]
ResultFolder = Annotated[
    Path, typer.Option(help="Folder for metrics.json, predictions.csv, confusion.csv and .png.")
]
Settings = Annotated[
    str | None, typer.Option(help="Section `scenes`: inline JSON or the path of a YAML file.")
]


class BaselineName(StrEnum):
    """Features that are not learnt."""

    sift = "sift"
    gist = "gist"


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    app.command("classify-scenes", rich_help_panel=_PANEL)(classify_scenes)
    app.command("finetune-scenes", rich_help_panel=_PANEL)(finetune_scenes)
    app.command("scenes-baseline", rich_help_panel=_PANEL)(scenes_baseline)


def classify_scenes(
    images: ImagesFile,
    train: Annotated[Path, typer.Option(help="Features of the split train, a row an image.")],
    test: Annotated[Path, typer.Option(help="Features of the split test.")],
    out: ResultFolder,
    settings: Settings = None,
    threads: Threads = 2,
) -> None:
    """Train a linear softmax on features of scenes and score it on the test images.

    Example: trackssl classify-scenes --images index.json --train train.npy --test test.npy
    --out results/scenes/mine
    """
    from threadpoolctl import threadpool_limits

    from trackssl.config import Scenes, load_settings
    from trackssl.datasets.image_index import read_image_index
    from trackssl.scenes import classify

    chosen = load_settings(Scenes, settings, "scenes").classifier
    with threadpool_limits(threads):
        found = classify.classify_features(read_image_index(images), train, test, chosen, out)
    _tell_accuracy(out, found)


def finetune_scenes(
    images: ImagesFile,
    init: Init,
    out: Annotated[
        Path,
        typer.Option(help="Folder for weights.safetensors, log.jsonl, metrics.json and the rest."),
    ],
    progress: ProgressFolder,
    weights: InitWeights = None,
    carry: Carry = CarryName.convolutions,
    network: NetworkSettings = None,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(min=0, help="Of new layers, crops and dropout.")] = 0,
    threads: Threads = 2,
) -> None:
    """Fine-tune all layers of a network on scenes and score it on the test images.

    Example: trackssl finetune-scenes --images index.json --init weights
    --weights ranking.safetensors --out results/scenes/mine --progress .progress/scenes
    """
    from trackssl.config import Network, Scenes, load_settings
    from trackssl.datasets.image_index import read_image_index
    from trackssl.scenes import finetune
    from trackssl.tuning import Start

    found = finetune.finetune_scenes(
        read_image_index(images),
        Start(init.value, weights, seed, carry.value),
        load_settings(Network, network, "network"),
        load_settings(Scenes, settings, "scenes").finetuning,
        threads,
        out,
        progress,
    )
    _tell_accuracy(out, found)


def scenes_baseline(
    baseline: Annotated[BaselineName, typer.Argument(help="Bag of SIFT words, or GIST.")],
    images: ImagesFile,
    out: ResultFolder,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(min=0, help="Of sift's codebook.")] = 0,
    threads: Threads = 2,
) -> None:
    """Score features that are not learnt, with a linear SVM, on the test images.

    Example: trackssl scenes-baseline sift --images index.json --out results/scenes/sift
    """
    from threadpoolctl import threadpool_limits

    from trackssl.config import Scenes, load_settings
    from trackssl.datasets.image_index import read_image_index
    from trackssl.scenes import classify

    chosen = load_settings(Scenes, settings, "scenes").classifier
    with threadpool_limits(threads):
        index = read_image_index(images)
        found = classify.classify_baseline(index, baseline.value, chosen, seed, out)
    _tell_accuracy(out, found)


def _tell_accuracy(out: Path, found: "Accuracy") -> None:
    tell(
        f"{out}: accuracy {100 * found.per_class:.1f} % (mean over classes), "
        f"{100 * found.plain:.1f} % of images",
        out=out,
        per_class=found.per_class,
        plain=found.plain,
    )
