"""The two rules of mining, and both in one pass: videos -> windows -> pairs, with equal results."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trackssl.config import Mining
from trackssl.errors import InputError
from trackssl.files import Progress, whole_file
from trackssl.mining import miner
from trackssl.mining.miner import Window
from trackssl.mining.shards import Video, each_video, read_parquet
from trackssl.pairs.store import PairShard, write_pairs
from trackssl.videos.decode import Frame, read_frames

WINDOW_COLUMNS = [field.name for field in fields(Window)]
PATCHES = pa.schema(
    [
        ("video", pa.string()),
        ("path", pa.string()),
        *((name, pa.int32()) for name in WINDOW_COLUMNS if name != "followed"),
        ("followed", pa.list_(pa.list_(pa.float32(), 2))),
    ]
)


def mine_patches(
    videos: Sequence[Video], settings: Mining, out: Path, progress: Progress
) -> dict[str, Any]:
    """Write the windows of all videos as parquet (docs/design.md) -> counts by reason."""

    def work(video: Video, part: Path, counts: Counter[str]) -> None:
        windows = miner.find_windows(_frames(video, settings), settings, counts)
        rows = [{"video": video.name, "path": str(video.path), **asdict(w)} for w in windows]
        pq.write_table(pa.Table.from_pylist(rows, PATCHES), part)

    parts, summary = each_video(videos, progress, work, miner.FRAME_COUNTS)
    with whole_file(out) as file, pq.ParquetWriter(file, PATCHES) as writer:
        for _, part in parts:
            writer.write_table(pq.read_table(part))
    return summary


def track_patches(
    patches: Path, videos: Sequence[Video], settings: Mining, out: Path, progress: Progress
) -> dict[str, Any]:
    """Track the windows of a parquet file and write the pairs -> counts by reason.

    Raises InputError for windows of another size, or of a video that is not among `videos`.
    """
    windows = read_windows(patches)
    known = {video.name for video in videos}
    for name, found in windows.items():
        if name not in known:
            raise InputError(f"{patches}: video {name} is not in the manifest; mine patches again.")
        if any((w.w, w.h) != (settings.patch_px, settings.patch_px) for w in found):
            raise InputError(
                f"{patches}: its windows are {found[0].w} px wide, but patch_px is "
                f"{settings.patch_px}; mine the patches again with these settings."
            )

    def work(video: Video, part: Path, counts: Counter[str]) -> None:
        rows = windows[video.name]
        stream = _frames(video, settings)
        write_pairs(part, miner.track_windows(stream, rows, video.name, settings, counts), {}, {})

    chosen = [video for video in videos if video.name in windows]
    details = {name: [asdict(w) for w in found] for name, found in windows.items()}
    parts, summary = each_video(chosen, progress, work, miner.TRACK_COUNTS, details)
    _join(parts, settings, out)
    return summary


def mine(
    videos: Sequence[Video], settings: Mining, out: Path, progress: Progress
) -> dict[str, Any]:
    """Both in one pass over each video -> counts by reason.

    Raises InputError when not a single video can be read.
    """

    def work(video: Video, part: Path, counts: Counter[str]) -> None:
        stream = _frames(video, settings)
        write_pairs(part, miner.mine_pairs(stream, video.name, settings, counts), {}, {})

    parts, summary = each_video(videos, progress, work, (*miner.FRAME_COUNTS, *miner.TRACK_COUNTS))
    if not parts:
        raise InputError(f"{videos[0].path}: no video given could be read; check the files.")
    _join(parts, settings, out)
    return summary


def read_windows(path: Path) -> dict[str, list[Window]]:
    """The windows of each video from a parquet file. Raises InputError when it is another table."""
    windows: dict[str, list[Window]] = {}
    for row in read_parquet(path, ("video", *WINDOW_COLUMNS)):
        row["followed"] = tuple(map(tuple, row["followed"]))
        windows.setdefault(row.pop("video"), []).append(Window(**row))
    return windows


def _frames(video: Video, settings: Mining) -> Iterator[Frame]:
    frames = read_frames(video.path, settings.frame_height_px, settings.frame_width_px)
    return islice(frames, video.first, video.end)


def _join(parts: Sequence[tuple[Video, Path]], settings: Mining, out: Path) -> None:
    """One file of all videos' pairs; its metadata name the videos that gave any."""
    shards = [(video, PairShard(part)) for video, part in parts]
    videos = {video.name: video.sha256 for video, shard in shards if len(shard)}
    pairs = (pair for _, shard in shards for pair in shard)
    # By way of JSON, so that 200 and 200.0 for a float field are written alike.
    write_pairs(out, pairs, json.loads(settings.model_dump_json()), videos)
