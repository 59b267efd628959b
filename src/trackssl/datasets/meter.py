"""How far a download is: a bar for a person at a terminal, else a line a minute on stderr."""

import sys
import threading
import time
from typing import Self

from trackssl.speech import is_quiet, progress_console, progress_line

_LINE_EVERY_SECONDS = 60


class Meter:
    """Counts the bytes of one file, `total` of them if that is known; threads may add at once."""

    def __init__(self, name: str, total: int | None = None, had: int = 0) -> None:
        self._name, self._total, self._had = name, total, had
        self._begin = self._line = time.monotonic()
        self._first = had
        self._counting = threading.Lock()
        self._bar = None
        if sys.stderr.isatty() and not is_quiet():
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=progress_console(),
                transient=True,
            )
            self._task = self._bar.add_task(name, total=total, completed=had)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def add(self, count: int) -> None:
        """So many bytes more; fewer, where some were thrown away."""
        with self._counting:
            self._had += count
            now = time.monotonic()
            due = self._bar is None and now - self._line >= _LINE_EVERY_SECONDS
            if due:
                self._line = now
        if self._bar is not None:
            self._bar.advance(self._task, count)
        elif due:
            of = f" of {self._total / 1e6:,.0f}" if self._total else ""
            speed = (self._had - self._first) / 1e6 / (now - self._begin)
            said = f"{self._name}: {self._had / 1e6:,.0f}{of} MB, {speed:.1f} MB/s"
            progress_line(said)
