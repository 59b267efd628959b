"""How a training says where it stands: a bar in a terminal, lines in a log, TensorBoard curves."""

import json
import math
import time
from pathlib import Path
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trackssl.speech import progress_console, progress_line

LINE_SECONDS = 30.0


class StatusLine:
    """On stderr: a progress bar in a terminal, elsewhere a line each half minute and at the end."""

    def __init__(self, what: str, start: int, iterations: int) -> None:
        console = progress_console()
        self.shown = console.is_terminal
        self.bar = Progress(
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not self.shown,
        )
        self.task = self.bar.add_task(what, total=iterations, completed=start, state="")
        self.iterations = iterations
        self.begun = self.told = time.monotonic()
        self.start = start

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def update(self, done: int, loss: float, violated_share: float, speed: float) -> None:
        """Show the state after `done` iterations; `speed` in images per second."""
        state = f"loss {loss:.3f}  {violated_share:.0%} violated  {speed:,.0f} images/s"
        self.bar.update(self.task, completed=done, state=state)
        now = time.monotonic()
        last = done == self.iterations
        if self.shown or not (last or now - self.told >= LINE_SECONDS):
            return
        left = (now - self.begun) / (done - self.start) * (self.iterations - done)
        text = f"{done:,} of {self.iterations:,} iterations  {state}"
        progress_line(text if last else f"{text}  {duration(left)} left")
        self.told = now


def duration(seconds: float) -> str:
    """Two units at most: 40 s, 12 min, 3 h 5 min, 2 d 4 h."""
    minutes = math.ceil(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


class Curves:
    """TensorBoard's files of a run, in a folder of their own: a curve for each number of the log.

    What the log holds is written anew at the start, so a run that was killed has each step once.
    """

    def __init__(self, folder: Path, log: Path, length: int) -> None:
        # Imported here, as it takes a second to load and most runs do without it.
        from torch.utils.tensorboard import SummaryWriter

        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self.writer = SummaryWriter(str(folder))
        for line in log.read_bytes()[:length].splitlines() if length else []:
            self.add(json.loads(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.close()

    def add(self, line: dict[str, Any]) -> None:
        """Add a line of the log; a warning has no step and is left out."""
        if "iteration" not in line:
            return
        for name, value in line.items():
            if name != "iteration":
                self.writer.add_scalar(name, float(value), line["iteration"])
