"""Commands of the detection benchmark, in the order of the data."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trackssl.datasets.voc import VocIndex
    from trackssl.detection.proposals import ProposalFile

_PANEL = "Detection"

IndexFile = Annotated[Path, typer.Option(help="The VOC index of fetch-voc.")]
Split = Annotated[str, typer.Option(help="Which list of the index: train, val ...")]
ProposalsFile = Annotated[Path, typer.Option(help="The proposals of this split, Arrow.")]
FeatureFiles = Annotated[
    list[Path], typer.Option(help="Features of this split; repeat it for an ensemble's networks.")
]
ProgressFolder = Annotated[
    Path, typer.Option(help="Folder that keeps unfinished work, to go on after a kill.")
]
Threads = Annotated[int, typer.Option(min=1, help="Numerical threads; results depend on them.")]


class Mode(StrEnum):
    """Selective search."""

    fast = "fast"
    quality = "quality"


class Layer(StrEnum):
    """Layer of a feature."""

    fc7 = "fc7"
    fc6 = "fc6"
    pool5 = "pool5"


class InitName(StrEnum):
    """Where weights come from."""

    random = "random"
    weights = "weights"
    torchvision = "torchvision"


class MetricName(StrEnum):
    """How AP is computed."""

    area = "area"
    eleven_points = "11point"


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    for command in (
        propose_windows,
        proposals,
        finetune,
        extract_features,
        train_svms,
        detect_windows,
        voc_ap,
    ):
        app.command(command.__name__.replace("_", "-"), rich_help_panel=_PANEL)(command)


def propose_windows(
    voc: IndexFile,
    split: Split,
    out: Annotated[Path, typer.Option(help="Proposals to write, Arrow, a row an image.")],
    progress: ProgressFolder,
    settings: Annotated[
        str | None, typer.Option(help="Section `proposals`: inline JSON or a YAML file.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Images searched at once.")] = 1,
) -> None:
    """Propose windows for every image of a split by selective search.

    Example: trackssl propose-windows --voc resources/voc/index.json --split train
    --out results/detection/proposals/train.arrow --progress .progress/train --processes 4
    """
    from trackssl.config import Proposals, load_settings
    from trackssl.datasets.voc import read_index
    from trackssl.detection.proposals import propose_split

    chosen = load_settings(Proposals, settings, "proposals")
    windows = propose_split(read_index(voc), split, chosen, processes, out, progress)
    typer.echo(f"{out}: {windows} windows")


def proposals(
    image: Annotated[Path, typer.Argument(help="A photograph.")],
    out: Annotated[Path, typer.Option(help="Boxes to write, CSV.")],
    mode: Annotated[Mode, typer.Option(help="fast, as R-CNN, or quality.")] = Mode.fast,
    max_windows: Annotated[int, typer.Option(min=1, help="The first so many.")] = 2000,
) -> None:
    """Propose windows for one image: a CSV with columns x0, y0, x1, y1, best first.

    Edges in pixels from 0; x1 and y1 are exclusive, so a window of the whole image is 0, 0, width,
    height. Windows with a side under 20 pixels are left out. Equal for equal file names and pixels.

    Example: trackssl proposals dog.jpg --out boxes.csv --mode quality
    """
    import pandas as pd

    from trackssl.config import Proposals, parse
    from trackssl.detection.proposals import propose
    from trackssl.images import read_image
    from trackssl.tables import write_csv

    chosen = parse(Proposals, {"mode": mode.value, "max_windows": max_windows}, "proposals")
    boxes = propose(read_image(image), image.stem, chosen)
    write_csv(out, pd.DataFrame(boxes.astype(int), columns=["x0", "y0", "x1", "y1"]))
    typer.echo(f"{out}: {len(boxes)} windows")


def finetune(
    voc: IndexFile,
    split: Split,
    proposals: ProposalsFile,
    init: Annotated[InitName, typer.Option(help="Where the weights come from.")],
    out: Annotated[Path, typer.Option(help="Weights to write, safetensors.")],
    log: Annotated[Path, typer.Option(help="Losses to write, JSON lines.")],
    progress: ProgressFolder,
    weights: Annotated[Path | None, typer.Option(help="init weights: the file.")] = None,
    network: Annotated[
        str | None, typer.Option(help="Section `network`: inline JSON or a YAML file.")
    ] = None,
    settings: Annotated[
        str | None, typer.Option(help="Section `finetuning`: inline JSON or a YAML file.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of new layers, windows and dropout.")] = 0,
    threads: Threads = 2,
) -> None:
    """Fine-tune a network on the windows of a split, as R-CNN does.

    Example: trackssl finetune --voc index.json --split train --proposals train.arrow
    --init weights --weights ranking.safetensors --out weights.safetensors --log log.jsonl
    --progress .progress/finetune
    """
    from trackssl.config import Finetuning, Network, load_settings
    from trackssl.detection import finetune as library

    index, opened = _open(voc, split, proposals)
    loss = library.finetune(
        index,
        split,
        opened,
        library.Start(init.value, weights, seed),
        load_settings(Network, network, "network"),
        load_settings(Finetuning, settings, "finetuning"),
        threads,
        out,
        log,
        progress,
    )
    typer.echo(f"{out}: loss {loss:.3f}")


def extract_features(
    weights: Annotated[Path, typer.Option(help="A fine-tuned network, safetensors.")],
    voc: IndexFile,
    split: Split,
    proposals: ProposalsFile,
    out: Annotated[Path, typer.Option(help="Features to write, float16, a row a window.")],
    layer: Annotated[Layer, typer.Option(help="Which layer, after its ReLU.")] = Layer.fc7,
    threads: Threads = 2,
) -> None:
    """Compute features of every window of a split: ground-truth objects, then proposals.

    Example: trackssl extract-features --weights weights.safetensors --voc index.json --split val
    --proposals val.arrow --out val.npy
    """
    import torch

    from trackssl.detection import features

    torch.set_num_threads(threads)
    index, opened = _open(voc, split, proposals)
    shape = features.extract_features(weights, index, split, opened, layer.value, out)
    typer.echo(f"{out}: {shape[0]} windows x {shape[1]}")


def train_svms(
    voc: IndexFile,
    split: Split,
    proposals: ProposalsFile,
    features: FeatureFiles,
    out: Annotated[Path, typer.Option(help="Detectors to write, safetensors.")],
    settings: Annotated[
        str | None, typer.Option(help="Section `svm`: inline JSON or a YAML file.")
    ] = None,
    threads: Threads = 2,
) -> None:
    """Train a linear SVM a class on features, with hard negatives.

    Example: trackssl train-svms --voc index.json --split train --proposals train.arrow
    --features a.npy --features b.npy --out svms.safetensors
    """
    from threadpoolctl import threadpool_limits

    from trackssl.config import Svm, load_settings
    from trackssl.detection import svm
    from trackssl.detection.feature_files import FeatureTable

    index, opened = _open(voc, split, proposals)
    chosen = load_settings(Svm, settings, "svm")
    windows = index.splits[split]["objects"] + opened.windows
    with threadpool_limits(threads):
        table = FeatureTable(features, windows, chosen.feature_norm)
        svms = svm.train_svms(index, split, opened, table, chosen)
    svm.save_svms(out, svms, chosen)
    typer.echo(f"{out}: {len(svms.classes)} classes x {svms.weights.shape[1]} features")


def detect_windows(
    svms: Annotated[Path, typer.Option(help="The detectors of train-svms.")],
    voc: IndexFile,
    split: Split,
    proposals: ProposalsFile,
    features: FeatureFiles,
    out: Annotated[Path, typer.Option(help="Folder for the devkit's files, one a class.")],
    settings: Annotated[
        str | None, typer.Option(help="Section `svm`: inline JSON or a YAML file.")
    ] = None,
    threads: Threads = 2,
) -> None:
    """Detect objects among the windows of a split; write comp3_det_<split>_<class>.txt files.

    Give the feature files in the order of train-svms.

    Example: trackssl detect-windows --svms svms.safetensors --voc index.json --split val
    --proposals val.arrow --features val.npy --out detections
    """
    from threadpoolctl import threadpool_limits

    from trackssl.config import Svm, load_settings
    from trackssl.detection import detect, svm
    from trackssl.detection.feature_files import FeatureTable

    index, opened = _open(voc, split, proposals)
    chosen = load_settings(Svm, settings, "svm")
    detectors = svm.load_svms(svms)
    windows = index.splits[split]["objects"] + opened.windows
    with threadpool_limits(threads):
        table = FeatureTable(features, windows, chosen.feature_norm, detectors.scales)
        detectors.check(table, svms)
        found = detect.detect_windows(detectors, index, split, opened, table, chosen, out)
    typer.echo(f"{out}: {found} detections of {len(detectors.classes)} classes")


def voc_ap(
    detections: Annotated[Path, typer.Option(help="Folder of comp*_det_<split>_<class>.txt.")],
    devkit: Annotated[Path, typer.Option(help="Folder that holds VOC<year>.")],
    split: Split,
    out: Annotated[Path, typer.Option(help="Table to write, CSV.")],
    year: Annotated[int, typer.Option(help="Of the devkit.")] = 2012,
    metric: Annotated[
        MetricName, typer.Option(help="area: VOC 2010 and later; 11point: VOC 2007.")
    ] = MetricName.area,
    iou: Annotated[float, typer.Option(min=0, max=1, help="Overlap of a right detection.")] = 0.5,
) -> None:
    """Average precision by VOC's rules: columns class, ap (0 to 1), objects, detections.

    Lines of the files are `image score xmin ymin xmax ymax`, pixels from 1 with the last included.
    `objects` are those that are not difficult. The last row, mean, is over the classes that have
    objects (the others' ap stays empty); its objects and detections are totals.

    Example: trackssl voc-ap --detections detections --devkit VOCdevkit --year 2012 --split val
    --out ap.csv
    """
    from trackssl.datasets.voc import Devkit
    from trackssl.detection.detection_files import score_folder, write_results

    results = score_folder(detections, Devkit(devkit, year), split, metric.value, iou)
    for result in results:
        if result.objects == 0:
            typer.echo(f"{result.name}: no object in '{split}', left out of the mean", err=True)
    typer.echo(f"{out}: mean AP {100 * write_results(out, results):.2f} %")


def _open(voc: Path, split: str, proposals: Path) -> "tuple[VocIndex, ProposalFile]":
    from trackssl.datasets.voc import read_index
    from trackssl.detection.proposals import ProposalFile

    index = read_index(voc)
    return index, ProposalFile(proposals, index.images(split))
