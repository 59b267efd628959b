"""Work spread over processes that start clean and end with their parent."""

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from rich.progress import track

from trackssl.processes import end_with_parent
from trackssl.speech import progress_console

T = TypeVar("T")
U = TypeVar("U")


def parallel_map(work: Callable[[T], None], tasks: Sequence[T], processes: int, what: str) -> None:
    """Call `work` on every task in up to `processes` spawned processes, or here where that is 1.

    `what` labels the progress. The first exception is raised here, after the tasks under way have
    ended.
    """

    def shown(steps: Iterable[U]) -> Iterable[U]:
        console = progress_console()
        hidden = not console.is_terminal
        return track(steps, what, total=len(tasks), console=console, disable=hidden)

    workers = min(processes, len(tasks))
    if workers <= 1:
        for task in shown(tasks):
            work(task)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=end_with_parent) as pool:
        futures = [pool.submit(work, task) for task in tasks]
        try:
            for future in shown(as_completed(futures)):
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
