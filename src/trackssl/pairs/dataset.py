"""What the trainer reads: batches of decoded pairs, each a pure function of seed and number.

Every pair comes exactly once an epoch, in an order drawn anew for each. Epochs are joined end to
end, so all batches are full and nothing is dropped. A batch that lies in two epochs may hold a pair
twice; both are of one video, so neither is the other's negative. Threads decode ahead, each rank of
a training on several devices decodes its own part, and a set may be staged: all change nothing.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trackssl.config import Data
from trackssl.errors import InputError
from trackssl.images import Image, decode_image
from trackssl.pairs.augment import PAPER, Augmentation, Draws
from trackssl.pairs.listed import read_list
from trackssl.pairs.order import Numbers, Order
from trackssl.pairs.read_ahead import ReadAhead
from trackssl.pairs.staging import no_such_row, stage
from trackssl.pairs.store import PairShard

DEFAULTS = Data()
BATCHES_AHEAD = 2
CHUNK_PAIRS = 32  # at most so many of a batch are one thread's task
MAX_PATCH_PX = 4096


class Batch(NamedTuple):
    """B pairs, of which a rank holds b: in pinned memory where there is a GPU.

    First and last patches (b, 3, H, W) uint8 BGR, numbers of the videos of all pairs (B,) int64.
    """

    first: Tensor
    last: Tensor
    videos: Tensor


class _Part(NamedTuple):
    """What a rank decodes of a batch: its share of all pairs."""

    batch: Batch
    pairs: Numbers  # (B,) as numbers of the list's rows
    draws: Draws
    patches: NDArray[np.uint8]  # (2, b, H, W, 3), the memory of the batch
    share: range

    def chunks(self, size: int) -> Iterator[range]:
        return (self.share[start : start + size] for start in range(0, len(self.share), size))


class _Shard(PairShard):
    def jpegs(self, index: int) -> tuple[bytes, bytes]:
        """As a shard's, but other threads run on while the disk is waited for."""
        batch, row = self._find(index)
        for name in ("first_jpeg", "last_jpeg"):
            mapped = batch[name][row].as_buffer()
            np.frombuffer(mapped or b"", np.uint8).max(initial=0)  # numpy lets others run
        return super().jpegs(index)


