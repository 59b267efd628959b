"""Reading what is to be decoded soon in the order of the disk, into the system's cache."""

import threading
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from trackssl.errors import InputError
from trackssl.pairs.order import Order


class ReadAhead:
    """A thread that reads the pairs at places `start` to `stop` - 1 of all epochs, by windows.

    It is at work on the window that `reached` has come to, or on the next. Of each batch of
    `batch_pairs` only those that `mine` holds are read. A pair that cannot be read is left out: who
    decodes it says what is wrong.
    """

    def __init__(
        self,
        order: Order,
        read: Callable[[int], object],
        start: int,
        stop: int,
        batch_pairs: int,
        mine: range,
    ) -> None:
        self._order, self._read, self._start, self._stop = order, read, start, stop
        self._batch_pairs, self._mine = batch_pairs, mine
        self._window_end = order.window_end(start)
        self._turns, self._ended = threading.Semaphore(2), threading.Event()
        self._thread = threading.Thread(target=self._run, name="decode-reader", daemon=True)
        self._thread.start()

    def reached(self, place: int) -> None:
        """Say that the pair at this place is the next to be decoded."""
        while place >= self._window_end:
            self._window_end = self._order.window_end(self._window_end)
            self._turns.release()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._turns.release()
        self._thread.join()

    def _run(self) -> None:
        place = self._start
        while place < self._stop:
            self._turns.acquire()
            end = min(self._order.window_end(place), self._stop)
            within = np.arange(place, end) % self._batch_pairs
            mine = (self._mine.start <= within) & (within < self._mine.stop)
            pairs = self._order.take(place, end - place)[mine]
            for pair in self._order.sorted_by_place(pairs).tolist():
                if self._ended.is_set():
                    return
                with suppress(InputError):
                    self._read(pair)
            place = end
