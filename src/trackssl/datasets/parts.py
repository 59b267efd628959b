"""The part of a file that is here already: it is filled in pieces and survives a kill."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trackssl.errors import InputError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writing(path: Path, what: str = "is written") -> Iterator[None]:
    """Turn what the disk refuses into an InputError that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise InputError(
                f"{path}: the disk is full while it {what}; make room and start again, it will go "
                "on."
            ) from None
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from None


def require_room(folder: Path, needed_bytes: int, what: str) -> None:
    """Raise InputError unless the disk of a folder has so many bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise InputError(
            f"{folder}: {what} needs {needed_bytes / 1e6:,.1f} MB there, but {free / 1e6:,.1f} MB "
            "are free; make room and start again, it will go on."
        )


class Part:
    """`<file>.part` and `<file>.part.json`, which says how much of each piece is there.

    `had[k]` bytes from the beginning of piece k are; several threads may write, each its own piece.
    Only one process works on a part: another one waits until it is done. `joined`: some of it is
    from an earlier run or another address.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.with_name(f"{path.name}.part")
        self._notes = path.with_name(f"{path.name}.part.json")
        self._saving = threading.Lock()
        with writing(self.file):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        self.forget()
        self._load()

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def _open(self) -> None:
        while True:
            self._fd = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"{self.path}: waiting for the process that fetches it", file=sys.stderr)
                fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                if os.path.samestat(os.fstat(self._fd), self.file.stat()):
                    return
            except FileNotFoundError:
                pass  # the process that was waited for has renamed it
            os.close(self._fd)

    def forget(self) -> None:
        """Know nothing of what the file may hold."""
        self.address, self.joined = "", False
        self.identity: str | None = None
        self.length: int | None = None
        self.piece_bytes = 1
        self.had: list[int] = []

    def begin(self, address: str, identity: str | None, length: int, piece_bytes: int) -> None:
        """Start anew with a file of so many bytes."""
        self.empty()
        self.address, self.identity = address, identity
        self.length, self.piece_bytes = length, piece_bytes
        self.had = [0] * -(-length // piece_bytes)
        self.save()

    def empty(self) -> None:
        """Throw away what there is."""
        self.forget()
        with writing(self.file):
            self._forget_notes()
            os.ftruncate(self._fd, 0)

    def continue_from(self, address: str, identity: str | None) -> None:
        """Take the rest from here; the bytes that are here already stay."""
        self.address, self.identity, self.joined = address, identity, True

    def stretch(self, piece: int) -> tuple[int, int]:
        """What is missing of a piece: first byte, and the one behind the last."""
        first = piece * self.piece_bytes
        assert self.length is not None
        return first + self.had[piece], min(first + self.piece_bytes, self.length)

    def missing(self) -> list[int]:
        """Pieces that are not whole."""
        found = (piece for piece in range(len(self.had)) if len(range(*self.stretch(piece))))
        return list(found)

    def write(self, piece: int, chunk: bytes) -> None:
        """Append to what there is of a piece."""
        self.write_at(piece * self.piece_bytes + self.had[piece], chunk)
        self.had[piece] += len(chunk)

    def write_at(self, place: int, chunk: bytes) -> None:
        """Write at a place that no note is kept of: a kill loses it."""
        with writing(self.file, "is downloaded"):
            view = memoryview(chunk)
            while view:
                done = os.pwrite(self._fd, view, place)
                view, place = view[done:], place + done

    def save(self) -> None:
        """Note what is there, after it has reached the disk."""
        with self._saving, writing(self.file, "is downloaded"):
            had = list(self.had)  # before the sync: what comes during it may not be on the disk
            os.fdatasync(self._fd)
            notes = {name: getattr(self, name) for name in _NOTED}
            new = self._notes.with_suffix(".new")  # one name: a kill leaves no more than this
            new.write_text(json.dumps({**notes, "had": had}), encoding="utf-8")
            new.replace(self._notes)

    def _load(self) -> None:
        """Read the notes of an earlier run; other ones than `save` writes count as none."""
        try:
            notes: dict[str, Any] = json.loads(self._notes.read_text(encoding="utf-8"))
            for name in (*_NOTED, "had"):
                setattr(self, name, notes[name])
            pieces = -(-self.length // self.piece_bytes)  # type: ignore[operator]
            ends = [self.stretch(piece)[0] for piece in range(pieces)]
            right = len(self.had) == pieces and all(
                0 <= had <= self.piece_bytes and (not had or end <= os.fstat(self._fd).st_size)
                for had, end in zip(self.had, ends, strict=True)
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError, ZeroDivisionError):
            right = False
        if right:
            self.joined = any(self.had)
        else:
            self.forget()

    def digest(self, kind: str) -> str:
        """Checksum of what is there, by hashlib's name of it."""
        with self.file.open("rb") as file:
            return hashlib.file_digest(file, kind).hexdigest()

    def finish(self) -> None:
        """Give the file its name."""
        with writing(self.file):
            os.fsync(self._fd)
            self.file.replace(self.path)
            self._forget_notes()

    def remove(self) -> None:
        """Leave nothing behind."""
        self.forget()
        self.file.unlink(missing_ok=True)
        self._forget_notes()

    def _forget_notes(self) -> None:
        for notes in (self._notes, self._notes.with_suffix(".new")):
            notes.unlink(missing_ok=True)


_NOTED = ("address", "identity", "length", "piece_bytes")
