"""Frames and normals at the valid crop, read and coded once for all networks.

A folder with, for each split, `{split}_images.npy` (N, 427, 561, 3) uint8 BGR and
`{split}_normals.npy` (N, 427, 561, 3) int16, normals times 32767 and 0 where there is none;
`targets.npy` (N, 2, grid, grid, words) float32, the codes of the training images as they are and
mirrored; and `prepared.json`: the codebook and what all was made of.
"""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from trackssl.config import Nyuv2
from trackssl.datasets.nyuv2 import (
    SPLITS,
    VALID,
    VALID_HEIGHT,
    VALID_WIDTH,
    Field,
    NyuFile,
    NyuIndex,
    read_truth,
)
from trackssl.errors import InputError
from trackssl.files import Progress, fingerprint, write_json
from trackssl.normals.codebook import Codebook, decode, fit_codebook
from trackssl.normals.from_depth import normals_from_depth
from trackssl.randomness import generator
from trackssl.speech import progress_console

_SCALE = 32767
_SAVE_SECONDS = 10.0  # what a kill may cost
_SAMPLE = 100_000  # normals that the codebook is fitted to
_SHAPE = (VALID_HEIGHT, VALID_WIDTH, 3)


def prepare(index: NyuIndex, settings: Nyuv2, out: Path, progress: Path) -> "Prepared":
    """Write the folder `out`, whole or not at all; a killed run goes on where it stopped.

    One frame is in memory at a time. Raises InputError for frames or normals that cannot be read.
    """
    coding = settings.model_dump(
        include={"words", "grid", "camera", "window_px", "max_plane_error"}
    )
    identity = {"index": index.sha256, **coding}
    kept = Progress(progress, identity, "preparation")
    data = kept / "data"
    data.mkdir(exist_ok=True)
    with NyuFile(Path(index.mat)) as frames:
        for split in SPLITS:
            _read_split(kept, frames, index, split, settings)
    normals = np.load(data / "train_normals.npy", mmap_mode="r")
    codebook = fit_codebook(_sample(normals), settings.words)
    targets = np.stack([_targets(codebook, to_field(field), settings.grid) for field in normals])
    np.save(data / "targets.npy", targets)
    facts = {
        "data": index.data,
        "truth": "depth" if index.normals is None else "given",
        "grid": settings.grid,
        "words": codebook.words.tolist(),
        "triangles": codebook.triangles.tolist(),
        "frames": index.splits,
        "sha256": fingerprint(identity),
    }
    write_json(data / "prepared.json", facts)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a killed run
    part.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(data, part)
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    kept.finish()
    return Prepared.open(out)


def _read_split(
    kept: Progress, frames: NyuFile, index: NyuIndex, split: str, settings: Nyuv2
) -> None:
    """Images and normals of a split, from the first frame that is not there yet."""
    numbers = index.splits[split]
    mark = kept / f"{split}.json"
    there = mark.exists() and (kept / "data" / f"{split}_normals.npy").exists()
    done = json.loads(mark.read_text()) if there else 0
    mode: Any = "r+" if done else "w+"
    shape = None if done else (len(numbers), *_SHAPE)
    folder = kept / "data"
    images = np.lib.format.open_memmap(folder / f"{split}_images.npy", mode, np.uint8, shape)
    normals = np.lib.format.open_memmap(folder / f"{split}_normals.npy", mode, np.int16, shape)
    saved = time.monotonic()
    console = progress_console()
    shown = track(
        range(done, len(numbers)), split, console=console, disable=not console.is_terminal
    )
    for row in shown:
        images[row] = frames.image(numbers[row])[VALID]
        field = frame_normals(frames, numbers[row], index.normals, settings)[VALID]
        normals[row] = np.nan_to_num(np.round(field * _SCALE)).astype(np.int16)
        if time.monotonic() - saved >= _SAVE_SECONDS or row + 1 == len(numbers):
            images.flush()
            normals.flush()
            write_json(mark, row + 1)
            saved = time.monotonic()


