"""Source `tar`: videos out of .tar files, such as the shards of WebDataset.

Only plain members are taken, and none is ever written under its own name: a member is a place and a
length in the archive, of which so many bytes are copied.
"""

import tarfile
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.videos.folder import VIDEO_SUFFIXES
from trackssl.videos.sources import Item, UnavailableError, distinct_ids
from trackssl.videos.web import Visit

_BLOCK_BYTES = 1 << 20
_MAX_HEADER_BYTES = 1 << 20  # the rest of an archive is not read to list it


class _Headers:
    """A tar file of which only headers can be read: a hostile one may claim gigabytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header is too long")
        return self._file.read(size)


class _Member(NamedTuple):
    archive: Path
    name: str
    offset: int
    size: int
    refused: str  # the reason, or nothing


def items(settings: Videos) -> list[Item]:
    """The members that bear a video's ending, in the order of archives' names and in the archives.

    Of members of one name the last counts, as everywhere. Raises InputError when there is no such
    folder, no video in it, or an archive cannot be read.
    """
    _listing.cache_clear()
    found = _listing(Path(settings.folder or ""))
    ids = distinct_ids([f"{member.archive.name}/{member.name}" for member in found.values()])
    return [
        Item(video, source, index)
        for index, (video, source) in enumerate(zip(ids, found, strict=True))
    ]


def obtain(item: Item, settings: Videos, folder: Path, visit: Visit) -> Path:
    """Copy a member to a file in `folder`. Raises UnavailableError."""
    member = _listing(Path(settings.folder or ""))[item.source]
    if member.refused:
        raise UnavailableError(member.refused)
    if member.size > settings.max_bytes:
        raise UnavailableError("too many bytes")
    out = folder / "data"
    with member.archive.open("rb") as tar, out.open("wb") as file:
        tar.seek(member.offset)
        left = member.size
        while left and (block := tar.read(min(left, _BLOCK_BYTES))):
            file.write(block)
            left -= len(block)
    return out


@lru_cache(maxsize=1)
def _listing(folder: Path) -> dict[str, _Member]:
    """The members of all archives of a folder by `archive#name`. Raises InputError."""
    if not folder.is_dir():
        raise InputError(f"videos.folder: there is no folder {folder}; check the path.")
    archives = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".tar")
    found = {f"{path}#{m.name}": m for path in archives for m in _members(path)}
    if not found:
        raise InputError(
            f"videos.folder: {folder} holds no .tar files with videos; put some there or name "
            "another folder."
        )
    return found


def _members(path: Path) -> list[_Member]:
    """The members of an archive that bear a video's ending."""
    try:
        with path.open("rb") as file:
            headers: Any = _Headers(file)
            with tarfile.open(fileobj=headers, mode="r:") as tar:
                return [
                    _Member(path, _printable(m.name), m.offset_data, m.size, _refused(m))
                    for m in tar
                    if PurePosixPath(m.name).suffix.lower() in VIDEO_SUFFIXES
                ]
    except (tarfile.TarError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: this is no whole uncompressed .tar file ({error}); get it again, or take it "
            "out of the folder."
        ) from None


def _refused(member: tarfile.TarInfo) -> str:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not member.name.isprintable():
        return "unsafe name"
    return "" if member.isreg() and not member.issparse() else "not a plain file"


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
