"""SVM training on made-up features of VOC's kind: seconds and memory, streamed from a file.

Twenty classes, 2,000 windows an image, 4,096 features after a ReLU, a quarter of them not zero, in
half precision: a base that all windows share, 64 common factors, noise, and for each class a
direction that grows with the overlap. A process of its own trains, so that its peak is its own.
"""

import math
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from timing import Stopwatch

from trackssl.boxes import Boxes
from trackssl.config import Svm
from trackssl.datasets.voc import Annotation
from trackssl.detection import svm
from trackssl.detection.feature_files import FeatureTable
from trackssl.detection.windows import image_windows

VOC2012_WINDOWS = 23_000_000
_WINDOWS = 2_000  # an image, its objects among them
_DIM = 4_096
_CLASSES = tuple(f"class{number:02d}" for number in range(20))
_SIZE = np.array([500, 375], np.float32)


@dataclass
class Scene:
    """Objects and windows of images that exist as boxes only."""

    images: int
    classes: tuple[str, ...] = _CLASSES
    annotation: list[Annotation] = field(default_factory=list)
    proposals: list[Boxes] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number in range(self.images):
            rng = np.random.default_rng([0, number])
            count = int(rng.integers(1, 5))
            of_class = rng.integers(0, len(_CLASSES), count)
            flags = np.zeros(count, bool)
            objects = _boxes(rng, count)
            names = tuple(_CLASSES[c] for c in of_class)
            self.annotation.append(Annotation(500, 375, names, objects, flags, flags))
            near = objects[rng.integers(0, count, 200)] + rng.normal(0, 25, (200, 4))
            near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 20)
            others = _boxes(rng, _WINDOWS - count - 200)
            self.proposals.append(np.concatenate([near, others]).astype(np.float32))

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, number: int) -> Boxes:
        return self.proposals[number]

    def annotations(self, _: str) -> Iterator[tuple[str, Annotation]]:
        """As `VocIndex`."""
        return ((f"{number:06d}", known) for number, known in enumerate(self.annotation))


def _boxes(rng: np.random.Generator, count: int) -> Boxes:
    sides = _SIZE * rng.uniform(0.1, 0.8, (count, 2))
    corner = (_SIZE - sides) * rng.random((count, 2))
    return np.hstack([corner, corner + sides]).astype(np.float32)


def write_features(path: Path, scene: Scene) -> None:
    """Write the features of a scene, a few MiB at a time."""
    rng = np.random.default_rng(1)
    base = rng.normal(-0.7, 0.5, _DIM).astype(np.float32)
    mixing = rng.normal(0, 0.08, (64, _DIM)).astype(np.float32)
    directions = rng.normal(0, 0.6, (len(_CLASSES), _DIM)).astype(np.float32)
    shape = (scene.images * _WINDOWS, _DIM)
    with path.open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for windows in image_windows(scene, "", scene):  # type: ignore[arg-type]
            known: NDArray[np.float32] = svm.class_overlaps(windows, _CLASSES) @ directions
            factors = rng.standard_normal((_WINDOWS, 64), np.float32) @ mixing
            noise = 0.8 * rng.standard_normal((_WINDOWS, _DIM), np.float32)
            np.maximum(base + known + factors + noise, 0).astype(np.float16).tofile(file)


def _train(path: Path, scene: Scene, threads: int) -> dict[str, float]:
    """Runs in a process of its own."""
    solving, sizes = Stopwatch(), []
    fit, read = svm.fit, FeatureTable.read

    def timed_fit(samples: NDArray[np.float64], *others: Any) -> Any:
        sizes.append(len(samples))
        with solving.block():
            return fit(samples, *others)

    def timed_read(table: FeatureTable, rows: NDArray[np.int64], out: NDArray) -> None:
        with solving.block() if out.dtype == np.float64 else nullcontext():
            read(table, rows, out)

    svm.fit, FeatureTable.read = timed_fit, timed_read  # type: ignore[method-assign]
    settings, whole = Svm(), Stopwatch()
    begin = time.perf_counter()
    with threadpool_limits(threads), whole.block():
        table = FeatureTable([path], scene.images * _WINDOWS, settings.feature_norm)
        svm.train_svms(scene, "train", scene, table, settings)  # type: ignore[arg-type]
    return {
        "svm_windows": scene.images * _WINDOWS,
        "svm_seconds": time.perf_counter() - begin,
        "svm_cpu_seconds": whole.seconds,
        "svm_solving_cpu_seconds": solving.seconds,
        "svm_trainings": len(sizes),
        "svm_largest_training_rows": max(sizes),
        "svm_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure(windows: int, folder: Path, threads: int = 1) -> dict[str, float]:
    """Write about so many windows into `folder`, 8 KiB each, and train on them -> figures."""
    scene = Scene(max(2, windows // _WINDOWS))
    path = folder / "features.npy"
    write_features(path, scene)
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, context) as pool:
            return pool.submit(_train, path, scene, threads).result()
    finally:
        path.unlink()


def svm_figures(windows: int = 500_000, threads: int = 1) -> dict[str, float]:
    """Figures for so many windows, and hours of CPU for VOC 2012's.

    The pass grows as the windows; solving as a power of them, fitted to a quarter and the whole.
    `_if_linear` lets solving grow as the windows too, which is more: detectors get better.
    """
    with tempfile.TemporaryDirectory() as name:
        quarter, whole = (measure(size, Path(name), threads) for size in (windows // 4, windows))
    solving = whole["svm_solving_cpu_seconds"]
    growth = whole["svm_windows"] / quarter["svm_windows"]
    power = math.log(solving / quarter["svm_solving_cpu_seconds"], growth)
    more = VOC2012_WINDOWS / whole["svm_windows"]
    passing = (whole["svm_cpu_seconds"] - solving) * more
    return {
        **whole,
        "svm_solving_power": power,
        "svm_pass_hours_for_voc2012": passing / 3600,
        "svm_hours_for_voc2012": (passing + solving * more**power) / 3600,
        "svm_hours_for_voc2012_if_linear": (passing + solving * more) / 3600,
    }


if __name__ == "__main__":
    import json
    import sys

    print(json.dumps(svm_figures(*map(int, sys.argv[1:])), indent=2))
