"""What the trainer reads: batches of decoded pairs, each a pure function of seed and number.

Every pair comes exactly once an epoch, in an order drawn anew for each. Epochs are joined end to
end, so all batches are full and nothing is dropped. Threads decode ahead and change nothing.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from trackssl.errors import InputError
from trackssl.images import Image, decode_image
from trackssl.pairs.store import PairShard
from trackssl.randomness import generator


class Batch(NamedTuple):
    """B pairs: first and last patches (B, 3, H, W) uint8 BGR, numbers of the videos (B,) int64."""

    first: Tensor
    last: Tensor
    videos: Tensor


class PairDataset:
    """The set of the first `size` pairs of a list (all of them if there are fewer, see `len`).

    `list_path` is a `sets.parquet`; the shards that it names are opened when first needed. Patches
    are resized to `input_px` and mirrored each by a coin of its own if `mirror`.
    Raises InputError for a list that is absent, empty or not such a table.
    """

    def __init__(
        self,
        list_path: Path,
        size: int,
        batch_pairs: int,
        input_px: int,
        seed: int,
        mirror: bool = True,
    ) -> None:
        table = _read_list(list_path).slice(0, size)
        self.batch_pairs, self.input_px, self.seed, self.mirror = (
            batch_pairs,
            input_px,
            seed,
            mirror,
        )
        shard = table["shard"].combine_chunks().dictionary_encode()
        self._shard_paths: list[str] = shard.dictionary.to_pylist()
        self._shard = shard.indices.to_numpy()  # (N,)
        self._row = table["row"].to_numpy()  # (N,)
        self._video = table["video"].combine_chunks().dictionary_encode().indices.to_numpy()  # (N,)
        self._opened: dict[str, PairShard] = {}
        self._order = lru_cache(maxsize=2)(self._draw_order)  # a batch may lie in two epochs

    def __len__(self) -> int:
        return len(self._row)

    def indices(self, iteration: int) -> NDArray[np.int64]:
        """Which pairs make up the batch of an iteration, (B,), as numbers of the list's rows."""
        start = iteration * self.batch_pairs
        positions = range(start, start + self.batch_pairs)
        return np.array([self._order(p // len(self))[p % len(self)] for p in positions])

    def batch(self, iteration: int) -> Batch:
        """The batch of an iteration. Raises InputError naming the shard and row that are bad."""
        indices = self.indices(iteration)
        coins = generator(self.seed, "mirror", iteration).random((len(indices), 2)) < 0.5
        side = self.input_px
        patches = np.empty((2, len(indices), side, side, 3), np.uint8)
        for i, index in enumerate(indices):
            for j, image in enumerate(self._decode(index)):
                mirrored = self.mirror and coins[i, j]
                patches[j, i] = image[:, ::-1] if mirrored else image
        first, last = torch.from_numpy(patches).permute(0, 1, 4, 2, 3)  # channels last in memory
        return Batch(first, last, torch.from_numpy(self._video[indices].astype(np.int64)))

    def batches(self, start: int, stop: int, threads: int = 2) -> Iterator[Batch]:
        """The batches of iterations `start` to `stop` - 1, decoded ahead in threads, in order."""
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            for iteration in range(start, stop):
                waiting.append(pool.submit(self.batch, iteration))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _draw_order(self, epoch: int) -> NDArray[np.int64]:
        return generator(self.seed, "shuffle", epoch).permutation(len(self))

    def _decode(self, index: int) -> Iterator[Image]:
        """First and last patch of a row of the list."""
        path, row = self._shard_paths[self._shard[index]], int(self._row[index])
        shard = self._opened.get(path)
        if shard is None:
            shard = self._opened.setdefault(path, PairShard(Path(path)))
        try:
            jpegs = shard.jpegs(row)
        except IndexError:
            raise InputError(
                f"{path}: it holds {len(shard)} pairs, but the list names row {row}; merge the "
                "pairs again."
            ) from None
        for jpeg in jpegs:
            yield fit(decode_image(jpeg, f"{path}, row {row}"), self.input_px)


def fit(image: Image, side: int) -> Image:
    """An image resized to a square of `side` pixels, unless it is one."""
    if image.shape[:2] == (side, side):
        return image
    mode = cv2.INTER_AREA if image.shape[0] > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=mode), np.uint8)


def _read_list(path: Path) -> pa.Table:
    """The columns shard, row and video of a pair list. Raises InputError."""
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such list of pairs; run `trackssl merge-pairs` first."
        )
    try:
        table = pq.read_table(path, columns=["shard", "row", "video"])
        table = table.select(["shard", "row", "video"])
    except (OSError, KeyError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: this is not a whole list of pairs ({reason}); merge the pairs again."
        ) from None
    if table.num_rows == 0:
        raise InputError(f"{path}: the list holds no pairs; mine more videos or loosen `mining`.")
    return table
