"""How far a job is: a bar for a person at a terminal, else a line a minute for the log."""

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trackssl.speech import is_quiet
from trackssl.videos.manifest import Row


class Reporting:
    """Counts the rows of a manifest as they come."""

    def __init__(self, total: int, every_seconds: float = 60, stream: TextIO | None = None) -> None:
        """`stream` is stderr where none is given; the first line comes after `every_seconds`."""
        self._total, self._every = total, every_seconds
        self._stream = stream or sys.stderr
        self._done = self._failed = self._bytes = 0
        self._begun = time.monotonic()
        self._ended = threading.Event()
        self._bar: Progress | None = None
        if self._stream.isatty() and not is_quiet():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(file=self._stream),
                transient=True,
            )
            self._task = self._bar.add_task("videos", total=total)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        else:
            # A thread, so that the log tells also of a video that takes an hour.
            threading.Thread(target=self._tell, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._bar:
            self._bar.stop()

    def add(self, row: Row) -> None:
        """One more video."""
        self._done += 1
        self._failed += row.status == "failed"
        self._bytes += row.bytes or 0
        if self._bar:
            self._bar.update(self._task, advance=1, description=self._counts())

    def line(self) -> str:
        """Such as `123 of 400 videos, 7 failed, 2.1 GB, 14 minutes`."""
        minutes = (time.monotonic() - self._begun) / 60
        return f"{self._done} of {self._total} videos, {self._counts()}, {minutes:.0f} minutes"

    def _counts(self) -> str:
        return f"{self._failed} failed, {self._bytes / 1e9:.1f} GB"

    def _tell(self) -> None:
        while not self._ended.wait(self._every):
            if not is_quiet():
                print(self.line(), file=self._stream, flush=True)
