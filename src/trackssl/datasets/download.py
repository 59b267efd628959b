"""Downloads in pieces, over a network that fails: they go on where they stopped, and are checked.

A large file comes in pieces over several connections where the server answers ranges and says which
file it is (an ETag or a date); else over one. Where it cannot answer ranges, or says nothing about
the file while no checksum is known either, a broken download begins anew.
"""

from collections.abc import Sequence
from pathlib import Path

from trackssl.datasets.checksums import Checksum, check_file
from trackssl.datasets.parts import Part, require_room
from trackssl.datasets.pieces import Fetch
from trackssl.datasets.transport import FailureError, Limits, PassingError, check_address
from trackssl.errors import InputError


def download(
    addresses: str | Sequence[str],
    path: Path,
    checksum: str | None,
    kind: Checksum = "SHA-256",
    *,
    size: int | None = None,
    room_bytes: int = 0,
    copies: int = 1,
    limits: Limits | None = None,
) -> str:
    """Fetch a file to `path` from the first of its addresses that has it.

    What is broken off stays as `<path>.part`, from which the next call goes on. Returns the
    checksum, which is compared with nothing where none is given. `size` in bytes, if it is known;
    the disk must hold `copies` of it, 2 where it is unpacked, and `room_bytes` besides. Raises
    InputError that names every address and what it answered, or says that the disk is full.
    """
    addresses = [addresses] if isinstance(addresses, str) else list(addresses)
    for address in addresses:
        check_address(address)
    failures: dict[str, FailureError] = {}
    with Part(path) as part:
        if path.exists():  # another process has made it while this one waited
            part.remove()
            return check_file(path, checksum, kind)
        try:
            if size is not None:
                require_room(path.parent, size * copies - sum(part.had) + room_bytes, path.name)
            for address in addresses:
                known = limits or Limits()
                fetch = Fetch(address, part, checksum, kind, size, room_bytes, copies, known)
                try:
                    return fetch.run()
                except FailureError as failure:
                    failures[address] = failure
            raise InputError(_sentence(failures, path))
        except BaseException:
            if not sum(part.had):  # nothing of it could be continued
                part.remove()
            raise


def _sentence(failures: dict[str, FailureError], path: Path) -> str:
    again = any(isinstance(failure, PassingError) for failure in failures.values())
    remedy = "try again, it will go on" if again else "check the address"
    remedy += f", or put the file at {path} yourself"
    said = [
        f"{address}: cannot be fetched ({failure})"
        if isinstance(failure, PassingError)
        else f"{address}: {failure}"
        for address, failure in failures.items()
    ]
    if len(said) == 1:
        return f"{said[0]}; {remedy}."
    return f"{path.name}: no address has it ({'; '.join(said)}); {remedy}."
