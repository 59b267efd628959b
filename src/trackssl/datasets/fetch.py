"""Put the VOC devkit in its place: drawn by the miniworld, yours as it is, or downloaded."""

import tarfile
from pathlib import Path

from trackssl.config import Voc
from trackssl.datasets.download import download
from trackssl.datasets.drawn import draw_once
from trackssl.datasets.voc import VOC_CLASSES, Devkit, VocIndex, make_index
from trackssl.errors import InputError
from trackssl.files import temporary_folder

_SITE = "http://host.robots.ox.ac.uk/pascal/VOC"
VOC2012_ADDRESS = f"{_SITE}/voc2012/VOCtrainval_11-May-2012.tar"
VOC2012_MD5 = "6cd6e144f989b92b3379bac3b3de84fd"
# A year's archives: address and MD5.
ARCHIVES = {
    2007: (
        (f"{_SITE}/voc2007/VOCtrainval_06-Nov-2007.tar", "c52e279531787c972589f7e41ab4ae64"),
        (f"{_SITE}/voc2007/VOCtest_06-Nov-2007.tar", "b6e924de25625d8de591ea690078ad9f"),
    ),
    2012: ((VOC2012_ADDRESS, VOC2012_MD5),),
}


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


def _archives(year: int, address: str | None, md5: str | None) -> list[tuple[str, str]]:
    """(address, MD5) of what is downloaded; known file names have their checksum."""
    if address is None:
        return list(ARCHIVES[year])
    checksums = {_file_name(known): checksum for known, checksum in ARCHIVES[year]}
    if address.endswith("/"):
        return [(address + name, checksum) for name, checksum in checksums.items()]
    md5 = md5 or checksums.get(_file_name(address))
    if md5 is None:
        raise InputError(f"{address}: what is downloaded needs a checksum; give its --md5.")
    return [(address, md5)]


def _file_name(address: str) -> str:
    return address.rsplit("/", 1)[-1]


def draw_devkit(settings: Voc) -> None:
    """Draw the miniworld's devkit, unless the same one stands there already.

    Raises InputError rather than replace a folder that the miniworld did not draw.
    """
    from trackssl.miniworld.voc import render_devkit

    folder = Path(settings.devkit)
    drawing = settings.model_dump(include={"year", "train_images", "test_images", "seed"})
    remedy = "name another voc.devkit, or set voc.source to 'devkit' to use it"
    draw_once(folder, drawing, render_devkit, remedy)


def download_devkit(folder: Path, year: int, archives: list[tuple[str, str]]) -> None:
    """Fetch a year's archives, (address, MD5), and extract them to `folder/VOC{year}`.

    Each holds `VOCdevkit/VOC{year}`; other years in the folder stay. Raises InputError.
    """
    folder = folder.resolve()  # a link to a larger disk: the part must lie there too
    tars = [folder.with_name(_file_name(address)) for address, _ in archives]
    for path, (address, md5) in zip(tars, archives, strict=True):
        if not path.exists():
            download(address, path, md5, "MD5")
    with temporary_folder(folder.with_name(f"{folder.name}_{year}")) as part:
        for path in tars:
            try:
                with tarfile.open(path) as tar:
                    tar.extractall(part, filter="data")
            except (tarfile.TarError, EOFError) as error:
                raise InputError(f"{path}: cannot be extracted ({error}); remove it.") from None
        root = part / "VOCdevkit" / f"VOC{year}"
        if not root.is_dir():
            names = ", ".join(map(str, tars))
            raise InputError(f"{names}: no VOCdevkit/VOC{year} in it; remove it, name another.")
        folder.mkdir(exist_ok=True)
        root.rename(folder / root.name)
    for path in tars:
        path.unlink()
