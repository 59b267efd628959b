"""The pairs of a set on a disk of the node's own: copied once, then read by every run there.

A staged file holds the rows that a set needs of one shard, in their order, and is named after the
shard's path, size and time and those rows, so what has changed is copied anew. Nothing is ever
removed but the unfinished files of a killed copy: remove `FOLDER/trackssl-pairs` to have the room
back.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trackssl.errors import InputError
from trackssl.files import whole_file
from trackssl.pairs.store import SCHEMA_VERSION, PairShard
from trackssl.speech import progress_line

Rows = NDArray[np.int32]

SUBFOLDER = "trackssl-pairs"
RESERVE_BYTES = 250_000_000  # of the disk, left free


def stage(shards: Sequence[Path], rows: Sequence[Rows], stage_to: str) -> list[Path]:
    """Copy rows (sorted) of each shard -> the staged files, whose row i is the i-th of `rows`.

    What is staged already is not copied again. One process of a node copies, others wait for it.
    Raises InputError for a shard that is absent, cut short or lacks a row, and for a folder that
    cannot be written or has too little room.
    """
    folder = _folder(stage_to)
    staged = [folder / f"{_key(*each)}.arrow" for each in zip(shards, rows, strict=True)]
    with _alone(folder):
        missing = [
            (path, shard, wanted)
            for path, shard, wanted in zip(staged, shards, rows, strict=True)
            if not _is_whole(path, len(wanted))
        ]
        if missing:
            _check_room(folder, sum(_bytes(shard, wanted) for _, shard, wanted in missing))
        for path, shard, wanted in missing:
            try:
                _copy(PairShard(shard), wanted, path)
            except OSError as error:
                raise InputError(
                    f"{folder}: the pairs could not be copied there ({error.strerror or error}); "
                    "make room, give data.stage_to another folder, or leave it null."
                ) from None
    return staged


def no_such_row(shard: PairShard, row: int) -> InputError:
    """What to say of a list that names a row which a shard does not hold."""
    return InputError(
        f"{shard.path}: it holds {len(shard)} pairs, but the list names row {row}; merge the "
        "pairs again."
    )


def _folder(stage_to: str) -> Path:
    """The folder of staged files, made if need be. Raises InputError."""
    expanded = os.path.expandvars(stage_to)
    if "$" in expanded:
        raise InputError(
            f"data.stage_to is '{stage_to}', but that variable is not set here; set it or name "
            "the folder."
        )
    folder = Path(expanded).expanduser().absolute() / SUBFOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").touch()
    except OSError as error:
        raise InputError(
            f"{folder}: it cannot be written ({error.strerror}); give data.stage_to a folder of "
            "the node's own disk, or leave it null."
        ) from None
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process copies into the folder; then clear what a killed one left."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress_line(f"waiting for another process that copies pairs to {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for part in folder.glob(".*.arrow.*.part"):
            part.unlink()
        yield


def _key(shard: Path, rows: Rows) -> str:
    """Name of a staged file: it changes with the shard's file and with the rows."""
    try:
        stat = shard.stat()
    except OSError:
        raise InputError(f"{shard}: there is no such file of pairs; check the path.") from None
    about = f"{SCHEMA_VERSION} {shard.absolute()} {stat.st_size} {stat.st_mtime_ns} "
    return hashlib.blake2b(about.encode() + rows.tobytes(), digest_size=12).hexdigest()


def _is_whole(path: Path, count: int) -> bool:
    try:
        return path.exists() and len(PairShard(path)) == count
    except InputError:
        return False


def _bytes(shard: Path, rows: Rows) -> int:
    """About how large the copy becomes: pairs of a shard are taken as equally large."""
    held = PairShard(shard)
    for row in rows[[0, -1]].tolist():
        if not 0 <= row < len(held):
            raise no_such_row(held, row)
    return -(-shard.stat().st_size * len(rows) // len(held))


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + RESERVE_BYTES:
        raise InputError(
            f"{folder}: the set needs {_size(needed)} there, but {_size(free)} are free, of which "
            f"{_size(RESERVE_BYTES)} are kept; make room, give data.stage_to another disk, or "
            "leave it null."
        )
    progress_line(f"copying {_size(needed)} of pairs to {folder}")


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"


def _copy(shard: PairShard, rows: Rows, path: Path) -> None:
    """Write those rows of a shard in its own schema, reading it from front to end."""
    start = 0
    with (
        whole_file(path) as part,
        pa.ipc.new_file(str(part), shard.batches[0].schema) as file,
    ):
        for batch in shard.batches:
            low, high = np.searchsorted(rows, [start, start + batch.num_rows])
            taken = pa.array(rows[low:high] - start)
            file.write_batch(batch if len(taken) == batch.num_rows else batch.take(taken))
            start += batch.num_rows
