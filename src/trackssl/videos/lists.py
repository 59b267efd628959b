"""Lists of videos: a text file with an id or address a line, or a CSV with times and labels."""

import csv
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path

from trackssl.errors import InputError
from trackssl.videos.sources import Item, safe_name, short_hash

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_ADDRESS = re.compile(r"https?://[^\s\x00-\x1f\x7f/?#][^\s\x00-\x1f\x7f]*")
_YOUTUBE = re.compile(
    r"https?://(?:(?:www\.|m\.)?youtube\.com/(?:watch\?(?:[^#]*&)?v=|shorts/)|youtu\.be/)"
    r"([A-Za-z0-9_-]{11})(?:[?&#/].*)?"
)
_COLUMNS = ("source", "id", "address", "start", "end", "query")
_MAX_SECONDS = 1_000_000
_MAX_QUERY = 200


def read_list(path: Path, addresses_only: bool = False) -> list[Item]:
    """The list's videos in its order, each once; the same video with other times is another item.

    A text may have blank lines and comments (`# ...`). Raises InputError that names the line which
    is neither an id nor an http(s) address, or whose times or label cannot be.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(
            f"videos.list: {path} cannot be read ({reason}); check the path, or make a list: one "
            "id or address a line."
        ) from None
    table = path.suffix.lower() == ".csv"
    found: dict[str, Item] = {}
    for where, fields in _rows(text, path) if table else _lines(text, path):
        item = _item(fields, where, len(found), addresses_only)
        found.setdefault(item.video, item)
    if not found:
        raise InputError(f"videos.list: {path} lists no videos; write one id or address a line.")
    return list(found.values())


def _lines(text: str, path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if source := re.sub(r"(^|\s)#.*", "", line).strip(" \t\r"):
            yield f"{path}, line {number}", {"source": source}


def _rows(text: str, path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Place and columns of each row of a CSV; the column of the video is then `source`."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        sources = [name for name in names if name in _COLUMNS[:3]]
        others = [name for name in names if name not in _COLUMNS]
        if len(sources) != 1 or others or len(set(names)) < len(names):
            raise InputError(
                f"{path}, line 1: the columns are {', '.join(map(repr, names)) or 'none'}; name "
                "one of source, id and address, and besides it only start, end and query."
            )
        reader.fieldnames = names
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise InputError(f"{where}: it has not {len(names)} cells; complete or remove it.")
            yield (
                where,
                {
                    "source" if name in sources else name: cell.strip(" \t")
                    for name, cell in row.items()
                },
            )
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: this is no CSV ({error}); mend the line."
        ) from None


def _item(fields: dict[str, str], where: str, index: int, addresses_only: bool) -> Item:
    stem, address = _parse(fields["source"], where, addresses_only)
    start, end = (_seconds(fields.get(name, ""), name, where) for name in ("start", "end"))
    if end is not None and end <= (start or 0):
        raise InputError(f"{where}: the end, {end:g}, is not after the start; correct the times.")
    query = fields.get("query", "")
    if len(query) > _MAX_QUERY or not (query.isprintable() or not query):
        raise InputError(
            f"{where}: the query {query[:40]!r} is no label; write up to {_MAX_QUERY} characters "
            "in one line."
        )
    if start is None and end is None:
        return Item(stem, address, index, query=query)
    times = f"{_milliseconds(start or 0)}_{'end' if end is None else _milliseconds(end)}"
    return Item(f"{stem}_{times}", address, index, stem, start, end, query)


def _parse(text: str, where: str, addresses_only: bool) -> tuple[str, str]:
    """What names a video -> the stem of its file, its address."""
    if not addresses_only:
        if match := _YOUTUBE.fullmatch(text):
            text = match[1]
        if VIDEO_ID.fullmatch(text):
            return text, f"https://www.youtube.com/watch?v={text}"
    if _ADDRESS.fullmatch(text):
        name = re.split(r"[?#]", text)[0].rstrip("/").rpartition("/")[2]
        return f"{safe_name(name.rpartition('.')[0] or name)}_{short_hash(text)}", text
    wanted = "" if addresses_only else "neither a video id of 11 characters nor "
    raise InputError(
        f"{where}: {text[:80]!r} is {wanted or 'not '}an http(s) address; "
        "correct it or remove the line."
    )


def _seconds(text: str, name: str, where: str) -> float | None:
    """Seconds from the beginning; None for an empty cell."""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < _MAX_SECONDS:
        raise InputError(
            f"{where}: the {name} {text[:40]!r} is no number of seconds; write one, or nothing."
        )
    return value


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
