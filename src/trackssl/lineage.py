"""The chain of records from a file of a run to the videos and data sets that it was made of."""

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trackssl.files import file_sha256, fingerprint
from trackssl.provenance import Fact, Record, digest, read_record, stamp


@dataclass(frozen=True)
class Step:
    """A file of a chain: how deep, its record if there is one, what is odd, and whether it was told
    before (its inputs are then not listed again).
    """

    depth: int
    path: str
    record: Record | None
    oddity: str
    again: bool


def chain(path: str, folder: Path, whole_run: bool = True) -> Iterator[Step]:
    """The file, what it was made of, and so on, inputs after what was made of them.

    `whole_run` is false where only the file itself is here, not those that it was made of.
    """
    told: set[str] = set()

    def steps(name: str, seen: Fact | None, depth: int) -> Iterator[Step]:
        record = read_record(folder, name)
        again = name in told
        told.add(name)
        here = whole_run or depth == 0
        yield Step(depth, name, record, _oddity(name, record, seen, here), again)
        if record is not None and not again:
            for other, fact in record.inputs.items():
                yield from steps(other, fact, depth + 1)

    yield from steps(os.path.normpath(path), None, 0)


def seeds(steps: Iterable[Step]) -> list[int]:
    """Seeds that the commands of a chain were given, in order."""
    words = [step.record.command for step in steps if step.record is not None]
    given = {
        line[at + 1] for line in words for at, word in enumerate(line[:-1]) if word == "--seed"
    }
    return sorted(int(seed) for seed in given)


def find(file: Path, folder: Path) -> str:
    """The path of a run's file with this content, as its rules write it: the file may have been
    copied elsewhere; empty where no record fits. Raises InputError for a damaged record.
    """
    if not file.is_file():
        return ""
    sha256 = file_sha256(file)
    for place in sorted(folder.rglob("*.json")):
        if sha256 in place.read_text(encoding="utf-8"):
            name = str(place.relative_to(folder)).removesuffix(".json")
            record = read_record(folder, name)
            if record is not None and record.made.sha256 == sha256:
                return name
    return ""


def render(steps: Sequence[Step]) -> Iterator[str]:
    """Lines for a reader: the file's own record in full, of what it was made of one line each."""
    for step in steps:
        record = step.record
        told = ", see above" if step.again and record else ""
        odd = f" ({step.oddity})" if step.oddity else ""
        if record is None:
            yield f"{'  ' * step.depth}{step.path}: given"
            continue
        made = f"{record.made.sha256[:12]} by {record.command[0]}, {record.end}"
        if not step.again and (content := _content(record)):
            made += f", {content}"
        yield f"{'  ' * step.depth}{step.path}: {made}{told}{odd}"
        if step.depth == 0:
            for name in ("commit", "config", "lock", "version", "machine", "start"):
                yield f"    {name}: {getattr(record, name) or 'unknown'}"
            yield f"    seeds: {', '.join(map(str, seeds(steps))) or 'none'}"
            yield f"    command: trackssl {shlex.join(record.command)}"


def _content(record: Record) -> str:
    """What the end of a chain says of the data: a manifest of its videos, an index of its files."""
    videos = record.command[0] == "fetch-videos"
    with suppress(OSError, ValueError, TypeError):  # gone, or of a run that was pulled in part
        if digest(record.output) != record.made.sha256:
            return ""  # the oddity tells
        if videos:
            import pyarrow.parquet as pq

            table = pq.read_table(record.output, columns=["video", "sha256"]).to_pydict()
            known = sorted(
                (v, s) for v, s in zip(table["video"], table["sha256"], strict=True) if s
            )
            return (
                f"holds the SHA-256 of each of {len(known)} videos, and theirs together is "
                f"{fingerprint(known)[:12]}"
            )
        if record.output.endswith("index.json"):
            values = json.loads(Path(record.output).read_text(encoding="utf-8"))
            if isinstance(values, dict) and "sha256" in values:
                return f"of data with the SHA-256 {values['sha256']}"
    return "holds the SHA-256 of each video" if videos else ""


def _oddity(path: str, record: Record | None, seen: Fact | None, here: bool) -> str:
    """What speaks against a file being the one that was used and recorded."""
    if record is None:
        return ""
    if seen is not None and seen.sha256 != record.made.sha256:
        return "made again since it was used here"
    if not here:
        return ""
    found = stamp(path)
    if found is None:
        return "no longer there"
    if found[:2] == (record.made.bytes, record.made.changed_ns):
        return ""
    return "" if digest(path) == record.made.sha256 else "changed since it was made"
