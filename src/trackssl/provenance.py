"""Where a file came from: a record for each output of a run; lineage.py follows them to the videos.

The rules name a folder for records; every command that ends well writes there, for each file that
it made, what it read, how it was called, with which code, and when. Files are told apart by their
SHA-256, so a record that no longer fits its file is seen.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trackssl import __version__
from trackssl.errors import InputError
from trackssl.files import file_sha256, fingerprint, write_json

FOLDER = "TRACKSSL_PROVENANCE"  # environment: where records go, none without it
CONFIG = "TRACKSSL_CONFIG_HASH"  # environment: of the whole config of the run
LOCK = "TRACKSSL_LOCK"  # environment: the file that pins the packages
COMMIT = "TRACKSSL_COMMIT"  # environment: of the code, where it lies in no checkout
RUN = "TRACKSSL_RUN"  # environment: the run's name

_MOST_FILES = 2_000  # of a folder that is looked through
_MOST_BYTES = 4 << 30  # of a file that is hashed; a larger one is known by its size

Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Fact:
    """A file or folder: hex SHA-256 (of a folder: of names and sizes; empty where it is too large),
    size in bytes, and the time of its last change in ns.
    """

    sha256: str
    bytes: int
    changed_ns: int


@dataclass(frozen=True)
class Record:
    """How an output was made. `inputs` by path; times in UTC, ISO 8601; `commit` ends in + where
    files differed from it, and is empty where the code lies in no checkout.
    """

    output: str
    made: Fact
    inputs: dict[str, Fact]
    command: list[str]
    version: str
    commit: str
    config: str
    lock: str
    machine: str
    start: str
    end: str


class Watch:
    """What a command reads and writes, told from the files that its arguments name.

    A named file that is there before and unchanged after is an input; one that is new or changed is
    an output. Files named within a JSON argument count too.
    """

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self._start = _now()
        self._before = {path: stamp(path) for path in _named(arguments)}

    def write(self, folder: Path) -> list[Path]:
        """Write a record for each output -> the records' paths."""
        inputs: dict[str, Fact] = {}
        outputs: dict[str, Fact] = {}
        for path, before in (_noted | self._before).items():
            after = stamp(path)
            if after is not None:
                (outputs if after != before else inputs)[path] = _fact(path, folder)
        if not outputs:
            return []
        shared = (
            inputs, self._arguments, __version__, _commit(), os.environ.get(CONFIG, ""), _lock(),
            _machine(), self._start, _now(),
        )  # fmt: skip
        for path, made in outputs.items():
            write_record(folder, Record(path, made, *shared))
        return [_place(folder, path) for path in outputs]


_noted: dict[str, Stamp | None] = {}


def note_inputs(paths: Iterable[str]) -> None:
    """Tell of files that a command is about to read though its arguments do not name each."""
    _noted.update({os.path.normpath(path): stamp(path) for path in paths})


def watch() -> Watch | None:
    """A watch on this command, where records are wanted; of several processes the first has it."""
    ranks = (os.environ.get("RANK", "0"), os.environ.get("SLURM_PROCID", "0"))
    return Watch(sys.argv[1:]) if os.environ.get(FOLDER) and set(ranks) == {"0"} else None


def signature() -> str:
    """What weights say of the run that made them, JSON: run, config, lock and commit; empty where
    none did. Nothing of machine or time: the same run of the same commit gives equal bytes.
    """
    if not os.environ.get(RUN):
        return ""
    config = os.environ.get(CONFIG, "")
    facts = {"run": os.environ[RUN], "config": config, "lock": _lock(), "commit": _commit()}
    return json.dumps(facts, sort_keys=True)


def write_record(folder: Path, record: Record) -> None:
    """Write a record where `read_record` finds it."""
    write_json(_place(folder, record.output), asdict(record))


