"""Commands of the classification benchmark."""

from pathlib import Path
from typing import Annotated

import typer

from trackssl.detection.commands import RuleName
from trackssl.options import (
    Carry,
    CarryName,
    Init,
    InitWeights,
    LogFile,
    NetworkSettings,
    ProgressFolder,
    Threads,
    WeightsFile,
)
from trackssl.speech import tell

IndexFile = Annotated[Path, typer.Option(help="The image index of voc-images.")]
TrainSplit = Annotated[str, typer.Option(help="Which list of the index to learn from.")]
TestSplit = Annotated[str, typer.Option(help="Which one to measure on.")]
ApFile = Annotated[Path, typer.Option(help="AP of each class to write, CSV: class, ap, images.")]
ApRule = Annotated[RuleName, typer.Option(help="How AP is computed.")]


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    app.command("classify-features", rich_help_panel="Retrieval and classification")(
        classify_features
    )
    app.command("finetune-classifier", rich_help_panel="Retrieval and classification")(
        finetune_classifier
    )


def classify_features(
    images: IndexFile,
    train: TrainSplit,
    train_features: Annotated[Path, typer.Option(help="Its images' features.")],
    test: TestSplit,
    test_features: Annotated[Path, typer.Option(help="Its images' features.")],
    out: ApFile,
    rule: ApRule = RuleName.eleven_points,
    settings: Annotated[
        str | None, typer.Option(help="Section `classification`: inline JSON or a YAML file.")
    ] = None,
    threads: Threads = 2,
) -> None:
    """Train a linear SVM a class on images' features, and measure AP on other images.

    C is chosen by cross-validation on the training images. A class without images of both kinds in
    training has no AP.

    Example: trackssl classify-features --images index.json --train trainval
    --train-features trainval.npy --test test --test-features test.npy --out ap.csv
    """
    from threadpoolctl import threadpool_limits

    from trackssl.classification.average_precision import class_precisions
    from trackssl.classification.svm import choose_c, fit_and_score
    from trackssl.config import Classification, load_settings
    from trackssl.datasets.image_index import read_image_index
    from trackssl.detection.feature_files import whole_tables
    from trackssl.tables import write_csv

    index = read_image_index(images)
    chosen = load_settings(Classification, settings, "classification")
    learnt, measured = index.split(train), index.split(test)
    with threadpool_limits(threads):
        features, others = whole_tables(
            (train_features, test_features), (len(learnt.paths), len(measured.paths)), 20.0
        )
        c, means = choose_c(features, learnt.labels, chosen.c, chosen.folds, rule.value)
        scores = fit_and_score(features, learnt.labels, others, c)
    table = class_precisions(scores, measured.labels, index.classes, rule.value)
    write_csv(out, table)
    tried = ", ".join(f"{value:g}: {100 * mean:.1f} %" for value, mean in means.items())
    mean = table["ap"].mean()
    tell(
        f"mean AP in cross-validation by C: {tried}\n"
        f"{out}: mean AP {100 * mean:.2f} % ({rule.value}, C {c:g})",
        out=out,
        mean_ap=mean,
        rule=rule.value,
        c=c,
        tried=means,
    )


def finetune_classifier(
    images: IndexFile,
    train: TrainSplit,
    test: TestSplit,
    init: Init,
    out: WeightsFile,
    log: LogFile,
    ap: ApFile,
    progress: ProgressFolder,
    weights: InitWeights = None,
    carry: Carry = CarryName.convolutions,
    rule: ApRule = RuleName.eleven_points,
    network: NetworkSettings = None,
    settings: Annotated[
        str | None, typer.Option(help="Section `classification`: inline JSON or a YAML file.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of new layers, crops and dropout.")] = 0,
    threads: Threads = 2,
) -> None:
    """Fine-tune all layers of a network on the classes that images show, and measure AP.

    A sigmoid a class; random crops and mirrors in training, ten crops in testing. extract-features
    takes the weights, and so do commands that carry convolutions over.

    Example: trackssl finetune-classifier --images index.json --train trainval --test test
    --init weights --weights ranking.safetensors --out weights.safetensors --log log.jsonl
    --ap ap.csv --progress .progress/classifier
    """
    from trackssl.classification import finetune as library
    from trackssl.config import Classification, Network, load_settings
    from trackssl.datasets.image_index import read_image_index
    from trackssl.tuning import Start

    loss, table = library.finetune_classifier(
        read_image_index(images),
        (train, test),
        Start(init.value, weights, seed, carry.value),
        load_settings(Network, network, "network"),
        load_settings(Classification, settings, "classification").finetuning,
        rule.value,
        threads,
        out,
        log,
        ap,
        progress,
    )
    mean = table["ap"].mean()
    tell(
        f"{out}: loss {loss:.3f}\n{ap}: mean AP {100 * mean:.2f} % ({rule.value})",
        out=out,
        log=log,
        loss=loss,
        ap=ap,
        mean_ap=mean,
        rule=rule.value,
    )
