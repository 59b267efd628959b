"""Commands of the detection benchmark, in the order of the data."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trackssl.errors import InputError
from trackssl.options import (
    Carry,
    CarryName,
    Init,
    InitName,
    InitWeights,
    LogFile,
    NetworkSettings,
    ProgressFolder,
    Threads,
    WeightsFile,
)
from trackssl.speech import tell

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


class Mode(StrEnum):
    """Selective search."""

    fast = "fast"
    quality = "quality"


class Layer(StrEnum):
    """Layer of a feature."""

    fc7 = "fc7"
    fc6 = "fc6"
    pool5 = "pool5"


class RuleName(StrEnum):
    """How AP is computed."""

    eleven_points = "11-point"
    area = "area"


class Competition(StrEnum):
    """What a detector was trained on."""

    comp3 = "comp3"
    comp4 = "comp4"


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    for command in (
        propose_windows,
        proposals,
        proposal_recall,
        finetune,
        extract_features,
        train_svms,
        detect_windows,
        detect,
        voc_ap,
        voc_submission,
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
    """Propose windows for every image of a split, by selective search or from a file of boxes.

    A file is named by the settings: {"mode": "file", "file": "boxes/voc_2012_{split}.mat"} takes
    R-CNN's published boxes. A .csv has the columns image, x0, y0, x1, y1, edges from 0.

    Example: trackssl propose-windows --voc resources/voc/index.json --split train
    --out results/detection/proposals/train.arrow --progress .progress/train --processes 4
    """
    from trackssl.config import Proposals, load_settings
    from trackssl.datasets.voc import read_index
    from trackssl.detection.proposals import propose_split

    chosen = load_settings(Proposals, settings, "proposals")
    windows = propose_split(read_index(voc), split, chosen, processes, out, progress)
    tell(f"{out}: {windows} windows", out=out, windows=windows)


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
    tell(f"{out}: {len(boxes)} windows", out=out, windows=len(boxes))


def proposal_recall(
    voc: IndexFile,
    split: Split,
    proposals: ProposalsFile,
    out: Annotated[Path | None, typer.Option(help="Table to write, CSV.")] = None,
    iou: Annotated[float, typer.Option(min=0, max=1, help="From which an object is found.")] = 0.5,
) -> None:
    """Print which share of a split's objects its proposals find, by the number of windows.

    Of each image the first so many windows count, in their own order.

    Example: trackssl proposal-recall --voc index.json --split val --proposals val.arrow
    --out recall.csv
    """
    from trackssl.detection import recall
    from trackssl.tables import write_csv

    index, opened = _open(voc, split, proposals)
    table = recall.proposal_recall(index, split, opened, iou)
    if out:
        write_csv(out, table, digits=6)
    title = f"Recall at IoU {iou:g}: {proposals.name}, {len(opened)} images"
    tell(recall.drawn(table, title), iou=iou, images=len(opened), recall=table)


def finetune(
    voc: IndexFile,
    split: Split,
    proposals: ProposalsFile,
    init: Init,
    out: WeightsFile,
    log: LogFile,
    progress: ProgressFolder,
    weights: InitWeights = None,
    carry: Carry = CarryName.convolutions,
    network: NetworkSettings = None,
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
    from trackssl.tuning import Start

    index, opened = _open(voc, split, proposals)
    loss = library.finetune(
        index,
        split,
        opened,
        Start(init.value, weights, seed, carry.value),
        load_settings(Network, network, "network"),
        load_settings(Finetuning, settings, "finetuning"),
        threads,
        out,
        log,
        progress,
    )
    tell(f"{out}: loss {loss:.3f}", out=out, log=log, loss=loss)


def extract_features(
    split: Split,
    out: Annotated[Path, typer.Option(help="Features to write, float16, a row a window.")],
    voc: Annotated[Path | None, typer.Option(help="The VOC index of fetch-voc: windows of it.")] = (
        None
    ),
    proposals: Annotated[
        Path | None, typer.Option(help="With --voc: the proposals of this split, Arrow.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="In place of --voc: an index of images, of which the whole is taken."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="A fine-tuned network, or one of the ranking task as it is."),
    ] = None,
    init: Annotated[
        InitName, typer.Option(help="random or torchvision: that network, without fine-tuning.")
    ] = InitName.weights,
    layer: Annotated[Layer, typer.Option(help="Which layer, after its ReLU.")] = Layer.fc7,
    network: Annotated[
        str | None,
        typer.Option(help="Without fine-tuning: section `network`; default: as the file says."),
    ] = None,
    context_px: Annotated[
        int, typer.Option(min=0, help="Without fine-tuning: context of a window, at 227 px.")
    ] = 16,
    seed: Annotated[int, typer.Option(min=0, help="init random: of its layers.")] = 0,
    progress: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps unfinished work; default: beside --out."),
    ] = None,
    threads: Threads = 2,
) -> None:
    """Compute features of every window of a split: ground-truth objects, then proposals.

    Example: trackssl extract-features --weights weights.safetensors --voc index.json --split val
    --proposals val.arrow --out val.npy

    Or of whole images, squashed to a square of which the central 227/256 is taken:
    trackssl extract-features --weights weights.safetensors --images index.json --split test
    --layer pool5 --out test.npy
    """
    import torch

    from trackssl.config import Network, load_settings
    from trackssl.datasets.image_index import read_image_index
    from trackssl.detection import features

    torch.set_num_threads(threads)
    chosen = load_settings(Network, network, "network") if network else None
    source = features.Source(weights, init.value, chosen, seed, context_px)
    to = out, progress
    if images is not None and voc is None and proposals is None:
        listed = read_image_index(images)
        shape = features.extract_image_features(source, listed, split, layer.value, *to)
    elif images is None and voc is not None and proposals is not None:
        index, opened = _open(voc, split, proposals)
        shape = features.extract_features(source, index, split, opened, layer.value, *to)
    else:
        raise InputError("give either --voc and --proposals, for windows, or --images.")
    what = "images" if images else "windows"
    tell(f"{out}: {shape[0]} {what} x {shape[1]}", out=out, of=what, shape=shape)


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
    for name in svms.untrained:
        typer.echo(
            f"{name}: no object in '{split}', or no window away from it; nothing will be detected",
            err=True,
        )
    tell(
        f"{out}: {len(svms.classes)} classes x {svms.weights.shape[1]} features",
        out=out,
        classes=svms.classes,
        untrained=svms.untrained,
    )


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
    """Detect objects among the windows of a split; write comp3_det_SPLIT_CLASS.txt files.

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
    tell(
        f"{out}: {found} detections of {len(detectors.classes)} classes",
        out=out,
        detections=found,
    )


