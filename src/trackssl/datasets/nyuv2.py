"""Reader of NYU Depth v2's labelled frames, its official split and ground-truth normals.

Directions are in the camera's frame: x right, y down, z away from it; a normal points at the camera
and has length 1.
"""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray

from trackssl.errors import InputError
from trackssl.files import write_json
from trackssl.images import Image, decode_image

Field = NDArray[np.float32]  # (H, W, 3) normals; NaN where there is none

HEIGHT, WIDTH = 480, 640
# Frames have a white rim, as colour was warped to depth; the middle counts.
VALID = (slice(44, 471), slice(40, 601))
VALID_HEIGHT, VALID_WIDTH = 427, 561
SPLITS = {"train": "trainNdxs", "test": "testNdxs"}
_DATASETS = {  # MATLAB stores columns first: dimensions in reverse
    "images": (3, WIDTH, HEIGHT),
    "depths": (WIDTH, HEIGHT),
    "rawDepths": (WIDTH, HEIGHT),
}
_MAX_LENGTH_ERROR = 0.1  # 8-bit files are off by .02; what marks a missing normal by .7 and more


class NyuFile:
    """The frames of a labelled .mat (HDF5, MATLAB 7.3), read one at a time; numbers are from 1.

    Raises InputError for a file of another kind, an absent field or a wrong shape.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise InputError(f"{path}: there is no such file; check nyuv2.mat, or fetch it.")
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise InputError(
                f"{path}: this is not a whole HDF5 file ({error}); give nyu_depth_v2_labeled.mat."
            ) from None
        try:
            self._data = {name: self._dataset(name) for name in _DATASETS}
            counts = {name: data.shape[0] for name, data in self._data.items()}
            if len(set(counts.values())) > 1 or not counts["images"]:
                raise InputError(f"{path}: its fields hold unlike numbers of frames ({counts}).")
        except InputError:
            self._file.close()
            raise
        self.frames = counts["images"]

    def _dataset(self, name: str) -> h5py.Dataset:
        link = self._file.get(name, getlink=True)
        data = self._file[name] if isinstance(link, h5py.HardLink) else None
        if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
            raise InputError(
                f"{self.path}: the field '{name}' is missing; give NYU Depth v2's labelled file."
            )
        wanted = _DATASETS[name]
        kind = "u" if name == "images" else "f"
        if data.shape[1:] != wanted or data.dtype.kind != kind or data.ndim != len(wanted) + 1:
            raise InputError(
                f"{self.path}: '{name}' is {data.dtype} of shape {data.shape}, but "
                f"{'uint8' if kind == 'u' else 'float32'} of (frames, "
                f"{', '.join(map(str, wanted))}) is needed; give NYU Depth v2's labelled file."
            )
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._file.close()

    def image(self, number: int) -> Image:
        """Colour of a frame, (480, 640, 3) uint8 BGR."""
        return np.ascontiguousarray(self._read("images", number)[::-1].transpose(2, 1, 0))

    def depth(self, number: int, raw: bool = True) -> Field:
        """Distance along z in metres, (480, 640) float32; raw: 0 where none was measured.

        Raises InputError for a frame without any depth.
        """
        depth = self._read("rawDepths" if raw else "depths", number).T.astype(np.float32)
        depth = np.where(np.isfinite(depth) & (depth > 0), depth, 0)
        if not depth.any():
            raise InputError(
                f"{self.path}: frame {number} has no depth; leave it out of the split."
            )
        return depth

    def _read(self, name: str, number: int) -> NDArray[Any]:
        try:
            return np.asarray(self._data[name][number - 1])
        except OSError as error:
            raise InputError(
                f"{self.path}: '{name}' of frame {number} cannot be read ({error}); get the file "
                "again."
            ) from None


def read_splits(path: Path, frames: int) -> dict[str, list[int]]:
    """Frame numbers (from 1) of train and test, from splits.mat of either MATLAB format.

    Raises InputError if it is absent, or lists frames that are not there, or one twice.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file; nyuv2.splits names the official split, splits.mat."
        )
    splits = {}
    for split, name in SPLITS.items():
        values = np.asarray(_field(path, name), np.float64).ravel()
        numbers = values.astype(np.int64)
        if not len(values) or (values != numbers).any() or not _within(numbers, frames):
            raise InputError(
                f"{path}: '{name}' must hold frame numbers from 1 to {frames}; give the split of "
                "this file."
            )
        splits[split] = numbers.tolist()
    listed = [number for numbers in splits.values() for number in numbers]
    if len(set(listed)) < len(listed):
        raise InputError(f"{path}: a frame is listed twice; each may be in one split, once.")
    return splits


def _within(numbers: NDArray[np.int64], frames: int) -> bool:
    return bool(numbers.min() >= 1 and numbers.max() <= frames)


