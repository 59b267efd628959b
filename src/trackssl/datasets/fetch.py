"""Put the VOC devkit in its place: drawn by the miniworld, yours as it is, or downloaded."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trackssl.config import Voc
from trackssl.datasets.download import download
from trackssl.datasets.voc import Devkit, VocIndex, make_index
from trackssl.errors import InputError
from trackssl.files import write_json

VOC2012_ADDRESS = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar"
VOC2012_MD5 = "6cd6e144f989b92b3379bac3b3de84fd"
_WORLD_MARK = "miniworld.json"


def fetch_voc(settings: Voc, address: str = VOC2012_ADDRESS, md5: str = VOC2012_MD5) -> VocIndex:
    """The checked index of the devkit that `settings` name, which is made first where needed.

    Raises InputError when it cannot be had or an annotation is wrong.
    """
    folder = Path(settings.devkit)
    if settings.source == "miniworld":
        draw_devkit(settings)
    elif settings.source == "download" and not (folder / f"VOC{settings.year}").is_dir():
        download_devkit(folder, address, md5)
    return make_index(
        Devkit(folder, settings.year),
        list(dict.fromkeys([settings.train_split, settings.test_split])),
    )


def draw_devkit(settings: Voc) -> None:
    """Draw the miniworld's devkit, unless the same one stands there already.

    Raises InputError rather than replace a folder that the miniworld did not draw.
    """
    from trackssl.miniworld.voc import render_devkit

    folder = Path(settings.devkit)
    mark = folder / _WORLD_MARK
    world = settings.model_dump(include={"year", "train_images", "test_images", "seed"})
    if folder.exists() and not mark.is_file():
        raise InputError(
            f"{folder}: was not drawn by the miniworld and is left alone; name another voc.devkit, "
            "or set voc.source to 'devkit' to use it."
        )
    if mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) == world:
        return
    with _new_folder(folder) as part:
        render_devkit(part, **world)
        write_json(part / _WORLD_MARK, world)


def download_devkit(folder: Path, address: str, md5: str) -> None:
    """Fetch and extract a devkit's archive; it holds `VOCdevkit/VOC<year>`. Raises InputError."""
    archive = folder.with_name(address.rsplit("/", 1)[-1])
    if not archive.exists():
        download(address, archive, md5, "MD5")
    with _new_folder(folder) as part:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(part, filter="data")
        except (tarfile.TarError, EOFError) as error:
            raise InputError(f"{archive}: cannot be extracted ({error}); remove it.") from None
        for year in (part / "VOCdevkit").glob("*"):
            year.rename(part / year.name)
    archive.unlink()


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends well."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a killed run
    part.mkdir(parents=True)
    try:
        yield part
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
