"""The order of all pairs, by a hash: its first N rows are a training set, and sets are nested."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trackssl.errors import InputError
from trackssl.files import whole_file
from trackssl.pairs.store import PairShard
from trackssl.randomness import derive_seed

WRITTEN_ROWS = 65_536  # a row group


def numbered_shards(patterns: Sequence[str], count: int) -> list[str]:
    """Paths of shards 0 to count - 1, of one pattern that holds {shard}. Raises InputError."""
    if len(patterns) != 1 or "{shard}" not in patterns[0]:
        raise InputError(
            "merge-pairs: --numbered needs exactly one path that holds {shard}, such as "
            "'results/pairs/{shard}.arrow'; or leave it out and name the files."
        )
    return [patterns[0].replace("{shard}", f"{shard:04d}") for shard in range(count)]


def merge_pairs(
    shards: Sequence[Path],
    seed: int,
    out: Path,
    held_out_share: float = 0,
    held_out: bool = False,
) -> tuple[int, int]:
    """Write `shard, row, video, first_frame` of all pairs as parquet -> pairs, videos.

    Ordered by a hash of (seed, video, first frame), so neither the number nor the order of the
    shards matters, and a lost video moves no other pair. Needs about 60 bytes of memory a pair.
    Of `held_out_share` of the videos the pairs are left out, or with `held_out` taken alone, in
    which case there may be none.

    Raises InputError for a shard that cannot be read, two pairs of one video, first frame and
    window, and when there is no pair at all.
    """
    keys, numbers, rows, videos, firsts, windows = [], [], [], [], [], []
    names: dict[str, int] = {}
    for index, path in enumerate(shards):
        shard, start = PairShard(path), 0
        for batch in shard.batches:
            frames = batch.column("first_frame").to_numpy()
            ids = batch.column("video").to_pylist()
            pairs = zip(ids, frames.tolist(), strict=True)
            keys.append(np.array([derive_seed(seed, "set", *pair) for pair in pairs], np.int64))
            videos.append(np.array([names.setdefault(v, len(names)) for v in ids], np.int32))
            firsts.append(frames.copy())  # not a view, which would keep the shard mapped
            boxes = batch.column("first_box").flatten().to_numpy().reshape(-1, 4)
            windows.append(boxes[:, :2].copy())
            rows.append(np.arange(start, start + batch.num_rows, dtype=np.int32))
            numbers.append(np.full(batch.num_rows, index, np.int32))
            start += batch.num_rows
    if not sum(map(len, keys)):
        raise InputError(
            f"no pairs to merge: the {len(shards)} shards hold none; the counts beside them say "
            "why frames and tracks were rejected."
        )
    video, first = np.concatenate(videos), np.concatenate(firsts)
    x, y = np.concatenate(windows).T
    by_name = sorted(names)
    rank = np.empty(len(names), np.int32)  # ties of the hash go by name, not by who came first
    rank[[names[name] for name in by_name]] = np.arange(len(names), dtype=np.int32)
    video = rank[video]
    order = np.lexsort((y, x, first, video, np.concatenate(keys)))
    video, first, x, y = video[order], first[order], x[order], y[order]
    row, number = np.concatenate(rows)[order], np.concatenate(numbers)[order]
    columns = (video, first, x, y)
    same = np.flatnonzero(np.all([column[1:] == column[:-1] for column in columns], axis=0))
    if len(same):
        a, b = shards[number[same[0]]], shards[number[same[0] + 1]]
        raise InputError(
            f"{b}: video {by_name[video[same[0]]]} has two pairs that begin at frame "
            f"{first[same[0]]}, here and in {a}; remove one of the shards."
        )
    if held_out_share:
        kept_out = [by_name.index(name) for name in held_out_videos(names, held_out_share, seed)]
        taken = np.isin(video, kept_out) == held_out
        row, number, video, first = row[taken], number[taken], video[taken], first[taken]
    table = pa.table(
        {
            "shard": pa.DictionaryArray.from_arrays(number, [str(path) for path in shards]),
            "row": row,
            "video": pa.DictionaryArray.from_arrays(video, by_name),
            "first_frame": first,
        }
    )
    schema = pa.schema([(field.name, field.type) for field in table.schema])
    schema = schema.set(0, pa.field("shard", pa.string())).set(2, pa.field("video", pa.string()))
    with whole_file(out) as part, pq.ParquetWriter(part, schema, store_schema=False) as writer:
        for start in range(0, len(table), WRITTEN_ROWS):
            # As plain text: a dictionary array would put all videos' names into each row group.
            rows_of_group = table.slice(start, WRITTEN_ROWS).cast(schema)
            writer.write_table(rows_of_group, row_group_size=WRITTEN_ROWS)
    return len(row), len(np.unique(video))


def held_out_videos(names: Collection[str], share: float, seed: int) -> set[str]:
    """Of the videos so large a share, rounded down: those that come first by a hash of the name."""
    by_hash = sorted(names, key=lambda name: (derive_seed(seed, "held out", name), name))
    return set(by_hash[: int(share * len(by_hash))])
