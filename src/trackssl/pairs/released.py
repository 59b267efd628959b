"""The authors' released patches as pairs: a list of lines `path label`, two lines a pair.

The label, an integer, says which video a patch is of (the format of caffe-video_triplet).
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
from rich.progress import Progress

from trackssl.errors import InputError
from trackssl.files import file_sha256, temporary_folder
from trackssl.images import decode_image
from trackssl.pairs.store import Pair, write_pairs
from trackssl.speech import progress_console

MAX_PATCH_BYTES = 1 << 20  # a patch of 227 px has about 16 kB
MAX_LINE_BYTES = 8192
_CHUNK_PAIRS = 256  # read at once
_LABEL = re.compile(r"-?[0-9]{1,18}")
_CONTROL = re.compile(r"[\x00-\x1f]")

Reason = Literal[
    "not a line `path label`",
    "labels that differ",
    "outside the folder",
    "no such file",
    "too large",
    "not a JPEG",
]

_NOTES = {
    "source": "a released list of patches, `path label` per line, two lines a pair",
    "video": "the patches' folder where folder and label belong to each other alone; "
    "else the label",
    "first_frame": "number of the pair in the list, from 0 (of its lines 2 n + 1 and 2 n + 2)",
    "last_frame": "the same number: the true frames are unknown",
    "first_box, last_box": "0, 0, width, height of the patch itself: its place is unknown",
    "points, moving_points, track_score": "0: unknown (no mined track has a score of 0)",
    "points_kept": "null: unknown",
}


class Imported(NamedTuple):
    """How many pairs of how many videos were written, and how many were left out, by reason."""

    pairs: int
    videos: int
    left_out: Mapping[Reason, int]


class _Line(NamedTuple):
    where: str  # list and line number
    path: str
    label: int


class _ListedPair(NamedTuple):
    number: int  # in the list, from 0
    first: _Line
    last: _Line


class _BadPairError(InputError):
    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Reason = reason


def import_pairs(
    folder: Path,
    list_path: Path,
    out: Path,
    shards: int = 1,
    skip_bad: bool = False,
    threads: int = 2,
) -> Imported:
    """Write the patches that a list names below a folder as pairs, their JPEG bytes as they are.

    One shard is the file `out`, several are files of a new folder `out`, each video in one of them.
    Memory grows with the number of videos only. The list is checked to its end before a patch is
    read; `skip_bad` leaves bad pairs out and counts them.

    What the list does not tell is written as unknown, see the file's metadata; `first_frame` is the
    pair's number in the list, so what is left out changes no other pair.

    Raises InputError for the first bad pair, with its line; and always for an odd number of lines,
    an empty line between others, a list without a good pair, or a folder `out` that exists.
    """
    root = _existing(folder, list_path, out if shards > 1 else None)
    cv2.setNumThreads(1)
    left_out: Counter[Reason] = Counter()

    def leave_out(bad: _BadPairError) -> None:
        if not skip_bad:
            raise bad
        left_out[bad.reason] += 1

    listed, videos = _survey(list_path, leave_out)
    notes = _NOTES | {"list": list_path.name, "list_sha256": file_sha256(list_path)}
    kept: Counter[str] = Counter()  # pairs of each video
    console = progress_console()
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("pairs", total=listed)

        def pairs_of(shard: int) -> Iterator[Pair]:
            for found in _read_pairs(root, _of_shard(list_path, shard, shards), videos, threads):
                bar.advance(task)
                if isinstance(found, _BadPairError):
                    leave_out(found)
                else:
                    kept[found.video] += 1
                    yield found
            if shard == shards - 1 and not kept:
                raise InputError(f"{list_path}: it names no good pair ({describe(left_out)}).")

        if shards == 1:
            write_pairs(out, pairs_of(0), notes, {})
        else:
            with temporary_folder(out) as part:
                for shard in range(shards):
                    write_pairs(part / f"{shard:03d}.arrow", pairs_of(shard), notes, {})
                part.rename(out)
    return Imported(kept.total(), len(kept), dict(left_out))


def _survey(
    list_path: Path, leave_out: Callable[[_BadPairError], None]
) -> tuple[int, dict[int, str]]:
    """Check the lines of a whole list -> number of well-formed pairs, the videos' names by label.

    A video is named by the patches' folder if that is this label's alone, else by the label; a
    folder whose name is a number is not used, as it might be another video's label.
    """
    listed = 0
    folders: dict[int, str] = {}  # of each label; "" for a label that has several
    for found in _listed_pairs(list_path):
        if isinstance(found, _BadPairError):
            leave_out(found)
            continue
        listed += 1
        for line in (found.first, found.last):
            name = line.path.rpartition("/")[0].rpartition("/")[2]
            if folders.setdefault(line.label, name) != name:
                folders[line.label] = ""
    owners = Counter(folders.values())
    return listed, {
        label: name
        if name not in ("", ".") and owners[name] == 1 and not _LABEL.fullmatch(name)
        else str(label)
        for label, name in folders.items()
    }


def describe(left_out: Mapping[Reason, int]) -> str:
    """How many pairs were left out and why, in a phrase."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
    return f"pairs left out: {reasons or 'none'}"


