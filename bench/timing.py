"""CPU times of one process, taken turn by turn so that a busy machine hits all sides alike."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Times = dict[str, NDArray[np.float64]]  # per name: (inputs,) ms of CPU


@dataclass(frozen=True)
class Spread:
    """Quartiles of what was measured."""

    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, values: ArrayLike) -> "Spread":
        """Median, 25th and 75th percentile of values (N,)."""
        lower, median, upper = np.percentile(np.asarray(values, float), (25, 50, 75))
        return cls(float(median), float(lower), float(upper))

    def entries(self, key: str) -> dict[str, Any]:
        """As JSON: the median under `key`, the quartiles beside it."""
        return {key: self.median, f"{key}_quartiles": [self.lower, self.upper]}


class Stopwatch:
    """Adds up the CPU seconds of this process, all its threads, over the blocks it measures."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.count = 0

    @contextmanager
    def block(self, count: int = 1) -> Iterator[None]:
        """Measure a block in which `count` things are done."""
        begin = time.process_time()
        yield
        self.seconds += time.process_time() - begin
        self.count += count

    @property
    def mean(self) -> float:
        """Seconds a thing; 0 when nothing was measured."""
        return self.seconds / self.count if self.count else 0.0


def in_turn(
    sides: Mapping[str, Callable[[Any], object]], inputs: Iterable[Any], repeats: int
) -> Times:
    """Least CPU time of each side on each input -> per side (inputs,) ms.

    The sides take turns, A B A B, after a turn each that does not count.
    """
    rows = []
    for index, given in enumerate(inputs):
        turns = []
        for turn in range(repeats + (index == 0)):
            row = [_cpu_ms(side, given) for side in sides.values()]
            if index or turn:
                turns.append(row)
        rows.append(np.min(turns, axis=0))
    return dict(zip(sides, np.transpose(rows), strict=True))


def _cpu_ms(side: Callable[[Any], object], given: Any) -> float:
    begin = time.process_time()
    side(given)
    return 1e3 * (time.process_time() - begin)
