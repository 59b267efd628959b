"""MIT Indoor 67: the tree `Images/<class>/<file>` and its lists (Quattoni and Torralba 2009)."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from trackssl.datasets.image_index import ABSENT, SHOWS, ImageIndex, ImageList, make_image_index
from trackssl.errors import InputError
from trackssl.images import read_image

LISTS = {"train": "TrainImages.txt", "test": "TestImages.txt"}
_NAMED = 5  # broken files told by name


def read_list(path: Path) -> list[tuple[str, str]]:
    """(class, file) of each line of a list, in its order.

    Lines may end in CRLF and begin with `Images/`, as some copies do. Raises InputError for a line
    that is no `class/file`, which also keeps it from leaving the tree, or that stands there twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as a list of images ({error}); put the official one there."
        ) from None
    found: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        parts = line.strip().removeprefix("Images/").split("/")
        if len(parts) != 2 or not {"", ".", ".."}.isdisjoint(parts) or "\0" in line:
            raise InputError(
                f"{path}, line {number}: '{line}' is not of the form class/file; correct it."
            )
        name = (parts[0], parts[1])
        if name in found:
            raise InputError(
                f"{path}, line {number}: '{line}' stands in line {found[name]} already; remove one."
            )
        found[name] = number
    if not found:
        raise InputError(f"{path}: names no image; put the official list there.")
    return list(found)


def read_tree(folder: Path, name: str, skip_broken: bool = False) -> ImageIndex:
    """The images of the two lists of a tree, every one of which was decoded once.

    A file is found whatever its capital letters. Images of both splits have the same classes, in
    alphabetical order. With `skip_broken`, what cannot be decoded is left out, and the index's name
    says how many. Raises InputError for absent files, broken ones, an image in both lists, or a
    class that has no image in one of them.
    """
    names = {split: read_list(folder / file) for split, file in LISTS.items()}
    classes = sorted({label for listed in names.values() for label, _ in listed})
    tree = _Tree(folder / "Images")
    paths = {split: [tree.find(*item) for item in listed] for split, listed in names.items()}
    if both := set(paths["train"]) & set(paths["test"]):
        raise InputError(f"{min(both)}: is in {' and in '.join(LISTS.values())}; correct them.")
    broken = set(_broken(paths["train"] + paths["test"]))
    if broken and not skip_broken:
        first = ", ".join(str(path) for path in sorted(broken)[:_NAMED])
        more = " ..." if len(broken) > _NAMED else ""
        raise InputError(
            f"{folder}: {len(broken)} of its images cannot be decoded ({first}{more}); restore "
            "them, or set scenes.skip_broken to leave them out."
        )
    splits = {}
    for split, listed in names.items():
        kept = [
            (path, classes.index(label))
            for path, (label, _) in zip(paths[split], listed, strict=True)
            if path not in broken
        ]
        labels = np.full((len(kept), len(classes)), ABSENT, np.int8)
        for row, (_, number) in zip(labels, kept, strict=True):
            row[number] = SHOWS
        for empty in np.flatnonzero((labels == SHOWS).sum(axis=0) == 0):
            raise InputError(
                f"{folder / LISTS[split]}: has no usable image of the class '{classes[empty]}', "
                "which cannot be scored so; add some, or take it out of both lists."
            )
        splits[split] = ImageList([path for path, _ in kept], labels)
    left_out = f", {len(broken)} broken images left out" if broken else ""
    return make_image_index(name + left_out, classes, splits)


class _Tree:
    """Files of `Images`, found by names whose capital letters may differ."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[Path, dict[str, list[str]]] = {}

    def find(self, *parts: str) -> Path:
        path = self._folder
        for part in parts:
            path = self._inside(path, part)
        return path

    def _inside(self, folder: Path, name: str) -> Path:
        if folder not in self._names:
            known: dict[str, list[str]] = {}
            with suppress(OSError):
                for path in folder.iterdir():
                    known.setdefault(path.name.casefold(), []).append(path.name)
            self._names[folder] = known
        alike = self._names[folder].get(name.casefold(), [])
        if name not in alike and len(alike) != 1:
            raise InputError(
                f"{folder / name}: is in a list, but the tree has "
                f"{'no such file' if not alike else ' and '.join(sorted(alike))}; restore it, or "
                "check scenes.folder."
            )
        return folder / (name if name in alike else alike[0])


def _broken(paths: list[Path]) -> Iterator[Path]:
    """Those that cannot be decoded."""
    cv2.setNumThreads(1)
    with ThreadPoolExecutor() as threads:
        decoded: Iterable[bool] = threads.map(_decodes, paths)
        yield from (path for path, good in zip(paths, decoded, strict=True) if not good)


def _decodes(path: Path) -> bool:
    with suppress(InputError):
        read_image(path)
        return True
    return False
