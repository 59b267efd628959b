"""Work spread over processes that start clean and end with their parent."""

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from trackssl.processes import end_with_parent

T = TypeVar("T")


def parallel_map(work: Callable[[T], None], tasks: Sequence[T], processes: int, what: str) -> None:
    """Call `work` on every task in up to `processes` spawned processes; `what` labels the progress.

    The first exception of a worker is raised here, after the tasks under way have ended.
    """
    if not tasks:
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(processes, len(tasks)), context, initializer=end_with_parent)
    with pool:
        futures = [pool.submit(work, task) for task in tasks]
        try:
            console = Console(stderr=True)
            for future in track(
                as_completed(futures),
                what,
                total=len(tasks),
                console=console,
                disable=not sys.stderr.isatty(),
            ):
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
