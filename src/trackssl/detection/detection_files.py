"""Detections as the devkit's text files: written, read with every line checked, and scored."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trackssl.boxes import Boxes, to_voc
from trackssl.datasets.voc import Annotation, Devkit
from trackssl.detection.average_precision import Detections, Metric, Objects, average_precision
from trackssl.errors import InputError
from trackssl.tables import write_csv

_FIELDS = 6


@dataclass(frozen=True)
class ClassResult:
    """One row of `ap.csv`: AP in 0..1 (nan without objects), non-difficult objects, detections."""

    name: str
    ap: float
    objects: int
    detections: int


def detections_path(folder: Path, split: str, name: str) -> Path:
    """A class's file. Competition 3: trained on VOC only, and pre-training used no labels."""
    return folder / f"comp3_det_{split}_{name}.txt"


def detection_lines(image: str, scores: NDArray[np.float32], boxes: Boxes) -> str:
    """Lines of an image's detections, boxes (N, 4) edges from 0.

    Nine significant digits: single-precision scores keep their order.
    """
    numbers = np.column_stack([scores, to_voc(boxes)]).tolist()
    return "".join(f"{image} {' '.join(f'{value:.9g}' for value in row)}\n" for row in numbers)


def score_folder(
    folder: Path,
    devkit: Devkit,
    split: str,
    metric: Metric = "area",
    min_overlap: float = 0.5,
) -> list[ClassResult]:
    """Results of every `comp*_det_{split}_{class}.txt` in a folder, classes by name.

    Raises InputError naming file and line for what is no detection, or when there are no files.
    """
    files = _detection_files(folder, split)
    images = devkit.images(split)
    positions = {image: position for position, image in enumerate(images)}
    annotations = [devkit.annotation(image) for image in images]
    results = []
    for name, path in sorted(files.items()):
        objects = _objects(annotations, name)
        detections = read_detections(path, positions)
        ap = average_precision(detections, objects, metric, min_overlap)
        counted = int((~objects.difficult).sum())
        results.append(ClassResult(name, ap, counted, len(detections.scores)))
    return results


def write_results(path: Path, results: list[ClassResult]) -> float:
    """Write `ap.csv` with a last row `mean` -> the mean AP, over the classes that have objects."""
    known = [result.ap for result in results if not math.isnan(result.ap)]
    mean = float(np.mean(known)) if known else math.nan
    total = ClassResult(
        "mean", mean, sum(r.objects for r in results), sum(r.detections for r in results)
    )
    rows = [
        {"class": r.name, "ap": r.ap, "objects": r.objects, "detections": r.detections}
        for r in [*results, total]
    ]
    write_csv(path, rows)
    return mean


def _detection_files(folder: Path, split: str) -> dict[str, Path]:
    pattern = re.compile(rf"comp\d+_det_{re.escape(split)}_(.+)\.txt")
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*.txt")):
        if match := pattern.fullmatch(path.name):
            if match[1] in files:
                raise InputError(
                    f"{path}: class '{match[1]}' also has {files[match[1]].name}; keep one of them."
                )
            files[match[1]] = path
    if not files:
        raise InputError(
            f"{folder}: holds no file comp*_det_{split}_<class>.txt; check --detections, --split."
        )
    return files


def read_detections(path: Path, positions: Mapping[str, int]) -> Detections:
    """Lines `image score xmin ymin xmax ymax` (VOC's pixels). Raises InputError naming the line."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    numbered = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    fields = [words for _, words in numbered]
    try:
        values = np.array([words[1:] for words in fields], np.float64).reshape(-1, _FIELDS - 1)
        images = np.array([positions[words[0]] for words in fields], np.int64)
        if not (np.isfinite(values).all() and (values[:, 3:] >= values[:, 1:3]).all()):
            raise ValueError
    except (ValueError, KeyError):
        for number, words in numbered:
            if reason := _wrong(words, positions):
                raise InputError(f"{path}, line {number}: {reason}.") from None
        raise
    return Detections(images, values[:, 0], values[:, 1:] - [1, 1, 0, 0])


def _wrong(words: list[str], positions: Mapping[str, int]) -> str | None:
    """What is wrong with a line, with its remedy."""
    if len(words) != _FIELDS:
        return f"{len(words)} fields, but 'image score xmin ymin xmax ymax' are needed"
    if words[0] not in positions:
        return f"the image '{words[0]}' is not in the split's list; check --split"
    try:
        score, x0, y0, x1, y1 = map(float, words[1:])
    except ValueError:
        return f"'{' '.join(words[1:])}' are not five numbers; write score and box as numbers"
    if not all(map(math.isfinite, (score, x0, y0, x1, y1))):
        return "a score or a corner is not finite; write finite numbers"
    if x1 < x0 or y1 < y0:
        return "the box ends before it begins; xmin <= xmax and ymin <= ymax are needed"
    return None


def _objects(annotations: list[Annotation], name: str) -> Objects:
    """The objects of a class."""
    masks = [np.array([label == name for label in a.classes], bool) for a in annotations]
    return Objects(
        np.repeat(np.arange(len(masks)), [int(mask.sum()) for mask in masks]),
        np.concatenate([a.boxes[m] for a, m in zip(annotations, masks, strict=True)]).astype(float),
        np.concatenate([a.difficult[m] for a, m in zip(annotations, masks, strict=True)]),
    )
