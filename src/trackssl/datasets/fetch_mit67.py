"""Put MIT Indoor 67 in its place: drawn by the miniworld, yours as it is, or downloaded."""

import shutil
import tarfile
from pathlib import Path

from trackssl.config import Scenes
from trackssl.datasets.download import download
from trackssl.datasets.drawn import draw_once
from trackssl.datasets.image_index import ImageIndex
from trackssl.datasets.mit67 import LISTS, read_tree
from trackssl.errors import InputError
from trackssl.files import file_sha256, temporary_folder

_ARCHIVE = "indoorCVPR_09.tar"
ADDRESSES = {
    _ARCHIVE: f"http://groups.csail.mit.edu/vision/LabelMe/NewImages/{_ARCHIVE}",
    **{name: f"http://web.mit.edu/torralba/www/{name}" for name in LISTS.values()},
}
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
    """Fetch the archive and the lists, and extract them to `folder`, which appears whole.

    The site names no checksums: what came first is trusted, and its SHA-256 written down in
    `folder/SHA256SUMS`, as sha256sum reads it. Raises InputError.
    """
    folder = folder.resolve()  # a link to a larger disk: the part must lie there too
    files = {name: folder.with_name(f".{folder.name}.{name}") for name in ADDRESSES}
    sums = {}
    for name, address in ADDRESSES.items():
        wanted = archive_sha256 if name == _ARCHIVE else None
        have = file_sha256(files[name]) if files[name].exists() else None  # of a killed run
        if have is None or wanted not in (None, have):
            address = mirror + name if mirror else address
            have = download(address, files[name], wanted, "SHA-256")
        sums[name] = have
    archive = files[_ARCHIVE]
    with temporary_folder(folder) as part:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(part, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise InputError(f"{archive}: cannot be extracted ({error}); remove it.") from None
        if not (part / "Images").is_dir():
            raise InputError(f"{archive}: no folder Images in it; remove it, name another mirror.")
        for name in LISTS.values():
            shutil.copyfile(files[name], part / name)
        lines = (f"{checksum}  {name}\n" for name, checksum in sums.items())
        (part / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
        part.rename(folder)
    for path in files.values():
        path.unlink()
