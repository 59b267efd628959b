"""Detections as pictures: of each class the surest right one and the surest wrong one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.boxes import overlaps
from trackssl.datasets.voc import Annotation, VocIndex, read_index
from trackssl.detection.detection_files import detection_files, read_detections
from trackssl.errors import InputError
from trackssl.images import Image, read_image
from trackssl.report.page.blocks import Text, Tile, Tiles
from trackssl.report.page.images import jpeg_uri
from trackssl.report.page.run import Run
from trackssl.report.page.words import number

MOST_CLASSES = 12
_LONG_PX = 300
_LOOKED = 200  # of a class's surest detections: among them both kinds are found
_FOUND, _TRUTH, _EDGE = (214, 112, 20), (255, 255, 255), (20, 18, 16)


@dataclass(frozen=True)
class Find:
    """A detection, and what lies there: an object of its class, of another, or nothing."""

    name: str
    image: str
    box: NDArray[np.float64]  # (4,) edges from 0
    right: bool
    overlap: float  # with the object of its class that it overlaps most
    lies_on: str  # the object that it overlaps most, of any class; "" for background


def find_blocks(run: Run, year: str, method: str, folder: Path | None) -> list[object]:
    """The pictures of a method's detections in its folder; a sentence where images are gone."""
    path = run.folder / f"resources/voc{year}/index.json"
    if folder is None or not (folder / "detections").is_dir() or not path.is_file():
        return []
    try:
        index = _seen_from(run, read_index(path))
        split = str(run.tables[f"voc_map{year}"].iloc[0]["split"])
        finds = [
            one
            for name, file in sorted(detection_files(folder / "detections", split).items())
            for one in of_class(index, split, name, file)
        ]
        return [
            _sheet(run, index, method, right, [one for one in finds if one.right == right])
            for right in (True, False)
        ]
    except InputError as error:
        return [Text(f"Detections are not drawn: {error}")]


def _sheet(run: Run, index: VocIndex, method: str, right: bool, finds: Sequence[Find]) -> Tiles:
    shown = finds[:MOST_CLASSES]
    kind = "right" if right else "wrong"
    return Tiles(
        [_tile(index, one) for one in shown],
        f"{len(shown)} images, each with one detection of {method} in a thick frame and the "
        "objects of its class in thin white ones.",
        f"{kind.capitalize()} and surest, {method}",
        f"Of each class the detection with the highest score that is {kind}: the thick blue frame; "
        "thin white frames are the objects of that class. Right means an overlap (IoU) of .5 or "
        "more with an object not found before.",
        run.label,
        200,
    )


def _seen_from(run: Run, index: VocIndex) -> VocIndex:
    """The index, whose devkit's path is relative to the run's folder."""
    return replace(index, devkit=replace(index.devkit, folder=run.folder / index.devkit.folder))


def of_class(index: VocIndex, split: str, name: str, file: Path) -> Iterator[Find]:
    """Of one class's detections the surest right one and the surest wrong one, as far as found."""
    images = index.images(split)
    found = read_detections(file, {image: place for place, image in enumerate(images)})
    wanted, taken = {True, False}, set()
    for number_ in np.argsort(-found.scores, kind="stable")[:_LOOKED]:
        image, box = images[found.images[number_]], found.boxes[number_]
        truth = index.devkit.annotation(image)
        one, place = _judged(name, image, box, truth)
        if one is None:
            continue  # of a difficult object: it counts neither way
        if one.right and (image, place) in taken:
            one = Find(name, image, box, False, one.overlap, f"{name}, found before")
        if one.right:
            taken.add((image, place))
        if one.right in wanted:
            wanted.remove(one.right)
            yield one
        if not wanted:
            return


def _judged(
    name: str, image: str, box: NDArray[np.float64], truth: Annotation
) -> tuple[Find | None, int]:
    if not truth.classes:
        return Find(name, image, box, False, 0.0, ""), -1
    each = overlaps(box[None].astype(np.float32), truth.boxes)[0]
    own = np.array([label == name for label in truth.classes])
    of_own = np.where(own, each, 0.0)
    place = int(of_own.argmax())
    overlap = float(of_own[place])
    if overlap >= 0.5 and truth.difficult[place]:
        return None, place
    other = int(each.argmax())
    lies_on = truth.classes[other] if each[other] >= 0.1 else ""
    return Find(name, image, box, overlap >= 0.5, overlap, lies_on), place


def _tile(index: VocIndex, one: Find) -> Tile:
    devkit = index.devkit
    image, truth = read_image(devkit.image_path(one.image)), devkit.annotation(one.image)
    own = [box for box, label in zip(truth.boxes, truth.classes, strict=True) if label == one.name]
    drawn = drawn_find(image, one.box, np.array(own).reshape(-1, 4))
    return Tile([jpeg_uri(drawn)], one.name, _said(one))


def _said(one: Find) -> str:
    if one.right:
        return f"IoU {number(one.overlap, 2)}"
    if one.lies_on == one.name:
        return f"placed badly, IoU {number(one.overlap, 2)}"
    return f"on: {one.lies_on}" if one.lies_on else "on the background"


def drawn_find(image: Image, box: NDArray[np.float64], truth: NDArray[np.float32]) -> Image:
    """An image with a detection (4,) and objects (N, 4), edges from 0, its longer side 300 px."""
    scale = _LONG_PX / max(image.shape[:2])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    smooth = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    picture = np.array(cv2.resize(image, size, interpolation=smooth), np.uint8)
    for one in truth:
        _frame(picture, one * scale, _TRUTH, 1)
    _frame(picture, box * scale, _FOUND, 3)
    return picture


def _frame(picture: Image, box: NDArray[np.floating], colour: tuple[int, ...], thick: int) -> None:
    x0, y0, x1, y1 = np.rint(box).astype(int).tolist()
    corners = (x0 + 1, y0 + 1), (max(x1 - 2, x0 + 1), max(y1 - 2, y0 + 1))
    cv2.rectangle(picture, *corners, _EDGE, thick + 2)
    cv2.rectangle(picture, *corners, colour, thick)
