"""Reader of a PASCAL VOC devkit: `<devkit>/VOC<year>/{ImageSets/Main, Annotations, JPEGImages}`.

The classes are those that the annotations name; a list of classes only refuses others.
"""

import hashlib
import json
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException, ElementTree

from trackssl.boxes import Boxes, from_voc
from trackssl.errors import InputError

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip


@dataclass(frozen=True)
class Annotation:
    """The objects of one image, in the order of its XML; sizes in pixels."""

    width: int
    height: int
    classes: tuple[str, ...]
    boxes: Boxes  # (N, 4) x0, y0, x1, y1: edges from 0
    difficult: np.ndarray  # (N,) bool
    truncated: np.ndarray  # (N,) bool


@dataclass(frozen=True)
class Devkit:
    """The files of one year of a devkit. Raises InputError for what is absent or wrong."""

    folder: Path
    year: int

    @property
    def root(self) -> Path:
        """The folder of the year."""
        return self.folder / f"VOC{self.year}"

    def list_path(self, split: str) -> Path:
        """The list of a split."""
        return self.root / "ImageSets" / "Main" / f"{split}.txt"

    def image_path(self, image: str) -> Path:
        """The photograph of an image id."""
        return self.root / "JPEGImages" / f"{image}.jpg"

    def annotation_path(self, image: str) -> Path:
        """The XML of an image id."""
        return self.root / "Annotations" / f"{image}.xml"

    def images(self, split: str) -> list[str]:
        """Image ids of a split, in the order of its list."""
        path = self.list_path(split)
        images = [
            line.split()[0]
            for line in _read(path).decode("utf-8", "replace").splitlines()
            if line.strip()
        ]
        for image in images:
            if not _PLAIN_NAME.fullmatch(image):
                raise InputError(
                    f"{path}: '{image}' is no image id; write one file name's stem a line."
                )
        if not images:
            raise InputError(f"{path}: the list is empty; write one image id a line.")
        if len(set(images)) < len(images):
            twice = next(image for image in images if images.count(image) > 1)
            raise InputError(f"{path}: '{twice}' stands there twice; remove one of the lines.")
        return images

    def annotation(self, image: str) -> Annotation:
        """The checked objects of an image."""
        path = self.annotation_path(image)
        return parse_annotation(_read(path), str(path))


def parse_annotation(data: bytes, name: str) -> Annotation:
    """Objects of a VOC XML, boxes checked. Raises InputError naming the file and the object."""
    try:
        root = ElementTree.fromstring(data)
    except (ParseError, DefusedXmlException) as error:
        raise InputError(
            f"{name}: cannot be read as VOC XML ({error}); replace the file."
        ) from None
    size = root.find("size")
    width, height = (int(_number(size, side, f"{name}: <size>")) for side in ("width", "height"))
    objects = root.findall("object")
    boxes = [
        _box(element, width, height, f"{name}: object {number} ('{_text(element, 'name')}')")
        for number, element in enumerate(objects, start=1)
    ]
    classes = tuple(_text(element, "name") for element in objects)
    for number, label in enumerate(classes, start=1):
        if not _PLAIN_NAME.fullmatch(label):
            raise InputError(
                f"{name}: object {number} has the class name '{label}', which makes no file name; "
                "use letters, digits, '_', '.' and '-'."
            )
    return Annotation(
        width,
        height,
        classes,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([_flag(element, "difficult") for element in objects], bool),
        np.array([_flag(element, "truncated") for element in objects], bool),
    )


