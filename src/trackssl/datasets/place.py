"""Files in their places: put there by hand, by an earlier run, or downloaded now."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trackssl.datasets.checksums import check_file, say_unchecked
from trackssl.datasets.download import download
from trackssl.datasets.table import Entry
from trackssl.errors import InputError
from trackssl.files import Progress, file_sha256, write_text

ADDRESSES = ("http://", "https://")


def obtain(entry: Entry, path: Path, room_bytes: int = 0, copies: int = 1) -> str:
    """Have a file of the table at `path`, and return its SHA-256.

    A file that lies there is compared and taken; else it is downloaded, with `<path>.sha256` beside
    it where no checksum is known. The disk must hold `copies` of it, 2 where it is unpacked, and
    `room_bytes` besides. Raises InputError.
    """
    if path.exists():
        found = check_file(path, entry.checksum, entry.kind)
        if not _mark(path).exists():
            print(f"{path}: is there and taken, not fetched", file=sys.stderr)
        return found if entry.kind == "SHA-256" else file_sha256(path)
    if not entry.addresses:
        raise InputError(
            f"{path}: no address of this file is known; put it there yourself ({entry.note})."
        )
    try:
        found = download(
            entry.addresses,
            path,
            entry.checksum,
            entry.kind,
            size=entry.size,
            room_bytes=room_bytes,
            copies=copies,
        )
    except InputError as error:
        note = f" The table's note: {entry.note}." if "dead" in entry.note else ""
        raise InputError(f"{error}{note}") from None
    sha256 = found if entry.kind == "SHA-256" else file_sha256(path)
    if entry.checksum is None:
        say_unchecked(path, sha256)
        write_text(path.with_name(f"{path.name}.sha256"), f"{sha256}  {path.name}\n")
    _mark(path).touch()
    return sha256


def discard(path: Path) -> None:
    """Remove a file that is not needed any more if `obtain` downloaded it; yours stays."""
    if _mark(path).exists():
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.sha256").unlink(missing_ok=True)
        _mark(path).unlink()


def _mark(path: Path) -> Path:
    """A file beside another one that says that `obtain` downloaded it."""
    return path.with_name(f".{path.name}.fetched")


@contextmanager
def local_file(source: str, sha256: str | None, progress: Path) -> Iterator[Path]:
    """Where the file lies that a path or an http(s) address names, its checksum compared.

    A download is kept in the folder `progress`, from which the next call goes on, until the block
    ends well. Raises InputError for an absent file, a wrong checksum (a download is removed), or an
    address that has no checksum or does not answer.
    """
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise InputError(
            f"{source}: the checksum '{sha256}' is no SHA-256; give 64 hexadecimal digits in lower "
            "case, as sha256sum prints them."
        )
    if not source.startswith(ADDRESSES):
        path = Path(source)
        if not path.is_file():
            raise InputError(f"{source}: there is no such file; check the path.")
        if sha256 is not None and (found := file_sha256(path)) != sha256:
            raise InputError(
                f"{source}: the file's SHA-256 is {found}, not {sha256}; it is another file or was "
                "damaged, get it again or correct the checksum."
            )
        yield path
        return
    if sha256 is None:
        raise InputError(f"{source}: what is downloaded needs a checksum; give its SHA-256.")
    kept = Progress(progress, {"sha256": sha256}, "download")  # another mirror may continue it
    path = kept / "file"
    try:
        if path.exists() and file_sha256(path) != sha256:
            path.unlink()
        download(source, path, sha256, "SHA-256")
        yield path
    except InputError:
        if not any(kept.folder.glob("file*")):
            kept.finish()
        raise
    kept.finish()