class PairDataset:
    """The set of the first `size` pairs of a list (all of them if there are fewer, see `len`).

    `list_path` is a `sets.parquet`; the shards that it names are opened when first needed. Patches
    are resized to squares of `input_px`, as Caffe does whatever their shape, and augmented.
    Raises InputError for a list that is absent, not such a table, or shorter than a batch.
    """

    def __init__(
        self,
        list_path: Path,
        size: int,
        batch_pairs: int,
        input_px: int,
        seed: int,
        augmentation: Augmentation = PAPER,
        data: Data = DEFAULTS,
    ) -> None:
        self._shard_paths, shard, row, self._video = read_list(list_path, size)
        if len(row) < batch_pairs:
            raise InputError(
                f"{list_path}: the set holds {len(row)} pairs of it, fewer than a batch of "
                f"{batch_pairs}; add videos, lower pretraining.batch_pairs, or take a larger set."
            )
        self.batch_pairs, self.input_px, self.seed = batch_pairs, input_px, seed
        self.augmentation, self.data = augmentation, data
        self._order = Order(shard, row, seed, data)
        # Where pairs are read; messages name shards and rows of the list, which are in `_order`.
        self._files, self._rows = list(map(Path, self._shard_paths)), row
        self._staged = False
        self._opened: dict[int, _Shard] = {}

    def __len__(self) -> int:
        return len(self._order)

    def indices(self, iteration: int) -> NDArray[np.int64]:
        """Which pairs make up the batch of an iteration, (B,), as numbers of the list's rows."""
        return self._order.take(iteration * self.batch_pairs, self.batch_pairs).astype(np.int64)

    def batch(self, iteration: int, rank: int = 0, ranks: int = 1) -> Batch:
        """What a rank holds of the batch of an iteration: all of it, or its contiguous part.

        Parts are as of `numpy.array_split`; joined over the ranks they are the one rank's batch.
        Raises InputError naming the shard and row that are bad, or for more ranks than pairs.
        """
        self.stage()
        part = self._begin(iteration, rank, ranks)
        self._decode(part, part.share)
        return part.batch

    def batches(self, start: int, stop: int, rank: int = 0, ranks: int = 1) -> Iterator[Batch]:
        """The batches of iterations `start` to `stop` - 1, decoded ahead in threads, in order.

        Raises what `batch` does, as soon as it is that batch's turn.
        """
        self.stage()
        threads = self.data.decode_threads or _threads()
        waiting: deque[tuple[Batch, list[Future[None]]]] = deque()
        pool, reader = ThreadPoolExecutor(threads, "decode"), None
        if self.data.shuffle == "block":
            reader = self._read_ahead(start, stop, self._share(rank, ranks))
        try:
            for iteration in range(start, stop):
                part = self._begin(iteration, rank, ranks)
                size = min(CHUNK_PAIRS, -(-len(part.share) // threads))
                tasks = [pool.submit(self._decode, part, chunk) for chunk in part.chunks(size)]
                waiting.append((part.batch, tasks))
                if len(waiting) > BATCHES_AHEAD:
                    yield _finished(*waiting.popleft())
                if reader:
                    reader.reached((iteration + 1) * self.batch_pairs)
            while waiting:
                yield _finished(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)
            if reader:
                reader.close()

    def stage(self) -> None:
        """Copy the set to the folder `data.stage_to`, if one is given and that is yet to be done.

        `batch` and `batches` see to it themselves. Not to be awaited at a barrier, for it may take
        an hour: each process calls it. Raises InputError, see `staging.stage`.
        """
        if self.data.stage_to is None or self._staged:
            return
        by_place = self._order.by_place
        ends = np.cumsum(np.bincount(self._order.shard, minlength=len(self._files)))
        parts = np.split(self._order.row[by_place], ends[:-1])
        needed = [number for number, part in enumerate(parts) if len(part)]
        files = [self._files[number] for number in needed]
        staged = stage(files, [parts[number] for number in needed], self.data.stage_to)
        for number, path in zip(needed, staged, strict=True):
            self._files[number] = path
        self._rows = np.empty(len(self), np.int32)
        self._rows[by_place] = np.concatenate([np.arange(len(p), dtype=np.int32) for p in parts])
        self._staged = True

    def _begin(self, iteration: int, rank: int, ranks: int) -> _Part:
        """The memory of a rank's part of a batch, and what is to be decoded into it."""
        share = self._share(rank, ranks)
        pinned, side = torch.cuda.is_available(), self.input_px
        memory = torch.empty((2, len(share), side, side, 3), dtype=torch.uint8, pin_memory=pinned)
        first, last = memory.permute(0, 1, 4, 2, 3)  # channels last in memory
        pairs = self._order.take(iteration * self.batch_pairs, self.batch_pairs)
        videos = torch.from_numpy(self._video[pairs].astype(np.int64))
        batch = Batch(first, last, videos.pin_memory() if pinned else videos)
        draws = self.augmentation.draw(self.seed, iteration, self.batch_pairs)
        return _Part(batch, pairs, draws, memory.numpy(), share)

    def _decode(self, part: _Part, chunk: range) -> None:
        """Decode and augment some pairs of a batch into its memory."""
        resize = partial(fit, side=self.input_px)
        for i in chunk:
            for end, (jpeg, name) in enumerate(self._jpegs(int(part.pairs[i]))):
                patch = _decode_patch(jpeg, name)
                part.draws.augment(patch, i, end, resize, part.patches[end, i - part.share.start])

    def _share(self, rank: int, ranks: int) -> range:
        """Which pairs of each batch are a rank's. Raises InputError for more ranks than pairs."""
        if ranks > self.batch_pairs:
            raise InputError(
                f"A batch of {self.batch_pairs} pairs cannot be shared by {ranks} processes; "
                "raise pretraining.batch_pairs or train on fewer devices."
            )
        share, over = divmod(self.batch_pairs, ranks)
        low = rank * share + min(rank, over)
        return range(low, low + share + (rank < over))

    def _read_ahead(self, start: int, stop: int, mine: range) -> ReadAhead:
        size = self.batch_pairs
        return ReadAhead(
            self._order,
            lambda pair: deque(self._jpegs(pair)),
            start * size,
            stop * size,
            size,
            mine,
        )

    def _jpegs(self, pair: int) -> Iterator[tuple[bytes, str]]:
        """First and last patch of a row of the list as JPEG, and the name of where it is."""
        number, row = int(self._order.shard[pair]), int(self._rows[pair])
        shard = self._opened.get(number)
        if shard is None:
            shard = self._opened.setdefault(number, _Shard(self._files[number]))
        try:
            jpegs = shard.jpegs(row)
        except IndexError:
            raise no_such_row(shard, row) from None
        for jpeg in jpegs:
            yield jpeg, f"{self._shard_paths[number]}, row {self._order.row[pair]}"


def fit(image: Image, side: int) -> Image:
    """An image resized to a square of `side` pixels, unless it is one."""
    if image.shape[:2] == (side, side):
        return image
    mode = cv2.INTER_AREA if image.shape[0] > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=mode), np.uint8)


def _threads() -> int:
    """This process's share of the cores that it may use, at most 8."""
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min(8, cores // processes))


def _finished(batch: Batch, tasks: list[Future[None]]) -> Batch:
    for task in tasks:
        task.result()
    return batch


def _decode_patch(jpeg: bytes, name: str) -> Image:
    """A patch (h, w, 3) BGR. Raises InputError; looks at the size before decoding."""
    size = _jpeg_size(jpeg or b"")  # a table may hold null
    if size is not None and max(size) > MAX_PATCH_PX:
        raise InputError(
            f"{name}: the patch claims {size[1]} x {size[0]} px, and no patch has a side of over "
            f"{MAX_PATCH_PX} px; remove the shard and mine or import its pairs again."
        )
    return decode_image(jpeg if size else b"", name)


def _jpeg_size(jpeg: bytes) -> tuple[int, int] | None:
    """Height and width that a JPEG's frame header states (ITU-T T.81, B.2.2); None if none."""
    at = 2
    while jpeg.startswith(b"\xff\xd8") and at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(jpeg[at + 5 : at + 7]), int.from_bytes(jpeg[at + 7 : at + 9])
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return None
