"""Put the VOC devkit in its place: drawn by the miniworld, yours as it is, or downloaded."""

from dataclasses import replace
from pathlib import Path

from trackssl.config import Voc
from trackssl.datasets.archives import unpack
from trackssl.datasets.drawn import draw_once
from trackssl.datasets.place import discard, obtain
from trackssl.datasets.table import Entry, entries
from trackssl.datasets.voc import VOC_CLASSES, Devkit, VocIndex, make_index
from trackssl.errors import InputError
from trackssl.files import temporary_folder


def fetch_voc(settings: Voc, address: str | None = None, md5: str | None = None) -> VocIndex:
    """The checked index of the devkit that `settings` name, which is made first where needed.

    `address`: one archive in place of the year's own, or, with a '/' at its end, a mirror's folder
    of them. Raises InputError when it cannot be had or an annotation is wrong.
    """
    folder = Path(settings.devkit)
    if settings.source == "miniworld":
        draw_devkit(settings)
    elif settings.source == "download" and not (folder / f"VOC{settings.year}").is_dir():
        download_devkit(folder, settings.year, _archives(settings.year, address, md5))
    known = settings.classes
    if known is None and settings.source == "download":
        known = list(VOC_CLASSES)
    splits = dict.fromkeys([settings.train_split, settings.test_split])
    return make_index(Devkit(folder, settings.year), list(splits), known)


def _archives(year: int, address: str | None, md5: str | None) -> list[Entry]:
    """What is downloaded; files that the table knows have their checksum."""
    known = entries("voc", str(year))
    if address is None:
        return known
    if address.endswith("/"):
        return [entry.at(address) for entry in known]
    name = address.rsplit("/", 1)[-1]
    entry = next((entry for entry in known if entry.file == name), None)
    if md5 is None:
        if entry is None:
            raise InputError(f"{address}: what is downloaded needs a checksum; give its --md5.")
        return [replace(entry, addresses=(address,))]
    return [Entry("voc", str(year), name, (address,), kind="MD5", checksum=md5)]


def draw_devkit(settings: Voc) -> None:
    """Draw the miniworld's devkit, unless the same one stands there already.

    Raises InputError rather than replace a folder that the miniworld did not draw.
    """
    from trackssl.miniworld.voc import render_devkit

    folder = Path(settings.devkit)
    drawing = settings.model_dump(include={"year", "train_images", "test_images", "seed"})
    remedy = "name another voc.devkit, or set voc.source to 'devkit' to use it"
    draw_once(folder, drawing, render_devkit, remedy)


def download_devkit(folder: Path, year: int, archives: list[Entry]) -> None:
    """Have a year's archives beside `folder`, and extract them to `folder/VOC{year}`.

    Each holds `VOCdevkit/VOC{year}`; other years in the folder stay, and so do archives that were
    put there by hand. Raises InputError.
    """
    folder = folder.resolve()  # a link to a larger disk: the part must lie there too
    tars = [folder.with_name(entry.file) for entry in archives]
    for path, entry in zip(tars, archives, strict=True):
        # A plain tar unpacked is as large as it is; all of them are unpacked when the last is here.
        others = sum(other.size or 0 for other in archives if other is not entry)
        obtain(entry, path, room_bytes=others, copies=2)
    with temporary_folder(folder.with_name(f"{folder.name}_{year}")) as part:
        for path in tars:
            unpack(path, part)
        root = part / "VOCdevkit" / f"VOC{year}"
        if not root.is_dir():
            names = ", ".join(map(str, tars))
            raise InputError(f"{names}: no VOCdevkit/VOC{year} in it; remove it, name another.")
        folder.mkdir(exist_ok=True)
        root.rename(folder / root.name)
    for path in tars:
        discard(path)
