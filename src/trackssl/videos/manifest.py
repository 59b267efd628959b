"""The manifest: one row a video of a shard, also for those that could not be had."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from trackssl.errors import InputError
from trackssl.files import whole_file
from trackssl.videos.sources import REASONS

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
        "container": pa.string(),
        "codec": pa.string(),
        "attempts": pa.int32(),
        "when": pa.string(),
        "start": pa.float64(),
        "end": pa.float64(),
        "query": pa.string(),
    }
)
_FIRST_COLUMNS = SCHEMA.names[:12]  # those of the first version
# What depends on the network and the clock: two fetchings are compared without it.
PASSING_COLUMNS = ("attempts", "when")


@dataclass(frozen=True)
class Row:
    """A video of the manifest: `width` and `height` in pixels as shown, `fps` frames a second.

    `reason`, one of `REASONS`, says why a failed video could not be had, or what is odd about one
    that is ok; a failed one has no path, hash or numbers. `source` is the address or the original
    path. `container` and `codec` are FFmpeg's names. `attempts` counts the tries of the fetching
    that succeeded or gave up, 0 for what needs none; `when` is the time when the file was put in
    place or given up (UTC, ISO 8601, seconds). Only the part from `start` to `end` (seconds of the
    file) is wanted, all where they are empty; `query` is the list's label.
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
    container: str = ""
    codec: str = ""
    attempts: int = 0
    when: str = ""
    start: float | None = None
    end: float | None = None
    query: str = ""


def write_manifest(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as parquet, whole or not at all; no rows are a table with the same columns.

    Raises ValueError for a reason that is not one of `REASONS`.
    """
    for row in rows:
        if row.reason not in REASONS:
            raise ValueError(f"{row.video}: {row.reason!r} is not among the reasons of a manifest")
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
    with whole_file(path) as part:
        pq.write_table(table, part)


def read_manifest(path: Path) -> list[Row]:
    """Rows of a manifest; columns that came later have their defaults where a table lacks them.

    Raises InputError when it is absent or no manifest.
    """
    try:
        table = pq.read_table(path)
        names = [name for name in SCHEMA.names if name in table.column_names]
        if missing := [name for name in _FIRST_COLUMNS if name not in names]:
            raise pa.ArrowInvalid(f"without the column {missing[0]}")
        schema = pa.schema([SCHEMA.field(name) for name in names])
        return [Row(**row) for row in table.select(names).cast(schema).to_pylist()]
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"{path}: this is not a manifest of videos ({reason}); "
            "make it with `trackssl fetch-videos`."
        ) from None
