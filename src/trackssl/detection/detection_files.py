"""Detections as the devkit's text files: written, read with every line checked, and scored."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trackssl.boxes import Boxes, to_voc
from trackssl.datasets.voc import Devkit
from trackssl.detection.average_precision import (
    Curve,
    Detections,
    Objects,
    Rule,
    average_precision,
    precision_recall,
)
from trackssl.errors import InputError
from trackssl.files import whole_file
from trackssl.tables import write_csv

_FIELDS = 6
CURVE_FILES = (".parquet", ".csv")


@dataclass(frozen=True)
class ClassResult:
    """One row of `ap.csv`: AP in 0..1 (nan without objects), non-difficult objects, detections."""

    name: str
    ap: float
    objects: int
    detections: int
    curve: Curve


@dataclass(frozen=True)
class Truth:
    """What the annotations of a split hold."""

    positions: dict[str, int]  # of each image in the split's list
    objects: dict[str, Objects]  # by class


def detections_path(folder: Path, split: str, name: str) -> Path:
    """A class's file. Competition 3: trained on VOC only, and pre-training used no labels."""
    return folder / f"comp3_det_{split}_{name}.txt"


def detection_lines(image: str, scores: NDArray[np.float32], boxes: Boxes) -> str:
    """Lines of an image's detections, boxes (N, 4) edges from 0.

    Nine significant digits: single-precision scores keep their order.
    """
    numbers = np.column_stack([scores, to_voc(boxes)]).tolist()
    return "".join(f"{image} {' '.join(f'{value:.9g}' for value in row)}\n" for row in numbers)


def read_truth(devkit: Devkit, split: str) -> Truth:
    """The objects of every class that a split's annotations name. Raises InputError."""
    images = devkit.images(split)
    annotations = [devkit.annotation(image) for image in images]
    labels = np.array([label for a in annotations for label in a.classes], str)
    owners = np.repeat(np.arange(len(images)), [len(a.classes) for a in annotations])
    boxes = np.concatenate([a.boxes for a in annotations]).astype(float)
    difficult = np.concatenate([a.difficult for a in annotations])
    objects = {}
    for name in np.unique(labels):
        of_class = labels == name
        objects[str(name)] = Objects(owners[of_class], boxes[of_class], difficult[of_class])
    return Truth({image: position for position, image in enumerate(images)}, objects)


def score_folder(
    folder: Path, truth: Truth, split: str, rule: Rule = "area", min_overlap: float = 0.5
) -> list[ClassResult]:
    """Results of every `comp*_det_{split}_{class}.txt` in a folder, classes by name.

    Raises InputError naming file and line for what is no detection, or when there are no files.
    """
    none = Objects(np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0, bool))
    results = []
    for name, path in sorted(detection_files(folder, split).items()):
        detections = read_detections(path, truth.positions)
        curve = precision_recall(detections, truth.objects.get(name, none), min_overlap)
        ap = average_precision(curve, rule)
        results.append(ClassResult(name, ap, curve.objects, len(detections.scores), curve))
    return results


def write_results(path: Path, results: list[ClassResult]) -> float:
    """Write `ap.csv` with a last row `mean` -> the mean AP, over the classes that have objects."""
    known = [result.ap for result in results if not math.isnan(result.ap)]
    mean = float(np.mean(known)) if known else math.nan
    rows = [(r.name, r.ap, r.objects, r.detections) for r in results]
    rows.append(("mean", mean, sum(r.objects for r in results), sum(r.detections for r in results)))
    write_csv(path, pd.DataFrame(rows, columns=["class", "ap", "objects", "detections"]))
    return mean


def write_curves(path: Path, results: list[ClassResult]) -> None:
    """Write the precision-recall curves of the classes that have objects, Parquet or CSV by name.

    Columns class, score, recall, precision: a row a detection that counts, by descending score.
    Raises InputError for another file name.
    """
    check_curve_file(path)
    known = [result for result in results if result.objects]
    columns = {
        "class": np.repeat([r.name for r in known], [len(r.curve.scores) for r in known]),
        "score": np.concatenate([np.zeros(0), *(r.curve.scores for r in known)]),
        "recall": np.concatenate([np.zeros(0), *(r.curve.recall for r in known)]),
        "precision": np.concatenate([np.zeros(0), *(r.curve.precision for r in known)]),
    }
    table = pd.DataFrame(columns)
    if path.suffix == ".csv":
        write_csv(path, table)
        return
    with whole_file(path) as part:
        table.to_parquet(part, index=False)


def check_curve_file(path: Path) -> None:
    """Raise InputError for a name that `write_curves` does not take."""
    if path.suffix not in CURVE_FILES:
        raise InputError(f"{path}: curves are written as {' or '.join(CURVE_FILES)}; name it so.")


def detection_files(folder: Path, split: str) -> dict[str, Path]:
    """The file of each class. Raises InputError when there is none, or two of a class."""
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
            f"{folder}: holds no file comp*_det_{split}_<class>.txt; check the folder and --split."
        )
    return files


def read_detections(path: Path, positions: Mapping[str, int]) -> Detections:
    """Lines `image score xmin ymin xmax ymax` (VOC's pixels). Raises InputError naming the line."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file.") from None
    numbered = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    fields = [words for _, words in numbered]
    try:
        values = np.array([[float(word) for word in words[1:]] for words in fields], np.float64)
        values = values.reshape(len(fields), _FIELDS - 1)
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
