"""Downloads that go on where they stopped and end with a checksum."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from trackssl.errors import InputError

_CHUNK_BYTES = 1 << 20


def download(address: str, path: Path, md5: str, timeout_seconds: float = 60) -> None:
    """Fetch a file to `path`, or leave `<path>.part` to be continued by the next call.

    Raises InputError for an address that does not answer or a file with another MD5 checksum.
    """
    if not address.startswith(("http://", "https://")):
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
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != md5:
        part.unlink()
        raise InputError(
            f"{address}: the file's MD5 is {found}, not {md5}; it was removed, fetch it again or "
            "name another source."
        )
    part.replace(path)