def released(path: str, source: str, copy: Path, records: Path, command: list[str]) -> Record:
    """The record of a released file: a copy of a run's file, which has a record of its own or not.

    `path` is its name, `copy` where it lies now, `source` the run's file, seen from the working
    folder as are its `records`. The config and the lock are those that the source was made with.
    """
    given = read_record(records, source)
    now = _now()
    return Record(
        path, _fact(str(copy), records), {source: _fact(source, records)}, command, __version__,
        _commit(), given.config if given else "", given.lock if given else "", _machine(), now, now,
    )  # fmt: skip


def read_record(folder: Path, path: str) -> Record | None:
    """The record of a file; None where there is none. Raises InputError for a damaged one."""
    place = _place(folder, path)
    if not place.is_file():
        return None
    try:
        values = json.loads(place.read_text(encoding="utf-8"))
        made = Fact(**values.pop("made"))
        inputs = {name: Fact(**fact) for name, fact in values.pop("inputs").items()}
        return Record(**values, made=made, inputs=inputs)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{place}: is no record of provenance ({error}); make {path} again."
        ) from None


def _place(folder: Path, path: str) -> Path:
    """Where a file's record lies; one outside of the run's folder has a name of its own."""
    if Path(path).is_absolute() or path.startswith(".."):
        return folder / "outside" / f"{fingerprint(path)}.json"
    return folder / f"{path}.json"


def _named(arguments: Iterable[str]) -> dict[str, None]:
    """Paths that arguments may name, in their order."""
    found: dict[str, None] = {}

    def walk(value: Any) -> None:
        if isinstance(value, dict | list):
            for part in value.values() if isinstance(value, dict) else value:
                walk(part)
        elif isinstance(value, str) and value and not value.startswith("-") and len(value) < 1000:
            found.setdefault(os.path.normpath(value))

    for argument in arguments:
        try:
            walk(json.loads(argument) if argument[:1] in ("{", "[") else argument)
        except ValueError:
            walk(argument)
    return found


def stamp(path: str) -> Stamp | None:
    """Size, time of change in ns and inode; None where nothing lies. Of a folder its newest file's
    time and their sum of sizes.
    """
    try:
        place = Path(path)
        facts = place.stat()
        if not place.is_dir():
            return facts.st_size, facts.st_mtime_ns, facts.st_ino
        files = [file.stat() for file in _files(place) or ()]
    except (OSError, ValueError):
        return None
    newest = max((file.st_mtime_ns for file in files), default=0)
    return sum(file.st_size for file in files), newest, facts.st_ino


def _files(folder: Path) -> list[Path] | None:
    """Files of a folder in order, without hidden ones, as Snakemake puts a mark there; None where
    they are too many.
    """
    found: list[Path] = []
    for root, _, names in os.walk(folder):
        found += [Path(root) / name for name in names if not name.startswith(".")]
        if len(found) > _MOST_FILES:
            return None
    return sorted(found)


def _fact(path: str, folder: Path) -> Fact:
    found = stamp(path)
    assert found is not None
    known = read_record(folder, path)
    if known and (known.made.bytes, known.made.changed_ns) == found[:2]:
        return known.made
    return Fact(digest(path), *found[:2])


def digest(path: str) -> str:
    """Hex SHA-256 as a `Fact` has it."""
    place = Path(path)
    if not place.is_dir():
        return file_sha256(place) if place.stat().st_size <= _MOST_BYTES else ""
    files = _files(place)
    if files is None:
        return ""
    return fingerprint([[str(file.relative_to(place)), file.stat().st_size] for file in files])


def _commit() -> str:
    """Of the checkout that the code lies in; an image, which has none, is told when it is built."""
    if told := os.environ.get(COMMIT):
        return told

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # installed into another's checkout
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _lock() -> str:
    path = Path(os.environ.get(LOCK, ""))
    return file_sha256(path) if path.is_file() else ""


def _machine() -> str:
    parts = [platform.node(), platform.machine(), f"{os.cpu_count()} cores", platform.system()]
    if node := os.environ.get("SLURMD_NODENAME"):
        parts.append(f"SLURM node {node}")
    return ", ".join(parts)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
