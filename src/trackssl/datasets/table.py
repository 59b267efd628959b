"""The one table of what can be downloaded: addresses, sizes, checksums and licences.

`workflow/datasets.csv` is the same file. What no source states, such as a checksum, stays empty.
"""

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from trackssl.datasets.checksums import Checksum
from trackssl.errors import InputError

TABLE = Path(__file__).with_name("datasets.csv")
COLUMNS = (
    "name", "version", "file", "address", "mirror", "bytes", "checksum_kind", "checksum",
    "licence", "note",
)  # fmt: skip
_DIGITS: dict[str, int] = {"MD5": 32, "SHA-1": 40, "SHA-256": 64}


@dataclass(frozen=True)
class Entry:
    """A file that can be downloaded from `addresses`, the first being its home."""

    name: str
    version: str
    file: str
    addresses: tuple[str, ...]
    size: int | None = None
    kind: Checksum = "SHA-256"
    checksum: str | None = None
    licence: str = ""
    note: str = ""

    def at(self, folder: str) -> Self:
        """The same file from the folder of this address alone."""
        return replace(self, addresses=(f"{folder.rstrip('/')}/{self.file}",))


def read_table(path: Path | None = None) -> list[Entry]:
    """The rows of the table, in its order. Raises InputError that names the line that is wrong."""
    path = path or TABLE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table of data sets ({error}).") from None
    return [_entry(row, f"{path}, line {number}") for number, row in enumerate(rows, 2)]


def _entry(row: dict[str, str], where: str) -> Entry:
    if tuple(row) != COLUMNS or None in row.values():
        raise InputError(f"{where}: the columns must be {', '.join(COLUMNS)}; correct the table.")
    kind, checksum, size = row["checksum_kind"], row["checksum"], row["bytes"]
    digits = _DIGITS.get(kind, 0)
    if (kind or checksum) and not re.fullmatch(rf"[0-9a-f]{{{digits}}}", checksum or "?"):
        raise InputError(f"{where}: {kind!r} with {checksum!r} is no checksum; correct the table.")
    if size and not size.isdecimal():
        raise InputError(f"{where}: {size!r} is no number of bytes; correct the table.")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", row["file"]):
        raise InputError(f"{where}: {row['file']!r} is no file's name; correct the table.")
    addresses = (row["address"], *row["mirror"].split())
    return Entry(
        name=row["name"],
        version=row["version"],
        file=row["file"],
        addresses=tuple(address for address in addresses if address),
        size=int(size) if size else None,
        kind=kind or "SHA-256",  # type: ignore[arg-type]
        checksum=checksum or None,
        licence=row["licence"],
        note=row["note"],
    )


def entries(name: str, version: str | None = None) -> list[Entry]:
    """The files of a data set, in the table's order. Raises InputError if there are none."""
    found = [e for e in read_table() if e.name == name and version in (None, e.version)]
    if not found:
        raise InputError(f"{TABLE}: there is no data set {name} {version or ''}; add its row.")
    return found