def _existing(folder: Path, list_path: Path, new_folder: Path | None) -> Path:
    """The folder with links resolved, if everything is there that must be, and nothing else."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder of patches; check the path.")
    if not list_path.is_file():
        raise InputError(f"{list_path}: there is no such list; check the path.")
    if new_folder is not None and os.path.lexists(new_folder):
        raise InputError(f"{new_folder}: it exists; remove it or name a new folder for the shards.")
    return folder.resolve()


def _listed_pairs(list_path: Path) -> Iterator[_ListedPair | _BadPairError]:
    """Pairs of a list, or what is wrong with them. Raises InputError where pairing is unclear."""
    lines = _lines(list_path)
    for number, (where, text) in enumerate(lines):
        partner = next(lines, None)
        if partner is None:
            raise InputError(
                f"{where}: the list has an odd number of lines, so this last one has no partner; "
                "two lines are a pair, complete or remove it."
            )
        try:
            pair = _ListedPair(number, _parse(where, text), _parse(*partner))
            if pair.first.label != pair.last.label:
                raise _BadPairError(
                    "labels that differ",
                    f"{partner[0]}: its label is {pair.last.label}, but the first patch of the "
                    f"pair has {pair.first.label}; two lines are a pair and bear one label.",
                )
        except _BadPairError as error:
            found: _ListedPair | _BadPairError = error
        else:
            found = pair
        yield found


def _of_shard(list_path: Path, shard: int, shards: int) -> Iterator[_ListedPair]:
    """The well-formed pairs of a list whose label falls to a shard."""
    for found in _listed_pairs(list_path):
        if isinstance(found, _ListedPair) and found.first.label % shards == shard:
            yield found


def _lines(list_path: Path) -> Iterator[tuple[str, bytes]]:
    """Each line with the place where it stands; empty ones may only come last."""
    empty = 0
    with list_path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            where = f"{list_path}, line {number}"
            if len(line) == MAX_LINE_BYTES:
                raise InputError(
                    f"{where}: it is longer than {MAX_LINE_BYTES} bytes; give a list of lines "
                    "`path label`."
                )
            if not line.strip():
                empty = empty or number
            elif empty:
                raise InputError(
                    f"{list_path}, line {empty}: it is empty, so which lines make up a pair is "
                    "unclear; remove it."
                )
            else:
                yield where, line


def _parse(where: str, text: bytes) -> _Line:
    """A line `path label`, its path below the folder. Raises _BadPairError."""
    try:
        path, label = text.decode("utf-8-sig").strip().rsplit(maxsplit=1)
    except ValueError:  # not UTF-8, or one word only
        path, label = "", ""
    if not _LABEL.fullmatch(label) or _CONTROL.search(path):
        raise _BadPairError(
            "not a line `path label`",
            f"{where}: it is not `path label` with an integer as label; mend or remove the pair.",
        )
    if path.startswith("/") or ".." in path.split("/"):
        raise _BadPairError(
            "outside the folder",
            f"{where}: the path '{path}' is absolute or has '..' in it; write paths relative to "
            "the folder of patches.",
        )
    return _Line(where, path, int(label))


def _read_pairs(
    root: Path, listed: Iterator[_ListedPair], videos: Mapping[int, str], threads: int
) -> Iterator[Pair | _BadPairError]:
    """The listed pairs in their order, read some hundred at a time by several threads."""
    with ThreadPoolExecutor(threads) as pool:
        while chunk := list(islice(listed, _CHUNK_PAIRS)):
            yield from pool.map(lambda pair: _read_pair(root, pair, videos), chunk)


def _read_pair(root: Path, listed: _ListedPair, videos: Mapping[int, str]) -> Pair | _BadPairError:
    try:
        first_jpeg, first_box = _read_patch(root, listed.first)
        last_jpeg, last_box = _read_patch(root, listed.last)
    except _BadPairError as error:
        return error
    return Pair(
        video=videos[listed.first.label],
        first_frame=listed.number,
        last_frame=listed.number,
        first_box=first_box,
        last_box=last_box,
        points=0,
        moving_points=0,
        track_score=0.0,
        points_kept=None,
        first_jpeg=first_jpeg,
        last_jpeg=last_jpeg,
    )


def _read_patch(root: Path, line: _Line) -> tuple[bytes, tuple[float, float, float, float]]:
    """A patch's JPEG and its box 0, 0, width, height. Raises _BadPairError."""
    name = f"{line.where}: {root / line.path}"
    try:
        path = (root / line.path).resolve(strict=True)  # links and all
        if not path.is_relative_to(root):
            raise _BadPairError(
                "outside the folder",
                f"{name} is a link that leaves the folder of patches; put the file itself there.",
            )
        if not path.is_file():
            raise FileNotFoundError
        with path.open("rb") as file:
            jpeg = file.read(MAX_PATCH_BYTES + 1)
    except (OSError, RuntimeError):  # RuntimeError: links in a circle, before Python 3.13
        raise _BadPairError(
            "no such file", f"{name} is no file that can be read; check the list and the folder."
        ) from None
    if len(jpeg) > MAX_PATCH_BYTES:
        raise _BadPairError(
            "too large",
            f"{name} has more than {MAX_PATCH_BYTES} bytes, which no patch has; check the list.",
        )
    try:
        if not jpeg.startswith(b"\xff\xd8\xff"):
            raise InputError
        height, width = decode_image(jpeg, name).shape[:2]
    except InputError:
        raise _BadPairError(
            "not a JPEG", f"{name} is not a JPEG that can be decoded; replace or remove the pair."
        ) from None
    return jpeg, (0.0, 0.0, float(width), float(height))
