"""Downloads that go on where they stopped and end with a checksum."""

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from trackssl.errors import InputError
from trackssl.files import Progress, file_sha256

Checksum = Literal["MD5", "SHA-256"]

ADDRESSES = ("http://", "https://")
_HASHLIB = {"MD5": "md5", "SHA-256": "sha256"}
_CHUNK_BYTES = 1 << 20


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
        if not path.exists() or file_sha256(path) != sha256:
            download(source, path, sha256, "SHA-256")
        yield path
    except InputError:
        if not any(kept.folder.glob("file*")):
            kept.finish()
        raise
    kept.finish()


def download(
    address: str, path: Path, checksum: str | None, kind: Checksum, timeout_seconds: float = 60
) -> str:
    """Fetch a file to `path`, or leave `<path>.part` to be continued by the next call.

    Returns its checksum, which is compared with nothing where none is given. Raises InputError for
    an address that does not answer or a file with another checksum.
    """
    if not address.startswith(ADDRESSES):
        raise InputError(f"{address}: is no http(s) address; write one.")
    part = path.with_name(f"{path.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:
            # A server that knows no ranges answers 200 with the whole file.
            with part.open(
                "ab" if answer.status == http.HTTPStatus.PARTIAL_CONTENT else "wb"
            ) as file:
                while chunk := answer.read(_CHUNK_BYTES):
                    file.write(chunk)
            if answer.length:
                raise http.client.IncompleteRead(b"", answer.length)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # the part is whole
            raise InputError(
                f"{address}: the server answers {error.code} {error.reason}; check the address."
            ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise InputError(
            f"{address}: cannot be fetched ({error}); try again, it will go on."
        ) from None
    with part.open("rb") as file:
        found = hashlib.file_digest(file, _HASHLIB[kind]).hexdigest()
    if checksum not in (None, found):
        part.unlink()
        raise InputError(
            f"{address}: the file's {kind} is {found}, not {checksum}; it was removed, fetch it "
            "again or name another source."
        )
    part.replace(path)
    return found
