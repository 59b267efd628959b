"""Checksums of files that come from elsewhere."""

import hashlib
import sys
from pathlib import Path
from typing import Literal

from trackssl.errors import InputError

Checksum = Literal["MD5", "SHA-1", "SHA-256"]

HASHLIB: dict[Checksum, str] = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256"}


def check_file(path: Path, checksum: str | None, kind: Checksum) -> str:
    """Checksum of a file that lies there. Raises InputError if it is another file."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, HASHLIB[kind]).hexdigest()
    if checksum not in (None, found):
        raise InputError(
            f"{path}: the file's {kind} is {found}, not {checksum}; it is another file or was "
            "damaged, put the right one there or remove it."
        )
    return found


def say_unchecked(path: Path, sha256: str) -> None:
    """Tell that a file could be compared with nothing."""
    print(f"{path}: no checksum of it is known; its SHA-256 is {sha256}.", file=sys.stderr)
