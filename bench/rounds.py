"""Wall-clock times of training steps, taken turn by turn so that a busy machine hits all alike."""

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

Rounds = dict[str, NDArray[np.float64]]  # per side: (rounds,)


def clock(device: torch.device) -> float:
    """Seconds, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def step_seconds(loop: Iterator[None], warm: int, steps: int, device: torch.device) -> float:
    """Mean time of `steps` steps of an endless loop, after `warm` that do not count."""
    for _ in range(warm):
        next(loop)
    begin = clock(device)
    for _ in range(steps):
        next(loop)
    end = clock(device)
    loop.close()  # type: ignore[attr-defined]
    return (end - begin) / steps


def in_rounds(sides: Mapping[str, Callable[[], float]], rounds: int) -> Rounds:
    """What each side measures in each round -> per side (rounds,).

    Each other round goes through the sides backwards.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            found[name].append(sides[name]())
    return {name: np.array(values) for name, values in found.items()}