def frame_normals(frames: NyuFile, number: int, truth: str | None, settings: Nyuv2) -> Field:
    """Normals of a whole frame (480, 640, 3), NaN for none: given, or computed from its depth.

    Given ones count where depth was measured; elsewhere they were made up.
    """
    depth = frames.depth(number)
    if truth is None:
        return normals_from_depth(
            depth, settings.camera, settings.window_px, settings.max_plane_error
        )
    return np.where((depth > 0)[..., None], read_truth(Path(truth), number), np.nan)


def to_field(stored: NDArray[np.int16]) -> Field:
    """Stored normals (..., 3) as float32, NaN where there is none."""
    known = stored.any(axis=-1, keepdims=True)
    return np.where(known, stored.astype(np.float32) / _SCALE, np.nan)


def _sample(normals: NDArray[np.int16]) -> Field:
    """Normals drawn evenly from all images, (N, 3)."""
    each = -(-_SAMPLE // len(normals))
    places = VALID_HEIGHT * VALID_WIDTH
    drawn = []
    for row, stored in enumerate(normals):
        chosen = generator("codebook", row).choice(places, min(each, places), replace=False)
        field = to_field(np.asarray(stored).reshape(-1, 3)[np.sort(chosen)])
        drawn.append(field[np.isfinite(field[:, 0])])
    return np.concatenate(drawn)


def _targets(codebook: Codebook, field: Field, grid: int) -> NDArray[np.float32]:
    """Codes (2, grid, grid, K) of a field and of its mirror image."""
    return np.stack([codebook.encode_grid(view, grid) for view in (field, mirrored(field))])


def mirrored(field: Field) -> Field:
    """Normals (H, W, 3) of the mirror image."""
    return field[:, ::-1] * np.array([-1, 1, 1], np.float32)


@dataclass(frozen=True)
class Prepared:
    """An opened folder; arrays are read from the disk as they are used."""

    folder: Path
    data: str  # NYUv2 or miniworld
    truth: str  # given, or depth: computed from it
    grid: int
    codebook: Codebook
    sha256: str

    @classmethod
    def open(cls, folder: Path) -> "Prepared":
        """Open a folder of `prepare`. Raises InputError for what is none."""
        try:
            facts = json.loads((folder / "prepared.json").read_text(encoding="utf-8"))
            words, triangles = np.array(facts["words"]), np.array(facts["triangles"])
            book = Codebook(words, triangles)
            opened = cls(
                folder, facts["data"], facts["truth"], facts["grid"], book, facts["sha256"]
            )
            for split in SPLITS:
                if opened.images(split).shape != opened.stored(split).shape:
                    raise ValueError(f"{split} has unlike numbers of images and normals")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder}: is no folder of prepared normals ({error}); make it by trackssl "
                "prepare-normals."
            ) from None
        return opened

    def images(self, split: str) -> NDArray[np.uint8]:
        """(N, 427, 561, 3) BGR."""
        return np.load(self.folder / f"{split}_images.npy", mmap_mode="r")

    def stored(self, split: str) -> NDArray[np.int16]:
        """(N, 427, 561, 3) normals as they are stored."""
        return np.load(self.folder / f"{split}_normals.npy", mmap_mode="r")

    def fields(self, split: str) -> Iterator[Field]:
        """Normals of each image, (427, 561, 3), NaN for none."""
        for stored in self.stored(split):
            yield to_field(np.asarray(stored))

    def targets(self) -> NDArray[np.float32]:
        """(N, 2, grid, grid, K) codes of the training images, as they are and mirrored."""
        return np.load(self.folder / "targets.npy")


def mean_normals(prepared: Prepared) -> NDArray[np.float32]:
    """The control: each cell's mean code over the training images, for each test image alike."""
    targets = prepared.targets()[:, 0]
    if not targets.any():
        raise InputError(f"{prepared.folder}: no training image has normals; check the truth.")
    mean = decode(targets.mean(axis=0), prepared.codebook.words)
    return np.repeat(mean[None], len(prepared.images("test")), axis=0)
