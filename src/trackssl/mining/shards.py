"""Work on many videos, one after the other: resumed at the video, failures counted, order kept."""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track

from trackssl import __version__
from trackssl.config import Mining
from trackssl.errors import InputError
from trackssl.files import Progress, file_sha256, fingerprint, write_json
from trackssl.speech import progress_console


@dataclass(frozen=True)
class Video:
    """A video to mine: its id, its file, and the file's hash.

    Only the frames from number `first` to before `end` are mined; a first frame's number counts
    from `first`.
    """

    name: str
    path: Path
    sha256: str
    first: int = 0
    end: int | None = None


# Writes what one video gives to a file and counts what it rejects. Raises InputError.
Work = Callable[[Video, Path, Counter[str]], object]


def read_manifest(path: Path) -> list[Video]:
    """The videos of a manifest whose status is ok. Raises InputError when it cannot be read."""
    rows = read_parquet(path, ("video", "status", "path", "sha256"), ("fps", "start", "end"))
    return [
        Video(row["video"], Path(row["path"]), row["sha256"], *_frames(row))
        for row in rows
        if row["status"] == "ok"
    ]


def _frames(row: Mapping[str, Any]) -> tuple[int, int | None]:
    """The numbers of the frames between the manifest's start and end, by the file's mean rate."""
    fps, start, end = (row.get(name) for name in ("fps", "start", "end"))
    first = round(start * fps) if start else 0
    return first, None if end is None else max(first, round(end * fps))


def given_videos(paths: Sequence[Path]) -> list[Video]:
    """Videos named after their files. Raises InputError when two bear one name."""
    names = Counter(path.stem for path in paths)
    if twice := [name for name, count in names.items() if count > 1]:
        raise InputError(
            f"{twice[0]}: two of the videos bear this name, by which pairs are told apart; "
            "rename one of the files."
        )
    return [Video(path.stem, path, file_sha256(path) if path.is_file() else "") for path in paths]


def read_parquet(
    path: Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The rows of a parquet table, with those of the optional columns that it has.

    Raises InputError when it is absent or lacks a column.
    """
    try:
        there = set(pq.read_schema(path).names) if optional else set()
        names = [*columns, *(name for name in optional if name in there)]
        return pq.read_table(path, columns=names).select(names).to_pylist()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such table; check the path.") from None
    except (OSError, KeyError, pa.ArrowException):
        raise InputError(
            f"{path}: no parquet table with the columns {', '.join(columns)}; make it again."
        ) from None


@contextmanager
def resumable(folder: Path | None, out: Path, settings: Mining, what: str) -> Iterator[Progress]:
    """Progress in `folder`, removed when the block ends well; without one, a passing one by `out`.

    Raises InputError when the folder holds the progress of other settings.
    """
    mark = {"stage": what, "version": __version__, "mining": settings.model_dump()}
    if folder is None:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as passing:
            yield Progress(Path(passing), mark, what)
    else:
        progress = Progress(folder, mark, what)
        yield progress
        progress.finish()


def each_video(
    videos: Sequence[Video],
    progress: Progress,
    work: Work,
    counted: Sequence[str],
    details: Mapping[str, Any] | None = None,
) -> tuple[list[tuple[Video, Path]], dict[str, Any]]:
    """Do the work of each video that is not done -> the files it wrote, and the sums of the counts.

    A video that cannot be read is named on stderr and under `failed`, and tried again by the next
    run. `details` are what a video's work depends on besides its file.
    """
    cv2.setNumThreads(1)  # a job has the cores it asked for, and flow depends on the number
    console = progress_console()
    parts: list[tuple[Video, Path]] = []
    totals, failed = Counter[str](), {}
    for video in track(videos, "videos", console=console, disable=not console.is_terminal):
        part_of = [video.first, video.end] if video.first or video.end is not None else []
        name = fingerprint(
            [video.name, str(video.path), video.sha256, (details or {}).get(video.name), *part_of]
        )
        part, note = progress / f"{name}.part", progress / f"{name}.json"
        try:
            if not note.exists():
                counts = Counter[str]()
                work(video, part, counts)
                write_json(note, counts)  # last: what has no note is done again
            totals.update(json.loads(note.read_text(encoding="utf-8")))
            parts.append((video, part))
        except InputError as error:
            failed[video.name] = str(error)
            print(f"skipped: {error}", file=sys.stderr)
    return parts, {
        "videos": len(parts),
        "videos_failed": len(failed),
        **{name: totals[name] for name in counted},
        "failed": failed,
    }
