"""Labelled whole images of a benchmark, by split: one JSON file, whatever the data came as."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackssl.errors import InputError
from trackssl.files import write_json

SHOWS, IGNORED, ABSENT = 1, 0, -1


@dataclass(frozen=True)
class ImageList:
    """The images of one split."""

    paths: list[Path]
    labels: NDArray[np.int8]  # (N, C) 1 shows the class, -1 does not, 0 ignored (VOC's difficult)


@dataclass(frozen=True)
class ImageIndex:
    """The images of a benchmark; `sha256` changes with a name, a label or a file's size."""

    name: str
    classes: list[str]
    splits: dict[str, ImageList]
    sha256: str

    def split(self, name: str) -> ImageList:
        """The images of a split. Raises InputError for one that the index does not hold."""
        if name not in self.splits:
            raise InputError(
                f"the image index '{self.name}' has no split '{name}' "
                f"(it has: {', '.join(self.splits)})."
            )
        return self.splits[name]


def make_image_index(name: str, classes: list[str], splits: dict[str, ImageList]) -> ImageIndex:
    """An index with its checksum. Raises InputError for an image that is absent."""
    digest = hashlib.sha256(json.dumps([name, classes]).encode())
    for split, held in splits.items():
        shape = (len(held.paths), len(classes))
        if held.labels.shape != shape:
            raise ValueError(f"labels of '{split}' are {held.labels.shape}, not {shape}")
        for path in held.paths:
            if not path.is_file():
                raise InputError(f"{path}: the image is absent; restore it.")
        sizes = [[str(path), path.stat().st_size] for path in held.paths]
        digest.update(json.dumps([split, sizes]).encode())
        digest.update(held.labels.astype(np.int8).tobytes())
    return ImageIndex(name, classes, splits, digest.hexdigest())


def write_image_index(path: Path, index: ImageIndex) -> None:
    """Write JSON: of each image its path and the names of the classes it shows or ignores."""
    write_json(
        path,
        {
            "format": "trackssl.images",
            "name": index.name,
            "classes": index.classes,
            "splits": {split: _records(index, held) for split, held in index.splits.items()},
            "sha256": index.sha256,
        },
    )


def _records(index: ImageIndex, held: ImageList) -> list[dict[str, Any]]:
    return [
        {
            "path": str(path),
            "shows": [index.classes[i] for i in np.flatnonzero(labels == SHOWS)],
            "ignored": [index.classes[i] for i in np.flatnonzero(labels == IGNORED)],
        }
        for path, labels in zip(held.paths, held.labels, strict=True)
    ]


def read_image_index(path: Path) -> ImageIndex:
    """The index that `write_image_index` wrote. Raises InputError if it cannot be read as one."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != "trackssl.images":
            raise ValueError(f"its format is '{values['format']}'")
        classes = [str(name) for name in values["classes"]]
        splits = {str(k): _image_list(v, classes) for k, v in values["splits"].items()}
        return ImageIndex(str(values["name"]), classes, splits, str(values["sha256"]))
    except KeyError as error:
        reason = f"{error} is missing or is no class"
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = str(error)
    raise InputError(
        f"{path}: cannot be read as an image index ({reason}); make it anew with the command that "
        "reads the data set."
    )


def _image_list(records: list[dict[str, Any]], classes: list[str]) -> ImageList:
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.full((len(records), len(classes)), ABSENT, np.int8)
    for row, record in zip(labels, records, strict=True):
        row[[numbers[name] for name in record["shows"]]] = SHOWS
        row[[numbers[name] for name in record["ignored"]]] = IGNORED
    return ImageList([Path(record["path"]) for record in records], labels)
