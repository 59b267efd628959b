"""Archives from elsewhere, unpacked without trust: tar (plain, gz, bz2, xz) and zip.

A member may be a folder or an ordinary file inside the archive's folder, nothing else; what is
written is counted while it is written, so that an archive that lies about its size is stopped too.
"""

import bz2
import gzip
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from trackssl.datasets.parts import require_room, writing
from trackssl.errors import InputError
from trackssl.files import temporary_folder

MAX_BYTES = 8 << 30  # three times the largest data set here
MAX_FILES = 200_000

_CHUNK_BYTES = 1 << 20
_HEADER_BYTES = 1 << 20  # of one header of a tar: names of a kilobyte at most, and some notes
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,  # a zip's method that Python does not know
    RecursionError,  # a tar's endless row of headers
    ValueError,
)


def extract(
    archive: Path, folder: Path, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> None:
    """Unpack an archive to a folder that appears whole, and is not there before.

    Raises InputError as `unpack` does; nothing is left then.
    """
    with temporary_folder(folder) as part:
        unpack(archive, part, max_bytes, max_files)
        part.rename(folder)


def unpack(
    archive: Path, folder: Path, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> None:
    """Unpack an archive into a folder that the caller throws away if this fails.

    Raises InputError that names the archive and the member, for a path out of the folder, a link, a
    device, more bytes or members than the bounds, a broken archive and a full disk.
    """
    room = _Room(archive, folder, max_bytes, max_files)
    try:
        with archive.open("rb") as file:
            magic = file.read(6)
    except OSError as error:
        raise InputError(f"{archive}: cannot be read ({error.strerror}); check the path.") from None
    try:
        if magic.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            _unpack_zip(archive, room)
        else:
            _unpack_tar(archive, magic, room)
    except _BROKEN as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{archive}: cannot be extracted ({reason}); it is broken or no archive, remove it."
        ) from None
    except OSError as error:  # of reading; gzip's BadGzipFile is one
        reason = error.strerror or " ".join(str(error).split())[:200]
        raise InputError(f"{archive}: cannot be extracted ({reason}); remove it.") from None


class _Room:
    """Where members go, and how much may still come."""

    def __init__(self, archive: Path, folder: Path, max_bytes: int, max_files: int) -> None:
        self.archive, self.folder = archive, folder
        self.max_bytes, self.max_files = max_bytes, max_files
        self.bytes_left, self.files_left = max_bytes, max_files

    def refuse(self, member: str, why: str) -> InputError:
        return InputError(
            f"{self.archive}: its member {member[:200]!r} {why}, so it cannot be extracted; remove "
            "the archive and take it from another source."
        )

    def place(self, member: str) -> Path:
        """Path of a member; counts it. Raises InputError for one that may not be."""
        self.files_left -= 1
        if self.files_left < 0:
            raise self.refuse(member, f"is one too many of {self.max_files}")
        parts = member.split("/")
        if member.startswith("/") or re.match(r"[A-Za-z]:", member):
            raise self.refuse(member, "has an absolute path")
        if ".." in parts:
            raise self.refuse(member, "leads out of the folder")
        if re.search(r"[\\\x00-\x1f\x7f]", member):
            raise self.refuse(member, "has a name with odd characters")
        return self.folder.joinpath(*parts)

    def add_folder(self, member: str) -> None:
        path = self.place(member)
        with self._naming(member):
            path.mkdir(parents=True, exist_ok=True)

    def add_file(self, member: str, size: int, file: IO[bytes]) -> None:
        """Write a member, whose header says so many bytes."""
        path = self.place(member)
        if size > self.bytes_left:
            raise self._too_large(member)
        with self._naming(member):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as written:
                while chunk := self._read(file):
                    self.bytes_left -= len(chunk)
                    if self.bytes_left < 0:
                        raise self._too_large(member)
                    written.write(chunk)
                if written.tell() != size:
                    raise self.refuse(member, "holds another number of bytes than it says")

    @staticmethod
    def _read(file: IO[bytes]) -> bytes:
        try:
            return file.read(_CHUNK_BYTES)
        except OSError as error:  # not to be taken for the disk's
            raise EOFError(str(error)) from None

    @contextmanager
    def _naming(self, member: str) -> Iterator[None]:
        """Errors of the disk name the archive; those of the member's path the member."""
        with writing(self.archive, "is extracted"):
            try:
                yield
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                raise self.refuse(member, "has the name of another one") from None

    def _too_large(self, member: str) -> InputError:
        return self.refuse(member, f"passes the bound of {self.max_bytes / 1e6:,.1f} MB in all")


class _Bounded:
    """A stream of a tar: none of its headers may ask for much, nor all of it pass a bound."""

    def __init__(self, file: IO[bytes], room: _Room) -> None:
        self._file, self._archive = file, room.archive
        self._end = room.max_bytes + (room.max_files + 1) * 4096
        self._last = b""

    def _check(self, place: int) -> None:
        if place > self._end:
            raise InputError(
                f"{self._archive}: there is more in it than {self._end / 1e6:,.1f} MB, so it "
                "cannot be extracted; remove it and take it from another source."
            )

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER_BYTES:
            raise tarfile.ReadError("a header of it is too large")
        self._check(self.tell() + size)
        self._last = self._file.read(size)
        return self._last

    def check_end(self) -> None:
        """Raise ReadError unless the last header read was the empty one that ends a tar.

        A broken header ends tarfile's list in silence. The little that may follow is read too: it
        lets gz, bz2 and xz compare their own checksums.
        """
        if self._last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it breaks off")
        if len(self.read(_HEADER_BYTES)) == _HEADER_BYTES:
            raise tarfile.ReadError("it goes on behind its end")

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET:
            self._check(place)
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


def _unpack_tar(archive: Path, magic: bytes, room: _Room) -> None:
    opener = next((found for start, found in _OPENERS.items() if magic.startswith(start)), open)
    if opener is open:
        require_room(room.folder, archive.stat().st_size, f"what is in {archive.name}")
    with opener(archive, "rb") as stream:
        bounded = _Bounded(stream, room)
        file_like: Any = bounded
        with tarfile.open(fileobj=file_like, mode="r:") as tar:
            while (member := tar.next()) is not None:
                if member.isdir():
                    room.add_folder(member.name)
                elif member.islnk() or member.issym():
                    raise room.refuse(member.name, "is a link")
                elif not member.isreg() or member.issparse():
                    raise room.refuse(member.name, "is a device or another special file")
                elif (file := tar.extractfile(member)) is not None:
                    room.add_file(member.name, member.size, file)
        bounded.check_end()


def _unpack_zip(archive: Path, room: _Room) -> None:
    with zipfile.ZipFile(archive) as zipped:
        members = zipped.infolist()
        claimed = sum(member.file_size for member in members)
        if claimed <= room.max_bytes:
            require_room(room.folder, claimed, f"what is in {archive.name}")
        for member in members:
            name, mode = member.filename, member.external_attr >> 16
            if stat.S_ISLNK(mode):
                raise room.refuse(name, "is a link")
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise room.refuse(name, "is a device or another special file")
            if member.flag_bits & 1:
                raise room.refuse(name, "is encrypted")
            if member.is_dir():
                room.add_folder(name)
            else:
                with zipped.open(member) as file:
                    room.add_file(name, member.file_size, file)
