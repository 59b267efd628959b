"""Boxes that somebody else proposed: R-CNN's MATLAB files, or a CSV."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.io import loadmat

from trackssl.boxes import Boxes
from trackssl.errors import InputError

_COLUMNS = ["x0", "y0", "x1", "y1"]


class GivenBoxes(NamedTuple):
    """Boxes of one image as a file gives them, not yet compared with the image."""

    boxes: NDArray[np.float64]  # (N, 4) edges from 0
    rows: NDArray[np.int64]  # (N,) where each stands: line of the CSV, row of the MATLAB matrix


def read_boxes(path: Path) -> dict[str, GivenBoxes]:
    """Boxes of each image id of a file, in its order, by the ending of its name.

    `.csv`: columns image, x0, y0, x1, y1 in any order, a row a box; edges in pixels from 0, x1 and
    y1 exclusive, as `trackssl proposals` writes them. `.mat`: the layout of R-CNN's published
    boxes, a cell array `images` of ids and one `boxes` of matrices (N, 4), y0 x0 y1 x1, from 1 with
    the last pixel included; MATLAB 5 to 7.3. Raises InputError.
    """
    if path.suffix not in (".csv", ".mat"):
        raise InputError(f"{path}: boxes are read from a .csv or a .mat file; give one of these.")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; check proposals.file.")
    return _read_csv(path) if path.suffix == ".csv" else _read_mat(path)


def check_boxes(path: Path, image: str, given: GivenBoxes | None, width: int, height: int) -> Boxes:
    """The boxes of an image of this size, (N, 4) float32. Raises InputError for the first wrong."""
    if given is None:
        raise InputError(f"{path}: holds no boxes of image '{image}'; add them.")
    x0, y0, x1, y1 = given.boxes.T
    outside = (x0 < 0) | (y0 < 0) | (x1 > width) | (y1 > height)
    faults = {
        "is not made of four numbers": ~np.isfinite(given.boxes).all(axis=1),
        f"lies outside the image of {width} x {height} pixels": outside,
        "has no area": (x1 <= x0) | (y1 <= y0),
    }
    for fault, of in faults.items():
        for number in np.flatnonzero(of)[:1]:
            edges = " ".join(f"{edge:g}" for edge in given.boxes[number])
            raise InputError(
                f"{path}: row {given.rows[number]}, a box of image '{image}', {fault} (its edges "
                f"from 0: {edges}); correct it."
            )
    return given.boxes.astype(np.float32)


def _read_csv(path: Path) -> dict[str, GivenBoxes]:
    try:
        # As a category, ids stay text ('000005') and cost a number a row.
        table = pd.read_csv(path, dtype={"image": "category"}, skip_blank_lines=False)
        images, edges = table["image"], table[_COLUMNS]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: cannot be read as boxes ({error}); write a CSV with the columns image, "
            f"{', '.join(_COLUMNS)}."
        ) from None
    boxes = edges.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    rows = np.arange(len(table)) + 2  # the header is line 1
    codes = images.cat.codes.to_numpy()
    blank = (codes < 0) & np.isnan(boxes).all(axis=1)
    for row in rows[(codes < 0) & ~blank][:1]:
        raise InputError(f"{path}: row {row} names no image; fill its column 'image'.")
    boxes, rows, codes = boxes[~blank], rows[~blank], codes[~blank]
    order = np.argsort(codes, kind="stable")
    cuts = np.searchsorted(codes[order], np.arange(1, len(images.cat.categories)))
    return {
        str(name): GivenBoxes(boxes[part], rows[part])
        for name, part in zip(images.cat.categories, np.split(order, cuts), strict=False)
    }


def _read_mat(path: Path) -> dict[str, GivenBoxes]:
    try:
        try:
            found = loadmat(path, variable_names=["images", "boxes"])
            cells = [[_plain(item) for item in found[key].ravel()] for key in ("images", "boxes")]
        except NotImplementedError:  # version 7.3 is HDF5
            cells = [list(_hdf5_cells(path, key)) for key in ("images", "boxes")]
    except InputError:
        raise
    except Exception as error:  # the parsers raise anything on a broken file
        raise InputError(
            f"{path}: cannot be read as MATLAB's cell arrays 'images' and 'boxes' "
            f"({type(error).__name__}: {error}); give a file like R-CNN's."
        ) from None
    names, matrices = cells
    if len(names) != len(matrices):
        raise InputError(
            f"{path}: 'images' has {len(names)} cells and 'boxes' {len(matrices)}; give a file "
            "with a matrix of boxes for each image."
        )
    result: dict[str, GivenBoxes] = {}
    for number, (name, matrix) in enumerate(zip(names, matrices, strict=True), start=1):
        if not isinstance(name, str) or name in result:
            raise InputError(
                f"{path}: cell {number} of 'images' is {name!r}; each must be another image's id."
            )
        matrix = np.asarray(matrix)
        if matrix.size == 0:
            matrix = np.empty((0, 4))
        if matrix.ndim != 2 or matrix.shape[1] != 4 or matrix.dtype.kind not in "fiu":
            raise InputError(
                f"{path}: cell {number} of 'boxes' (image '{name}') is {matrix.dtype} "
                f"{matrix.shape}, not numbers (N, 4); correct it."
            )
        edges = matrix.astype(np.float64)[:, [1, 0, 3, 2]] - [1, 1, 0, 0]
        result[name] = GivenBoxes(edges, np.arange(1, len(edges) + 1))
    return result


def _plain(item: Any) -> Any:
    """A cell's content: MATLAB's text is a matrix of one string to scipy."""
    if isinstance(item, np.ndarray) and item.dtype.kind == "U" and item.size == 1:
        return str(item.item())
    return item


def _hdf5_cells(path: Path, key: str) -> Iterator[Any]:
    """Contents of a cell array of version 7.3: references to transposed matrices."""
    try:
        import h5py
    except ImportError:
        raise InputError(
            f"{path}: is of MATLAB's version 7.3; install h5py to have it read, or save it as -v7."
        ) from None
    with h5py.File(path) as file:
        for reference in file[key][()].T.ravel():
            item = file[reference]
            if item.attrs.get("MATLAB_empty"):
                yield np.empty((0, 4))
            elif item.attrs.get("MATLAB_class") == b"char":
                yield "".join(map(chr, item[()].ravel()))
            else:
                yield item[()].T