def detect(
    image: Annotated[list[Path], typer.Argument(help="Photographs.")],
    detector: Annotated[
        Path, typer.Option(help="A method's folder with svms.safetensors, or that file.")
    ],
    out: Annotated[Path, typer.Option(help="PNG to write; of several images, their folder.")],
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            help="The fine-tuned network of the SVMs' features; repeat it for an ensemble's, in "
            "the order of train-svms. A method of one network of its own name needs none."
        ),
    ] = None,
    layer: Annotated[
        Layer | None, typer.Option(help="Of the features; default: as the SVMs' settings say.")
    ] = None,
    detections: Annotated[
        Path | None, typer.Option(help="Also write the detections, JSON.")
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(help="Leave out what scores less; default: the svm.min_score of training."),
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Draw so many an image, the best.")] = 5,
    settings: Annotated[
        str | None, typer.Option(help="Section `proposals`: inline JSON or a YAML file.")
    ] = None,
    threads: Threads = 2,
) -> None:
    """Draw the best of what a trained detector finds on each photograph.

    The JSON lists all detections of each image, best first: class, score, box (x0, y0, x1, y1:
    edges in pixels from 0).

    Example: trackssl detect dog.jpg --detector results/detection/methods/unsup_8m/seed0
    --out drawn.png

    An ensemble: trackssl detect a.jpg b.jpg --out drawn --detections found.json
    --detector results/detection/methods/unsup_ensemble_2/seed0
    --weights results/detection/networks/unsup_1_5m/seed0/weights.safetensors
    --weights results/detection/networks/unsup_5m/seed0/weights.safetensors
    """
    import torch

    from trackssl.config import Proposals, load_settings
    from trackssl.detection.detector import Detector, detect_images

    torch.set_num_threads(threads)
    chosen = load_settings(Proposals, settings, "proposals")
    opened = Detector(detector, weights, chosen, layer.value if layer else None)
    for path, drawn, found in detect_images(opened, image, min_score, most, out, detections):
        tell(f"{path}: {drawn} of {found} detections", out=path, drawn=drawn, detections=found)


