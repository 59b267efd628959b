"""A sample of mined pairs, and their features by a network after and before its training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trackssl.errors import InputError
from trackssl.images import Image, decode_image
from trackssl.pairs.dataset import fit
from trackssl.pairs.listed import read_list
from trackssl.pairs.store import PairShard
from trackssl.pretraining.embed import BATCH_IMAGES, Encoder, Features


@dataclass(frozen=True)
class Patches:
    """N pairs; a patch is (S, S, 3) uint8 BGR, as the network sees it."""

    videos: NDArray[np.str_]  # (N,)
    first_frames: NDArray[np.int64]  # (N,)
    last_frames: NDArray[np.int64]  # (N,)
    held_out: NDArray[np.bool_]  # (N,) of a video that the training did not see
    first: Image  # (N, S, S, 3)
    last: Image  # (N, S, S, 3)

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def both(self) -> Image:
        """(2 N, S, S, 3): all first patches, then all last ones."""
        return np.concatenate([self.first, self.last])


def read_patches(trained: Path, held_out: Path | None, most: int, side: int) -> Patches:
    """The first `most` pairs of each list, which are a random sample: lists are ordered by a hash.

    Raises InputError for lists or shards that are not whole, and if no list has a pair.
    """
    lists = [(trained, False), *([(held_out, True)] if held_out else [])]
    rows = [row for path, is_held_out in lists for row in _rows(path, is_held_out, most)]
    if not rows:
        raise InputError(f"{trained}: the list holds no pairs to look at; mine more videos.")
    opened: dict[str, PairShard] = {}
    first = np.empty((len(rows), side, side, 3), np.uint8)
    last = np.empty_like(first)
    pairs = []
    for number, (shard, row, _) in enumerate(rows):
        held = opened.setdefault(shard, PairShard(Path(shard)))
        pair = held[row]
        for patches, jpeg in ((first, pair.first_jpeg), (last, pair.last_jpeg)):
            patches[number] = fit(decode_image(jpeg, f"{shard}, row {row}"), side)
        pairs.append((pair.video, pair.first_frame, pair.last_frame))
    videos, firsts, lasts = zip(*pairs, strict=True)
    return Patches(
        np.array(videos),
        np.array(firsts, np.int64),
        np.array(lasts, np.int64),
        np.array([is_held_out for _, _, is_held_out in rows]),
        first,
        last,
    )


def _rows(path: Path, held_out: bool, most: int) -> Iterator[tuple[str, int, bool]]:
    """Shard, row and kind of the first pairs of a list; a list of held-out ones may be empty."""
    if held_out and path.is_file() and not pq.read_metadata(path).num_rows:
        return
    names, shard, row, _ = read_list(path, most)
    for number, place in zip(shard.tolist(), row.tolist(), strict=True):
        yield names[number], place, held_out


def features_of(encoder: Encoder, crops: Image) -> Features:
    """Features (N, dim) of crops (N, S, S, 3), some at a time."""
    starts = range(0, len(crops), BATCH_IMAGES)
    return np.concatenate([encoder(crops[start : start + BATCH_IMAGES]) for start in starts])


def spread_over_videos(videos: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
    """All rows (N,) in an order that takes one of each video, then the second of each, and so on.

    The given order decides which of a video is its first one, and in which order videos come.
    """
    seen: dict[str, int] = {}
    turn = np.empty(len(videos), np.int64)
    for row, video in enumerate(map(str, videos)):
        turn[row] = seen[video] = seen.get(video, -1) + 1
    return np.argsort(turn, kind="stable")
