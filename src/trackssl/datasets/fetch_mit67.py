"""Put MIT Indoor 67 in its place: drawn by the miniworld, yours as it is, or downloaded."""

import shutil
from dataclasses import replace
from pathlib import Path

from trackssl.config import Scenes
from trackssl.datasets.archives import unpack
from trackssl.datasets.drawn import draw_once
from trackssl.datasets.image_index import ImageIndex
from trackssl.datasets.mit67 import LISTS, read_tree
from trackssl.datasets.place import discard, obtain
from trackssl.datasets.table import entries
from trackssl.errors import InputError
from trackssl.files import temporary_folder

CHECKSUMS = "SHA256SUMS"


def fetch_mit67(settings: Scenes, mirror: str | None = None) -> ImageIndex:
    """The checked index of the tree that `settings` name, which is made first where needed.

    `mirror`: address of a folder of the archive and the two lists, with a '/' at its end. Raises
    InputError when the tree cannot be had or an image of it is wrong.
    """
    folder = Path(settings.folder)
    if settings.source == "miniworld":
        draw_tree(settings)
    elif settings.source == "download" and not folder.is_dir():
        download_tree(folder, settings.archive_sha256, mirror)
    name = "miniworld" if settings.source == "miniworld" else "MIT Indoor 67"
    return read_tree(folder, name, settings.skip_broken)


def draw_tree(settings: Scenes) -> None:
    """Draw the miniworld's tree, unless the same one stands there already.

    Raises InputError rather than replace a folder that the miniworld did not draw.
    """
    from trackssl.miniworld.indoor import render_indoor

    folder = Path(settings.folder)
    drawing = settings.model_dump(include={"train_images", "test_images", "seed"})
    remedy = "name another scenes.folder, or set scenes.source to 'folder' to use it"
    draw_once(folder, drawing, render_indoor, remedy)


def download_tree(folder: Path, archive_sha256: str | None, mirror: str | None = None) -> None:
    """Have the archive and the lists beside `folder`, and extract them to it; it appears whole.

    What has no checksum in the table is trusted as it comes; the SHA-256 of all is written down in
    `folder/SHA256SUMS`, as sha256sum reads it. Files put there by hand stay. Raises InputError.
    """
    folder = folder.resolve()  # a link to a larger disk: the part must lie there too
    archive, sums = None, {}
    for entry in entries("mit67"):
        is_list = entry.file in LISTS.values()
        if not is_list:
            archive = folder.with_name(entry.file)
            if archive_sha256 is not None:
                entry = replace(entry, kind="SHA-256", checksum=archive_sha256)
        if mirror is not None:
            entry = entry.at(mirror)
        sums[entry.file] = obtain(entry, folder.with_name(entry.file), copies=1 if is_list else 2)
    if archive is None:
        raise InputError("the table of data sets names no archive of mit67; add its row.")
    with temporary_folder(folder) as part:
        unpack(archive, part)
        if not (part / "Images").is_dir():
            raise InputError(f"{archive}: no folder Images in it; remove it, name another mirror.")
        for name in LISTS.values():
            shutil.copyfile(folder.with_name(name), part / name)
        lines = (f"{checksum}  {name}\n" for name, checksum in sums.items())
        (part / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
        part.rename(folder)
    for name in sums:
        discard(folder.with_name(name))