def voc_ap(
    detections: Annotated[
        Path, typer.Option(help="Folder of comp3\\_det\\_SPLIT\\_CLASS.txt files.")
    ],
    devkit: Annotated[Path, typer.Option(help="Folder that holds VOC2012 or another year.")],
    split: Annotated[str, typer.Option(help="Which list of the devkit: val, test ...")],
    out: Annotated[Path, typer.Option(help="Table to write, CSV.")],
    year: Annotated[int, typer.Option(help="Of the devkit.")] = 2012,
    rule: Annotated[
        RuleName | None, typer.Option(help="Default: area for 2010 and later, else 11-point.")
    ] = None,
    iou: Annotated[float, typer.Option(min=0, max=1, help="Overlap of a right detection.")] = 0.5,
    curves: Annotated[
        Path | None, typer.Option(help="Precision-recall curves to write, .parquet or .csv.")
    ] = None,
) -> None:
    """Average precision by VOC's rules: columns class, ap (0 to 1), objects, detections.

    Lines of the files are `image score xmin ymin xmax ymax`, pixels from 1 with the last included.
    `objects` are those that are not difficult. The last row, mean, is over the classes that have
    objects (the others' ap stays empty); its objects and detections are totals. --curves has the
    columns class, score, recall, precision: a row a detection, but for those of difficult objects.

    Example: trackssl voc-ap --detections detections --devkit VOCdevkit --year 2012 --split val
    --out ap.csv --curves curves.parquet
    """
    from trackssl.datasets.voc import Devkit
    from trackssl.detection import average_precision, detection_files

    if curves is not None:
        detection_files.check_curve_file(curves)
    chosen = rule.value if rule else average_precision.rule_of(year)
    truth = detection_files.read_truth(Devkit(devkit, year), split)
    results = detection_files.score_folder(detections, truth, split, chosen, iou)
    for result in results:
        if result.objects == 0:
            typer.echo(f"{result.name}: no object in '{split}', left out of the mean", err=True)
    if absent := sorted(truth.objects.keys() - {result.name for result in results}):
        typer.echo(f"{', '.join(absent)}: no file of detections, left out of the mean", err=True)
    if curves is not None:
        detection_files.write_curves(curves, results)
    mean = detection_files.write_results(out, results)
    tell(
        f"{out}: mean AP {100 * mean:.2f} % ({chosen}, IoU {iou:g})",
        out=out,
        mean_ap=mean,
        rule=chosen,
        iou=iou,
    )


def voc_submission(
    detections: Annotated[
        Path, typer.Argument(help="Folder of comp3\\_det\\_SPLIT\\_CLASS.txt files.")
    ],
    comp: Annotated[
        Competition, typer.Option(help="comp3: trained on VOC alone; comp4: on other data too.")
    ],
    out: Annotated[Path, typer.Option(help="Archive to write, .tar.gz.")],
    split: Annotated[str, typer.Option(help="Which files of the folder.")] = "test",
    year: Annotated[int, typer.Option(help="Of the challenge.")] = 2012,
    devkit: Annotated[
        Path | None, typer.Option(help="Folder that holds VOC2012, to check the image ids.")
    ] = None,
) -> None:
    """Pack detections of VOC's twenty classes as the evaluation server takes them.

    Every line is checked. Equal files make equal archives.

    Example: trackssl voc-submission detections --comp comp4 --out results.tar.gz
    """
    from trackssl.datasets.voc import Devkit
    from trackssl.detection.submission import write_submission

    images = Devkit(devkit, year).images(split) if devkit else None
    lines = write_submission(detections, out, comp.value, split, year, images)
    tell(f"{out}: {lines} detections of 20 classes", out=out, detections=lines)


def _open(voc: Path, split: str, proposals: Path) -> "tuple[VocIndex, ProposalFile]":
    from trackssl.datasets.voc import read_index
    from trackssl.detection.proposals import ProposalFile

    index = read_index(voc)
    return index, ProposalFile(proposals, index.images(split))
