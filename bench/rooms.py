"""Can normals be learnt from the drawn rooms at all? Simple features, without any network.

python bench/rooms.py --prepared resources/nyuv2/prepared    # a minute

Each cell's code is a linear function of histograms of gradients (HOG) or of raw pixels of the whole
image: ridge regression, its weight chosen on a fifth of the training images. The mean of the
training images stands beside them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import Ridge

from trackssl.images import Image
from trackssl.normals.codebook import decode
from trackssl.normals.metrics import Scores, score
from trackssl.normals.prepared import Prepared, mean_normals
from trackssl.normals.scoring import grown
from trackssl.normals.train import squash

SIDE = 96
PIXELS_SIDE = 24
WEIGHTS = [1e-2, 1e-1, 1.0, 10.0, 100.0]  # for features of mean square norm 1
Features = NDArray[np.float32]


def gradients(images: Image) -> Features:
    """HOG of images (N, 96, 96, 3): cells of 8 px, blocks of 16, 9 directions -> (N, 4356)."""
    hog = cv2.HOGDescriptor((SIDE, SIDE), (16, 16), (8, 8), (8, 8), 9)
    return np.stack([np.asarray(hog.compute(image)).ravel() for image in images])


def pixels(images: Image) -> Features:
    """24 x 24 pixels of images (N, 96, 96, 3) -> (N, 1728)."""
    side = (PIXELS_SIDE, PIXELS_SIDE)
    return np.stack(
        [cv2.resize(i, side, interpolation=cv2.INTER_AREA).ravel() for i in images]
    ).astype(np.float32)


def predict(describe: Callable[[Image], Features], prepared: Prepared) -> tuple[Features, float]:
    """Normals (N, grid, grid, 3) of the test images, and the weight of the penalty."""
    train = squash(prepared.images("train"), SIDE)
    views = [describe(train), describe(np.ascontiguousarray(train[:, :, ::-1]))]
    features, test = np.concatenate(views), describe(squash(prepared.images("test"), SIDE))
    mean = features.mean(axis=0)
    length = np.sqrt(np.square(features - mean).sum(axis=1).mean())
    features, test = (features - mean) / length, (test - mean) / length
    targets = prepared.targets()
    codes = np.concatenate([targets[:, 0], targets[:, 1]]).reshape(len(features), -1)
    held = np.tile(np.arange(len(train)) % 5 == 0, 2)  # an image together with its mirror image

    def error(weight: float) -> float:
        guess = Ridge(weight).fit(features[~held], codes[~held]).predict(features[held])
        return float(np.square(guess - codes[held]).mean())

    best = min(WEIGHTS, key=error)
    found = Ridge(best).fit(features, codes).predict(test)
    words = prepared.codebook.words
    return decode(found.reshape(len(test), *targets.shape[2:]), words), best


def scores(found: Features, prepared: Prepared) -> Scores:
    """The benchmark's own metrics of normals (N, grid, grid, 3)."""
    return score(
        lambda: ((grown(a), b) for a, b in zip(found, prepared.fields("test"), strict=True))
    )


def main(
    prepared: Annotated[Path, typer.Option(help="The folder of trackssl prepare-normals.")],
) -> None:
    """Print the five metrics of each control."""
    opened = Prepared.open(prepared)
    table = Table("features", "mean", "median", "< 11.25", "< 22.5", "< 30", "weight")
    rows = {"mean of the training images": (mean_normals(opened), float("nan"))}
    rows |= {f.__name__: predict(f, opened) for f in (pixels, gradients)}
    for name, (found, weight) in rows.items():
        made = scores(found, opened)
        table.add_row(name, *(f"{value:.1f}" for value in made[:5]), f"{weight:g}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