def _field(path: Path, name: str) -> NDArray[Any]:
    """One array of a .mat of either format. Raises InputError."""
    try:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                found = file.get(name, getlink=True)
                data = file[name] if isinstance(found, h5py.HardLink) else None
                value = (
                    data[()].T
                    if isinstance(data, h5py.Dataset) and not (data.external or data.is_virtual)
                    else None
                )
        else:
            value = scipy.io.loadmat(path, variable_names=[name]).get(name)
    except Exception as error:  # scipy's reader raises what its bytes lead to
        raise InputError(f"{path}: cannot be read as a .mat file ({error}); replace it.") from None
    if value is None or value.dtype.kind not in "uifb":
        raise InputError(f"{path}: the field '{name}' is missing; replace the file.")
    return np.asarray(value)


def truth_file(folder: Path, number: int) -> Path:
    """The file of a frame's ground-truth normals in a folder, whichever of the forms it holds.

    As they were published: `train/00001.png`, `test/00002.png` (or without the split's folder), and
    as others passed them on: `nm_000001.mat`. Raises InputError if there is none.
    """
    names = (f"train/{number:05d}.png", f"test/{number:05d}.png", f"{number:05d}.png")
    for name in (*names, f"nm_{number:06d}.mat"):
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"{folder}: there are no normals of frame {number} (train/{number:05d}.png, "
        f"test/{number:05d}.png or nm_{number:06d}.mat); add them, or set nyuv2.normals to null "
        "to compute all from depth."
    )


def read_truth(folder: Path, number: int) -> Field:
    """Ground-truth normals of a frame, (480, 640, 3) float32; NaN where there is none.

    A PNG of 8 or 16 bits holds z, y, x in its red, green and blue, 0 for -1 and the largest value
    for 1 (so Ladicky et al. 2014's); a .mat has nx, ny, nz and depthValid. A pixel whose vector is
    not about 1 long has no normal, nor has one that is 0 in `masks/0000.png` (numbered from 0),
    where there is such a file. Raises InputError.
    """
    path = truth_file(folder, number)
    if path.suffix == ".png":
        pixels = _decode_png(path)
        _check_shape(path, pixels, (HEIGHT, WIDTH, 3))
        normals = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max * 2 - 1  # BGR: x, y, z
    else:
        parts = [np.asarray(_field(path, name), np.float32) for name in ("nx", "ny", "nz")]
        valid = _field(path, "depthValid")
        for part in (*parts, valid):
            _check_shape(path, part, (HEIGHT, WIDTH))
        normals = np.where((valid != 0)[..., None], np.stack(parts, axis=2), 0)
    length = np.linalg.norm(normals, axis=2)
    known = np.abs(length - 1) <= _MAX_LENGTH_ERROR
    mask = folder / "masks" / f"{number - 1:04d}.png"
    if mask.is_file():
        seen = decode_image(mask.read_bytes(), str(mask), cv2.IMREAD_GRAYSCALE)
        _check_shape(mask, seen, (HEIGHT, WIDTH))
        known &= seen > 0
    normals = normals / np.where(known, length, np.nan)[..., None]
    return normals.astype(np.float32)


def _decode_png(path: Path) -> NDArray[Any]:
    """A picture as it is, with 8 or 16 bits. Raises InputError."""
    pixels = None
    with suppress(cv2.error):  # an empty file, or one that claims more than 2^30 pixels
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype.kind != "u":
        raise InputError(f"{path}: this is not an image that can be decoded; replace it.")
    return np.asarray(pixels)


def _check_shape(path: Path, values: NDArray[Any], wanted: tuple[int, ...]) -> None:
    if values.shape != wanted:
        raise InputError(
            f"{path}: its shape is {values.shape}, but {wanted} is needed; replace the file."
        )


@dataclass(frozen=True)
class NyuIndex:
    """What fetch-nyuv2 found: files, frame numbers of each split, and a hash of all of it."""

    data: str  # NYUv2 or miniworld
    mat: str
    normals: str | None  # folder of ground truth; null: computed from depth
    splits: dict[str, list[int]]
    sha256: str

    def write(self, path: Path) -> None:
        """Write the index as JSON."""
        write_json(path, asdict(self))


def read_index(path: Path) -> NyuIndex:
    """Read an index. Raises InputError for what is none."""
    try:
        index = NyuIndex(**json.loads(path.read_text(encoding="utf-8")))
        listed = [_numbers(index.splits[split]) for split in SPLITS]
        good = all(listed) and re.fullmatch(r"[0-9a-f]{64}", index.sha256)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        good = None
    if not good:
        raise InputError(f"{path}: is no index of NYUv2; make it by trackssl fetch-nyuv2.")
    return index


def _numbers(values: Sequence[int]) -> bool:
    return bool(values) and all(isinstance(value, int) and value >= 1 for value in values)
