"""Pairs of patches in an Arrow IPC file: streamed out, memory-mapped in, readable by plain pandas.

import pyarrow as pa
pa.ipc.open_file("pairs.arrow").read_pandas()
"""

import bisect
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from trackssl.errors import InputError
from trackssl.files import whole_file

SCHEMA_VERSION = "2"
BATCH_ROWS = 1024  # what a reader touches to reach one row, and what a writer holds

Box = tuple[float, float, float, float]  # x, y, w, h in pixels of the resized frame

SCHEMA = pa.schema(
    [
        ("video", pa.string()),
        ("first_frame", pa.int32()),
        ("last_frame", pa.int32()),
        ("first_box", pa.list_(pa.float32(), 4)),
        ("last_box", pa.list_(pa.float32(), 4)),
        ("points", pa.int32()),
        ("moving_points", pa.int32()),
        ("track_score", pa.float32()),
        ("points_kept", pa.float32()),
        ("first_jpeg", pa.large_binary()),
        ("last_jpeg", pa.large_binary()),
    ]
)


@dataclass(frozen=True)
class Pair:
    """Two patches joined by a track: one row of a shard. Frames count from 0, as decoded."""

    video: str
    first_frame: int
    last_frame: int
    first_box: Box
    last_box: Box
    points: int  # interest points of the first frame
    moving_points: int  # those in the first box that move
    track_score: float  # lowest peak to sidelobe ratio of the filter's response
    points_kept: float | None  # share of the followed points that end in the last box, 0..1
    first_jpeg: bytes
    last_jpeg: bytes


def write_pairs(
    path: Path, pairs: Iterable[Pair], mining: Mapping[str, Any], videos: Mapping[str, str]
) -> int:
    """Write pairs in their order and return their number; holds one batch of them at a time.

    `mining` are the settings they were mined with, `videos` maps each id to its file's SHA-256;
    both are kept in the file's metadata.
    """
    metadata = {
        "trackssl.schema_version": SCHEMA_VERSION,
        "trackssl.mining": json.dumps(dict(mining), sort_keys=True),
        "trackssl.videos": json.dumps(dict(videos), sort_keys=True),
    }
    schema = SCHEMA.with_metadata(metadata)
    rows, count = iter(pairs), 0
    with whole_file(path) as part, pa.ipc.new_file(str(part), schema) as file:
        while batch := [asdict(pair) for pair in islice(rows, BATCH_ROWS)]:
            file.write_batch(pa.RecordBatch.from_pylist(batch, schema))
            count += len(batch)
    return count


class PairShard:
    """A file of pairs, memory-mapped: opening is quick, and a row costs what its bytes cost.

    May be pickled, as data loaders do with their workers; the copy maps the file anew.
    Raises InputError for a file that is cut short, no Arrow file or of another schema version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            self.batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file of pairs; check the path.") from None
        except (OSError, pa.ArrowException):
            raise InputError(
                f"{path}: this is not a whole Arrow file of pairs (cut short, or something else); "
                "remove it and mine it again."
            ) from None
        notes = {k.decode(): v.decode() for k, v in (reader.schema.metadata or {}).items()}
        found = notes.get("trackssl.schema_version", "none")
        if found != SCHEMA_VERSION or not reader.schema.equals(SCHEMA):
            raise InputError(
                f"{path}: its schema version is {found}, this program reads {SCHEMA_VERSION}; "
                "mine it again with this version."
            )
        self.mining: dict[str, Any] = json.loads(notes["trackssl.mining"])
        self.videos: dict[str, str] = json.loads(notes["trackssl.videos"])
        self._ends = list(accumulate(batch.num_rows for batch in self.batches))

    def __reduce__(self) -> tuple[type["PairShard"], tuple[Path]]:
        return PairShard, (self.path,)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Pair:
        batch, row = self._find(index)
        values = {name: batch.column(i)[row].as_py() for i, name in enumerate(SCHEMA.names)}
        for box in ("first_box", "last_box"):
            values[box] = tuple(values[box])
        return Pair(**values)

    def __iter__(self) -> Iterator[Pair]:
        return (self[index] for index in range(len(self)))

    def jpegs(self, index: int) -> tuple[bytes, bytes]:
        """The two patches of a pair as JPEG, without reading anything else."""
        batch, row = self._find(index)
        return batch["first_jpeg"][row].as_py(), batch["last_jpeg"][row].as_py()

    def _find(self, index: int) -> tuple[pa.RecordBatch, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path} holds {len(self)} pairs, there is no number {index}")
        number = bisect.bisect_right(self._ends, index)
        start = self._ends[number - 1] if number else 0
        return self.batches[number], index - start