def _box(element: Element, width: int, height: int, name: str) -> np.ndarray:
    """One object's box as edges from 0, as it stands: scores depend on each pixel.

    Real files hold fractions, and a corner may start at 0 or lie in a fraction of the last pixel:
    that counts as inside. The boxes of a person's parts are nested deeper and never seen here.
    """
    found = element.find("bndbox")
    corners = ("xmin", "ymin", "xmax", "ymax")
    x0, y0, x1, y1 = box = [_number(found, corner, name) for corner in corners]
    given = f"its box {' '.join(f'{value:g}' for value in box)}"
    if min(x0, y0) < 0 or x1 >= width + 1 or y1 >= height + 1:
        raise InputError(
            f"{name}: {given} lies outside the image of {width} x {height} pixels; correct the "
            "box, or <size> if that is wrong."
        )
    edges = from_voc(np.array(box))[0]
    seen = np.clip(edges, 0, [width, height, width, height])
    if seen[2] <= seen[0] or seen[3] <= seen[1]:
        raise InputError(f"{name}: {given} has no area; xmin <= xmax and ymin <= ymax are needed.")
    return edges


def _text(element: Element | None, tag: str) -> str:
    found = None if element is None else element.findtext(tag)
    return (found or "").strip()


def _flag(element: Element, tag: str) -> bool:
    return _text(element, tag) == "1"


def _number(element: Element | None, tag: str, name: str) -> float:
    text = _text(element, tag)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{name}: <{tag}> is '{text}', not a number; correct the file.")
    return value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check voc.devkit, the year and the split."
        ) from None


@dataclass(frozen=True)
class VocIndex:
    """A devkit whose annotations have all been read and checked: later stages start from it."""

    devkit: Devkit
    splits: dict[str, dict[str, Any]]
    classes: tuple[str, ...]
    sha256: str

    def images(self, split: str) -> list[str]:
        """Image ids of a split. Raises InputError for a split that the index does not hold."""
        if split not in self.splits:
            raise InputError(
                f"the VOC index has no split '{split}' (it has: {', '.join(self.splits)})."
            )
        return self.splits[split]["images"]

    def annotations(self, split: str) -> Iterator[tuple[str, Annotation]]:
        """(image id, objects) of a split, in order."""
        return ((image, self.devkit.annotation(image)) for image in self.images(split))

    def to_json(self) -> dict[str, Any]:
        """What `resources/voc/index.json` holds."""
        return {
            "devkit": str(self.devkit.folder),
            "year": self.devkit.year,
            "splits": self.splits,
            "classes": list(self.classes),
            "sha256": self.sha256,
        }


def make_index(devkit: Devkit, splits: list[str], known: Collection[str] | None = None) -> VocIndex:
    """Read and check every annotation of the splits. Raises InputError at the first wrong one.

    `known`: the classes that annotations may name; None takes any.
    """
    digest = hashlib.sha256()
    classes: set[str] = set()
    counts: dict[str, dict[str, Any]] = {}
    for split in splits:
        images = devkit.images(split)
        digest.update(_read(devkit.list_path(split)))
        objects = difficult = 0
        for image in images:
            if not devkit.image_path(image).is_file():
                raise InputError(f"{devkit.image_path(image)}: the image is absent; restore it.")
            data = _read(devkit.annotation_path(image))
            digest.update(data)
            found = parse_annotation(data, str(devkit.annotation_path(image)))
            for number, label in enumerate(found.classes, start=1):
                if known is not None and label not in known:
                    raise InputError(
                        f"{devkit.annotation_path(image)}: object {number} ('{label}') is of a "
                        f"class not in the list ({', '.join(known)}); correct it, or voc.classes."
                    )
            classes.update(found.classes)
            objects += len(found.classes)
            difficult += int(found.difficult.sum())
        counts[split] = {"images": images, "objects": objects, "difficult": difficult}
    if not classes:
        raise InputError(f"{devkit.root}: no object in any image of {splits}; use other lists.")
    return VocIndex(devkit, counts, tuple(sorted(classes)), digest.hexdigest())


def read_index(path: Path) -> VocIndex:
    """The index that `trackssl fetch-voc` wrote. Raises InputError if it cannot be read as one."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        devkit = Devkit(Path(values["devkit"]), int(values["year"]))
        return VocIndex(devkit, values["splits"], tuple(values["classes"]), values["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: cannot be read as a VOC index ({error}); make one with trackssl fetch-voc."
        ) from None
