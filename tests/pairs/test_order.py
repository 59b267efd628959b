import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from trackssl.config import Data
from trackssl.pairs.order import Order
from trackssl.pairs.read_ahead import ReadAhead

COUNT = 1000


def order(seed: int = 1, shuffled: int = 0, **data: object) -> Order:
    """Pairs of 10 shards, of 100 rows each, in an order drawn by `shuffled`."""
    places = np.random.default_rng(shuffled).permutation(COUNT).astype(np.int32)
    return Order(places // 100, places % 100, seed, Data(**data))  # type: ignore[arg-type]


def places(found: Order, epoch: int) -> np.ndarray:
    """Where the pairs of an epoch lie, 0..999 through all shards."""
    taken = found.of_epoch(epoch)
    return found.shard[taken] * 100 + found.row[taken]


def windows(found: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (found[start : start + size] for start in range(0, len(found), size))


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"shuffle": "block", "block_pairs": 7, "mixed_blocks": 3},
        {"shuffle": "block", "block_pairs": 1, "mixed_blocks": 1},
        {"shuffle": "block", "block_pairs": 5000},
    ],
)
def test_every_pair_comes_once_an_epoch_in_an_order_of_its_own(data: dict[str, object]) -> None:
    found = [order(**data).of_epoch(epoch) for epoch in range(3)]
    for epoch in found:
        assert sorted(epoch) == list(range(COUNT))
    assert not any(np.array_equal(found[a], found[b]) for a, b in [(0, 1), (0, 2), (1, 2)])
    assert np.array_equal(order(**data).of_epoch(2), found[2])
    assert not np.array_equal(order(seed=2, **data).of_epoch(2), found[2])


def test_a_window_of_blocks_is_read_from_few_places() -> None:
    found = places(order(shuffle="block", block_pairs=20, mixed_blocks=5), epoch=0)
    starts = []
    for window in windows(found, 100):
        assert not np.array_equal(window, np.sort(window))  # mixed
        blocks = np.sort(window).reshape(5, 20)
        assert (blocks[:, 0] % 20 == 0).all()  # five blocks, each whole
        assert (np.diff(blocks) == 1).all()
        starts += blocks[:, 0].tolist()
    assert starts != sorted(starts)
    assert len(np.unique(found[:100] // 100)) > 1  # of several shards


def test_blocks_do_not_depend_on_the_order_of_the_list() -> None:
    block = {"shuffle": "block", "block_pairs": 20, "mixed_blocks": 5}
    one, other = (places(order(shuffled=s, **block), 3) for s in (0, 1))
    assert np.array_equal(one, other)


def test_windows_end_with_their_blocks_and_with_the_epoch() -> None:
    found = order(shuffle="block", block_pairs=20, mixed_blocks=7)
    ends = [140 * k for k in range(1, 8)] + [1000] + [1000 + 140 * k for k in range(1, 8)] + [2000]
    place, seen = 0, []
    while place < 2000:
        place = found.window_end(place)
        seen.append(place)
    assert seen == ends
    assert found.window_end(139) == 140 and found.window_end(1980) == 2000


def test_what_comes_next_is_read_by_place_and_no_further_than_the_next_window() -> None:
    found = order(shuffle="block", block_pairs=20, mixed_blocks=5)
    read: list[int] = []
    done = threading.Event()

    def take(pair: int) -> None:
        read.append(pair)
        if len(read) in expected:
            done.set()

    def wait_for(count: int) -> None:
        assert done.wait(30)
        time.sleep(0.05)  # for what must not come
        assert len(read) == count
        done.clear()

    expected = {60, 110}  # a rank's half of places 80..200, then of 100 more
    reader = ReadAhead(found, take, 80, 700, 10, range(5, 10))
    wait_for(60)
    reader.reached(99)
    assert len(read) == 60
    reader.reached(100)
    wait_for(110)
    reader.close()
    for start, stop in [(80, 100), (100, 200), (200, 300)]:
        part = np.array(read[: (stop - start) // 2])
        del read[: len(part)]
        taken = found.take(start, stop - start).reshape(-1, 10)[:, 5:].ravel()
        assert sorted(part) == sorted(taken)
        assert (np.diff(found.shard[part] * 100 + found.row[part]) > 0).all()


def test_pairs_are_taken_across_epochs() -> None:
    found = order()
    ends = np.concatenate([found.of_epoch(epoch) for epoch in range(4)])
    for start, count in [(0, 50), (980, 50), (990, 2500), (999, 1), (1000, 1000)]:
        assert np.array_equal(found.take(start, count), ends[start : start + count])
