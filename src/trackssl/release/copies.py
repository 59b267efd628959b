"""A release: a folder of copies of a run's files with their provenance, whole or not at all.

Copies, as DVC must own what it stores and Snakemake what it made: a link would let one change the
other's files.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import chdir
from pathlib import Path

from trackssl.errors import InputError
from trackssl.files import file_sha256, temporary_folder, write_json
from trackssl.lineage import chain
from trackssl.provenance import read_record, released, write_record
from trackssl.release.choose import Item

MARK = "release.json"  # what a release's folder is known by
RECORDS = "provenance"  # a folder of records within it
RESERVE_BYTES = 250_000_000  # of the disk, left free

_RUN_RECORDS = Path("provenance")  # of a run's folder


def release(
    items: Sequence[Item],
    run: Path,
    out: Path,
    what: str,
    command: list[str],
    cards: Mapping[str, str] | None = None,
) -> int:
    """Copy files of a run to `out`, with the records of all that they were made of -> bytes.

    `cards` are texts on them, by the name of their file.

    An earlier release there is replaced in one go. Raises InputError for a file that is absent or
    no longer the one that its record tells of, too little room, and an `out` that holds other
    files.
    """
    if out.exists() and not (out / MARK).is_file():
        raise InputError(f"{out}: holds files that are no release; give --out another folder.")
    needed = _check(items, run)
    _check_room(out, needed, what)
    named, folder = Path(os.path.relpath(out)), out.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder) as part, chdir(run):
        for item in items:
            copy = part / item.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(item.source, copy)
            path = (named / item.name).as_posix()
            record = released(path, item.source, copy, _RUN_RECORDS, command)
            _compare(item, record.made.sha256)
            write_record(part / RECORDS, record)
        for name, text in (cards or {}).items():
            (part / name).write_text(text, encoding="utf-8")
        _carry_records([item.source for item in items], part / RECORDS)
        write_json(part / MARK, {"what": what, "files": {i.name: i.source for i in items}})
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    return needed


def records_of(file: Path) -> Path | None:
    """The records within the release that a file lies in; None where it lies in none."""
    for folder in file.parents:
        if (folder / MARK).is_file():
            return folder / RECORDS
    return None


def _check(items: Iterable[Item], run: Path) -> int:
    """Raise InputError unless each file is there, and as its record says -> bytes of all."""
    total = 0
    with chdir(run):
        for item in items:
            if not Path(item.source).is_file():
                raise InputError(
                    f"{run / item.source}: is not there; make it first, with snakemake in {run}."
                )
            total += Path(item.source).stat().st_size
            first = next(chain(item.source, _RUN_RECORDS))
            if first.record is None:
                print(f"{item.source}: is released without a record of its making", file=sys.stderr)
            elif first.oddity:
                raise InputError(
                    f"{run / item.source}: was {first.oddity}, so its provenance is not known; "
                    "make it again, with snakemake."
                )
    return total


def _check_room(out: Path, needed: int, what: str) -> None:
    """Raise InputError where the disk cannot take the copy; say what a large one needs."""
    near = next(folder for folder in out.absolute().parents if folder.exists())
    free = shutil.disk_usage(near).free
    if free < needed + RESERVE_BYTES:
        raise InputError(
            f"{out}: the {what} need {needed:,} bytes there, but {free:,} are free, of which "
            f"{RESERVE_BYTES:,} are kept; make room, or leave them out of the config's release."
        )
    if needed:
        print(
            f"copying {needed:,} bytes of {what} to {out}, where {free:,} are free", file=sys.stderr
        )


def _compare(item: Item, sha256: str) -> None:
    """Raise InputError where a copy is not the recorded file."""
    record = read_record(_RUN_RECORDS, item.source)
    wanted = record.made.sha256 if record else file_sha256(Path(item.source))
    if wanted and sha256 and sha256 != wanted:
        raise InputError(
            f"{item.source}: its copy differs from the recorded file; start again, and check the "
            "disk if this recurs."
        )


def _carry_records(sources: Iterable[str], folder: Path) -> None:
    """Copy the records of files and of all that they were made of, back to the videos."""
    done: set[str] = set()

    def walk(path: str) -> None:
        if path in done:
            return
        done.add(path)
        if record := read_record(_RUN_RECORDS, path):
            write_record(folder, record)
            for name in record.inputs:
                walk(name)

    for source in sources:
        walk(source)
