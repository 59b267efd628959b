"""In which order an epoch takes the pairs of a set: each once, drawn from seed and epoch alone."""

from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from trackssl.config import Data
from trackssl.randomness import generator

Numbers = NDArray[np.int32]


class Order:
    """The orders of N pairs that lie in rows (N,) of shards (N,); about 4 bytes a pair and order.

    With shuffle `exact` each is a permutation of all pairs. With `block` the pairs are sorted by
    place and cut into blocks of `block_pairs`; the blocks are shuffled, and pairs are shuffled
    within windows of `mixed_blocks` blocks, so that a disk is read a window at a time.
    """

    def __init__(
        self, shard: NDArray[np.int32], row: NDArray[np.int32], seed: int, data: Data
    ) -> None:
        self.shard, self.row, self.seed, self.data = shard, row, seed, data
        self._window_pairs = data.block_pairs * data.mixed_blocks
        self.of_epoch = lru_cache(maxsize=2)(self._draw)  # a batch may lie in two epochs

    def __len__(self) -> int:
        return len(self.row)

    def take(self, start: int, count: int) -> Numbers:
        """Which pairs come at places `start` to `start + count - 1` of all epochs end to end."""
        parts = [np.empty(0, np.int32)]
        while count:
            epoch, offset = divmod(start, len(self))
            parts.append(self.of_epoch(epoch)[offset : offset + count])
            start, count = start + len(parts[-1]), count - len(parts[-1])
        return np.concatenate(parts)

    def window_end(self, place: int) -> int:
        """Where the window of blocks that holds this place of all epochs ends."""
        epoch, offset = divmod(place, len(self))
        size = self._window_pairs
        return epoch * len(self) + min(len(self), (offset // size + 1) * size)

    @cached_property
    def by_place(self) -> Numbers:
        """The pairs sorted by shard and row: their numbers ride along, for argsort is slower."""
        place = self.shard.astype(np.int64) * (int(self.row.max()) + 1) + self.row
        place <<= 32
        place |= np.arange(len(self))
        place.sort()
        return place.astype(np.uint32).astype(np.int32)

    def sorted_by_place(self, pairs: Numbers) -> Numbers:
        """Some pairs in the order of shard and row."""
        return pairs[np.lexsort((self.row[pairs], self.shard[pairs]))]

    def _draw(self, epoch: int) -> Numbers:
        draws = generator(self.seed, "shuffle", epoch)
        if self.data.shuffle == "exact":
            order = np.arange(len(self), dtype=np.int32)
            draws.shuffle(order)
            return order
        size = self.data.block_pairs
        starts = draws.permutation(-(-len(self) // size)) * size
        order = np.concatenate([self.by_place[start : start + size] for start in starts])
        for start in range(0, len(self), self._window_pairs):
            draws.shuffle(order[start : start + self._window_pairs])
        return order
