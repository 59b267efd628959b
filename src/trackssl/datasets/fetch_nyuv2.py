"""Put NYU Depth v2 in its place: drawn by the miniworld, yours as it is, or downloaded."""

import hashlib
import json
from pathlib import Path

from trackssl.config import Nyuv2
from trackssl.datasets.archives import unpack
from trackssl.datasets.drawn import draw_once
from trackssl.datasets.nyuv2 import NyuFile, NyuIndex, read_splits, truth_file
from trackssl.datasets.place import discard, obtain
from trackssl.datasets.table import Entry, entries
from trackssl.errors import InputError
from trackssl.files import file_sha256, temporary_folder


def fetch_nyuv2(settings: Nyuv2, mirror: str | None = None) -> NyuIndex:
    """The checked index of the files that `settings` name, which are made first where needed.

    `mirror`: a folder's address that takes the place of the site. Raises InputError when a file
    cannot be had, lacks a field, or a frame of the split has no ground truth although a folder of
    it is named.
    """
    mat, splits = Path(settings.mat), Path(settings.splits)
    if settings.source == "miniworld":
        draw_rooms(settings)
    elif settings.source == "download":
        for path, entry in zip((mat, splits), entries("nyuv2"), strict=True):
            obtain(entry.at(mirror) if mirror else entry, path)
        if settings.normals is not None and not Path(settings.normals).exists():
            (entry,) = entries("nyuv2_normals")
            download_normals(Path(settings.normals), entry.at(mirror) if mirror else entry)
    with NyuFile(mat) as frames:
        numbers = read_splits(splits, frames.frames)
    digest = hashlib.sha256(f"{file_sha256(mat)} {json.dumps(numbers)}".encode())
    if settings.normals is not None:
        for split in numbers.values():
            for number in split:
                truth = truth_file(Path(settings.normals), number)
                digest.update(f"{truth.name} {truth.stat().st_size}".encode())
    data = "miniworld" if settings.source == "miniworld" else "NYUv2"
    return NyuIndex(data, settings.mat, settings.normals, numbers, digest.hexdigest())


def download_normals(folder: Path, entry: Entry) -> None:
    """Have the archive of ground-truth normals beside `folder`, and extract it to it, whole.

    The folder is that of `train` and `test`, wherever it lies in the archive; `masks` beside it
    come with it. Raises InputError.
    """
    folder = folder.resolve()
    archive = folder.with_name(entry.file)
    obtain(entry, archive, copies=2)
    with temporary_folder(folder) as part:
        unpack(archive, part)
        found = sorted(path.parent for path in part.glob("**/test") if path.is_dir())
        if not found:
            raise InputError(f"{archive}: it holds no folder `test`; put the right one there.")
        root = found[0]
        masks = root.parent / "masks"
        if root != part and masks.is_dir() and not (root / "masks").exists():
            masks.rename(root / "masks")
        root.rename(folder)
    discard(archive)


def draw_rooms(settings: Nyuv2) -> None:
    """Draw the miniworld's rooms into the folder of `settings.mat`, unless they stand there.

    Raises InputError for settings that name other files than it writes, and rather than replace a
    folder that the miniworld did not draw.
    """
    from trackssl.miniworld.rooms import render_rooms

    folder = Path(settings.mat).parent
    wanted = [folder / "nyu_depth_v2_labeled.mat", folder / "splits.mat"]
    named = [Path(settings.mat), Path(settings.splits)]
    if named != wanted or settings.normals not in (None, str(folder / "normals")):
        raise InputError(
            f"source 'miniworld' writes {wanted[0]}, {wanted[1]} and {folder / 'normals'}; set "
            "nyuv2.mat, nyuv2.splits and nyuv2.normals (or null) to these."
        )
    drawing = settings.model_dump(include={"train_images", "test_images", "seed"})
    remedy = "name another nyuv2.mat, or set nyuv2.source to 'file' to use it"
    draw_once(folder, drawing, render_rooms, remedy)
