"""Commands of the benchmark of surface normals, in the order of the data."""

from pathlib import Path
from typing import Annotated

import typer

from trackssl.options import (
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

_PANEL = "Surface normals"

PreparedFolder = Annotated[Path, typer.Option(help="The folder of prepare-normals.")]
NyuSettings = Annotated[
    str | None, typer.Option(help="Section `nyuv2`: inline JSON or a YAML file.")
]


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    for command in (fetch_nyuv2, prepare_normals, train_normals, predict_normals, score_normals):
        app.command(command.__name__.replace("_", "-"), rich_help_panel=_PANEL)(command)


def fetch_nyuv2(
    out: Annotated[Path, typer.Option(help="The index to write, JSON.")],
    settings: NyuSettings = None,
    mirror: Annotated[
        str | None, typer.Option(help="source download: a folder's address in place of the site.")
    ] = None,
) -> None:
    """Put NYU Depth v2's labelled frames in place, check them, and write an index.

    Example: trackssl fetch-nyuv2 --settings '{"source": "file", "mat": "nyu_depth_v2_labeled.mat",
    "splits": "splits.mat", "normals": "nyu_normals_gt"}' --out resources/nyuv2/index.json
    """
    from trackssl.config import Nyuv2, load_settings
    from trackssl.datasets.fetch_nyuv2 import fetch_nyuv2

    index = fetch_nyuv2(load_settings(Nyuv2, settings, "nyuv2"), mirror)
    index.write(out)
    counts = ", ".join(f"{split} {len(numbers)}" for split, numbers in index.splits.items())
    truth = f"from {index.normals}" if index.normals else "from depth"
    tell(f"{out}: {counts} frames, normals {truth}", out=out, splits=index.splits, truth=truth)


def prepare_normals(
    index: Annotated[Path, typer.Option(help="The index of fetch-nyuv2.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    progress: ProgressFolder,
    settings: NyuSettings = None,
) -> None:
    """Cut images and normals to the valid crop, fit the codebook and code the training images.

    Example: trackssl prepare-normals --index resources/nyuv2/index.json
    --out resources/nyuv2/prepared --progress .progress/normals
    """
    import cv2

    from trackssl.config import Nyuv2, load_settings
    from trackssl.datasets.nyuv2 import read_index
    from trackssl.normals.prepared import prepare

    cv2.setNumThreads(1)
    made = prepare(read_index(index), load_settings(Nyuv2, settings, "nyuv2"), out, progress)
    sizes = [len(made.images(split)) for split in ("train", "test")]
    words, triangles = len(made.codebook.words), len(made.codebook.triangles)
    tell(
        f"{out}: {sizes[0]} + {sizes[1]} images, {words} words in {triangles} triangles",
        out=out,
        train=sizes[0],
        test=sizes[1],
        words=words,
    )


def train_normals(
    prepared: PreparedFolder,
    init: Init,
    out: WeightsFile,
    log: LogFile,
    progress: ProgressFolder,
    weights: InitWeights = None,
    carry: Annotated[
        CarryName, typer.Option(help="init weights: all takes a classifier's fc6 over too.")
    ] = CarryName.convolutions,
    network: NetworkSettings = None,
    settings: Annotated[
        str | None, typer.Option(help="Section `normals`: inline JSON or a YAML file.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of new layers, batches and dropout.")] = 0,
    threads: Threads = 2,
) -> None:
    """Train a network to code the normals of an image.

    Example: trackssl train-normals --prepared resources/nyuv2/prepared --init weights
    --weights ranking.safetensors --out weights.safetensors --log log.jsonl
    --progress .progress/normals
    """
    from trackssl.config import Network, Normals, load_settings
    from trackssl.normals import train
    from trackssl.normals.prepared import Prepared
    from trackssl.tuning import Start

    loss = train.train_normals(
        Prepared.open(prepared),
        Start(init.value, weights, seed, carry.value),
        load_settings(Network, network, "network"),
        load_settings(Normals, settings, "normals"),
        threads,
        out,
        log,
        progress,
    )
    tell(f"{out}: loss {loss:.3f}", out=out, log=log, loss=loss)


def predict_normals(
    prepared: PreparedFolder,
    out: Annotated[Path, typer.Option(help="Normals to write: .npy, (images, grid, grid, 3).")],
    pictures: Annotated[
        Path | None, typer.Option(help="PNG to write: image, truth, prediction, a row an image.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="The network of train-normals; without, the mean of the training's."),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Images in the pictures.")] = 6,
    threads: Threads = 2,
) -> None:
    """Predict the normals of the test images, a cell of the grid each.

    x is right, y down, z away from the camera. In the pictures, red is right, green up and blue
    towards the camera.

    Example: trackssl predict-normals --prepared resources/nyuv2/prepared
    --weights weights.safetensors --out test.npy --pictures test.png
    """
    import cv2
    import numpy as np

    from trackssl.files import whole_file
    from trackssl.normals.pictures import sheet
    from trackssl.normals.prepared import Prepared, to_field
    from trackssl.normals.scoring import grown

    opened = Prepared.open(prepared)
    images, stored = opened.images("test"), opened.stored("test")
    if weights is None:
        from trackssl.normals.prepared import mean_normals

        found = mean_normals(opened)
    else:
        from trackssl.normals.train import predict

        found = predict(weights, images, threads)
    with whole_file(out) as part, part.open("wb") as file:
        np.save(file, found)
    if pictures:
        chosen = np.unique(np.linspace(0, len(images) - 1, min(rows, len(images))).round())
        drawn = sheet(
            [(images[k], to_field(stored[k]), grown(found[k])) for k in chosen.astype(int)]
        )
        with whole_file(pictures) as part:
            part.write_bytes(cv2.imencode(".png", drawn)[1].tobytes())
    shape = found.shape
    tell(f"{out}: {shape[0]} images of {shape[1]} x {shape[2]} cells", out=out, shape=shape)


def score_normals(
    prepared: PreparedFolder,
    predictions: Annotated[Path, typer.Option(help="Normals of the test images, .npy.")],
    out: Annotated[Path, typer.Option(help="Scores to write, JSON.")],
) -> None:
    """Compare normals of the test images with the truth, over all pixels that have one.

    Predictions are (images, height, width, 3), of any grid over the crop. The scores: mean and
    median angle in degrees, shares of pixels within 11.25, 22.5 and 30 degrees in percent.

    Example: trackssl score-normals --prepared resources/nyuv2/prepared --predictions test.npy
    --out scores.json
    """
    from trackssl.files import write_json
    from trackssl.normals.prepared import Prepared
    from trackssl.normals.scoring import score_file

    scores = score_file(Prepared.open(prepared), predictions)
    write_json(out, scores._asdict())
    tell(
        f"{out}: mean {scores.mean:.2f}, median {scores.median:.2f} degrees; "
        f"{scores.within_11_25:.1f} / {scores.within_22_5:.1f} / {scores.within_30:.1f} % within "
        f"11.25 / 22.5 / 30, of {scores.pixels} pixels",
        out=out,
        **scores._asdict(),
    )
