"""One line for all requests to a host: jobs that share a folder share it."""

import fcntl
import random
import time
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from trackssl.videos.sources import safe_name, short_hash

_LONGEST_QUEUE_SECONDS = 3600.0  # a later time is another clock's


class Pace:
    """Gives each request to a host its time; a file a host keeps the time of the next.

    The file is locked only while a time is taken, so a killed job stops nobody.
    """

    def __init__(self, folder: Path, seconds: float, jitter: float = 0.5) -> None:
        """Requests are `seconds` apart, and up to `jitter` times as much more."""
        self._folder, self._seconds, self._jitter = folder, seconds, jitter

    def wait(self, address: str) -> None:
        """Sleep until the address's host may be asked; 0 seconds still honour `hold`."""
        time.sleep(max(0.0, self._take(_host(address)) - time.time()))

    def hold(self, address: str, seconds: float) -> None:
        """Let no request to the address's host begin within the next seconds."""
        with self._file(_host(address)).open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _write(file, max(_read(file), time.time() + seconds))

    def _take(self, host: str) -> float:
        path = self._file(host)
        if not self._seconds and not path.exists():
            return 0.0
        with path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            mine = max(_read(file), time.time())
            _write(file, mine + self._seconds * (1 + random.uniform(0, self._jitter)))
        return mine

    def _file(self, host: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{safe_name(host)}_{short_hash(host)}"


def _host(address: str) -> str:
    """Host and port, in lower case."""
    return urlsplit(address).netloc.rpartition("@")[2].lower()


def _read(file: TextIO) -> float:
    file.seek(0)
    try:
        when = float(file.read() or 0)
    except ValueError:
        return 0.0
    return when if when < time.time() + _LONGEST_QUEUE_SECONDS else 0.0


def _write(file: TextIO, when: float) -> None:
    file.seek(0)
    file.truncate()
    file.write(repr(when))
