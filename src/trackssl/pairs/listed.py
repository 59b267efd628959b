"""Reading the list that `sets.py` wrote: of a set, which row of which shard each pair is."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trackssl.errors import InputError
from trackssl.pairs.order import Numbers

_TEXT = pa.dictionary(pa.int32(), pa.string())
LIST_SCHEMA = pa.schema([("shard", _TEXT), ("row", pa.int32()), ("video", _TEXT)])


def read_list(path: Path, size: int) -> tuple[list[str], Numbers, Numbers, Numbers]:
    """Shards of a list, and of its first N <= `size` rows number of the shard, row, and video.

    Reads no more of the list than that. Raises InputError.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such list of pairs; run `trackssl merge-pairs` first."
        )
    shards, videos = _Numbering(), _Numbering()
    parts = []
    try:
        file = pq.ParquetFile(path, read_dictionary=["shard", "video"])
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, LIST_SCHEMA.names).select(LIST_SCHEMA.names)
            table = table.slice(0, size).cast(LIST_SCHEMA)
            size -= len(table)
            row = table["row"].to_numpy()
            parts.append((shards.of(table["shard"]), row, videos.of(table["video"])))
            if size == 0:
                break
    except (OSError, KeyError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: this is not a whole list of pairs ({reason}); merge the pairs again."
        ) from None
    if not sum(len(row) for _, row, _ in parts):
        raise InputError(f"{path}: the list holds no pairs; mine more videos or loosen `mining`.")
    shard, row, video = map(np.concatenate, zip(*parts, strict=True))
    return list(shards.numbers), shard, row, video


class _Numbering:
    """Numbers from 0 for texts, as they come to be known."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self._last: pa.Array | None = None
        self._codes = np.empty(0, np.int32)

    def of(self, column: pa.ChunkedArray) -> Numbers:
        """The number of each row (N,) of a dictionary column."""
        parts = [np.empty(0, np.int32)]
        for chunk in column.chunks:
            if self._last is None or not chunk.dictionary.equals(self._last):
                self._last, known = chunk.dictionary, self.numbers
                codes = [known.setdefault(text, len(known)) for text in self._last.to_pylist()]
                self._codes = np.array(codes, np.int32)
            parts.append(self._codes[chunk.indices.to_numpy()])
        return np.concatenate(parts)
