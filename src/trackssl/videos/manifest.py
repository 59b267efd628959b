"""The manifest: one row a video of a shard, also for those that could not be had."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from trackssl.errors import InputError
from trackssl.files import whole_file

SCHEMA = pa.schema(
    {
        "video": pa.string(),
        "status": pa.string(),
        "reason": pa.string(),
        "path": pa.string(),
        "source": pa.string(),
        "sha256": pa.string(),
        "bytes": pa.int64(),
        "width": pa.int32(),
        "height": pa.int32(),
        "fps": pa.float64(),
        "seconds": pa.float64(),
        "frames": pa.int64(),
    }
)


@dataclass(frozen=True)
class Row:
    """A video of the manifest: `width` and `height` in pixels as shown, `fps` frames a second.

    `reason` says why a failed video could not be had, or what is odd about one that is ok; a failed
    one has no path, hash or numbers. `source` is the address or the original path.
    """

    video: str
    status: Literal["ok", "failed"]
    reason: str
    path: str
    source: str
    sha256: str = ""
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    seconds: float | None = None
    frames: int | None = None


def write_manifest(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as parquet, whole or not at all; no rows are a table with the same columns."""
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
    with whole_file(path) as part:
        pq.write_table(table, part)


def read_manifest(path: Path) -> list[Row]:
    """Rows of a manifest. Raises InputError when it is absent or no manifest."""
    try:
        table = pq.read_table(path, columns=SCHEMA.names)
        return [Row(**row) for row in table.cast(SCHEMA).to_pylist()]
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"{path}: this is not a manifest of videos ({reason}); "
            "make it with `trackssl fetch-videos`."
        ) from None
