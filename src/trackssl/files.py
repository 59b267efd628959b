"""Files that appear whole or not at all, and folders that keep the progress of long work."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trackssl.errors import InputError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well, removed when not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, removed with what is left in it when the block ends."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a killed run
    part.mkdir(parents=True)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with a closing newline, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def fingerprint(value: Any) -> str:
    """Short hash of anything JSON can hold; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Progress:
    """A folder that keeps what a long stage has done: a killed run goes on where it stopped.

    It is no rule's output (Snakemake deletes outputs before a rerun). It remembers the settings it
    was made with and refuses to be continued with others.

    Raises InputError when the folder holds the progress of other settings, or while another process
    works in it.
    """

    def __init__(self, folder: Path, settings: Any, what: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{folder} is in use: another process works on this {what}; wait for it or end it."
            ) from None
        mark = folder / "settings.json"
        wanted = json.loads(json.dumps(settings, sort_keys=True, default=str))
        if mark.exists():
            found = json.loads(mark.read_text(encoding="utf-8"))
            if found != wanted:
                raise InputError(
                    f"{folder} holds the unfinished {what} of another config "
                    f"(differs in: {', '.join(_differences(found, wanted))}); "
                    "restore those settings to continue it, or delete the folder to start anew."
                )
        else:
            write_json(mark, wanted)

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def finish(self) -> None:
        """Remove the folder: the result stands in its final place."""
        shutil.rmtree(self.folder)
        self._lock.close()


def _differences(found: Any, wanted: Any, prefix: str = "") -> list[str]:
    """Dotted names of the keys in which two JSON values differ."""
    if not (isinstance(found, dict) and isinstance(wanted, dict)):
        return [] if found == wanted else [prefix or "settings"]
    names = []
    for key in sorted(found.keys() | wanted.keys()):
        names += _differences(found.get(key), wanted.get(key), f"{prefix}.{key}".lstrip("."))
    return names
