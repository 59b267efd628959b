"""The folder that keeps the videos: one file each, beside it who it is from, and unfinished parts.

`ab/abc.mp4` is a video, `ab/abc.json` its note, `ab/.abc.part/` the folder of what is being
fetched, in which one process works at a time. A file gets its name when it is whole.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from trackssl.files import write_json


@dataclass(frozen=True)
class Note:
    """How a file came: from where, with how many tries, when (UTC, ISO 8601, seconds)."""

    source: str
    attempts: int
    when: str


class Stored:
    """The place of one video in the store, whether it is there or not."""

    def __init__(self, store: Path, stem: str) -> None:
        self.path = store / stem[:2] / f"{stem}.mp4"
        self._note = self.path.with_suffix(".json")
        self._part = self.path.with_name(f".{stem}.part")

    @property
    def note(self) -> Note:
        """Its note; a file that was put here by hand has none, and its time of change counts."""
        try:
            return Note(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return Note("", 0, iso(self.path.stat().st_mtime))

    @contextmanager
    def part(self) -> Iterator[Path]:
        """The folder of the unfinished file, for this process alone; another one is waited for."""
        while True:
            self._part.mkdir(parents=True, exist_ok=True)
            try:
                lock = (self._part / "lock").open("w")
            except FileNotFoundError:  # the other one has just finished
                continue
            with lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not _is_same(lock.fileno(), self._part / "lock"):
                    continue
                yield self._part
                return

    def take(self, made: Path, note: Note) -> None:
        """Give a whole file its name. On a disk that is full, the part stays."""
        write_json(self._note, asdict(note))  # first: a file that is there has its note
        with made.open("rb") as file:
            os.fsync(file.fileno())
        made.replace(self.path)

    def forget_part(self) -> None:
        """Remove the folder of the unfinished file."""
        shutil.rmtree(self._part, ignore_errors=True)


def iso(seconds: float) -> str:
    """A time as UTC, such as 2015-12-07T09:30:00Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)
