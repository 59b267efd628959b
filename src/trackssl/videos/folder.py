"""Source `folder`: your own videos, searched recursively and used where they lie."""

import os
from pathlib import Path

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.videos.examine import Examiner
from trackssl.videos.sources import Item, distinct_ids

# A file of these is meant to be a video, so a broken one gets a row. Others are opened to find out.
VIDEO_SUFFIXES = (
    ".3g2", ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip
# Companions that never are one are not opened, which saves time in a folder of 100K videos.
OTHER_SUFFIXES = (
    ".csv", ".description", ".htm", ".html", ".jpeg", ".jpg", ".json", ".log", ".m4a", ".md",
    ".mp3", ".nfo", ".png", ".srt", ".txt", ".vtt", ".wav", ".webp", ".xml", ".yaml", ".yml",
)  # fmt: skip


def items(settings: Videos) -> list[Item]:
    """The videos below the folder, in the order of their relative paths; hidden ones are skipped.

    Raises InputError when there is no such folder or no video in it.
    """
    folder = Path(settings.folder or "")
    if not folder.is_dir():
        raise InputError(f"videos.folder: there is no folder {folder.absolute()}; check the path.")
    names = sorted(
        (path.relative_to(folder) for path in folder.rglob("*")), key=lambda name: name.parts
    )
    with Examiner() as examiner:
        names = [n for n in names if not _hidden(n) and _belongs(folder / n, examiner)]
    if not names:
        raise InputError(
            f"videos.folder: {folder} holds no videos; put some there or name another folder."
        )
    ids = distinct_ids([name.as_posix() for name in names])
    return [
        Item(video, _printable(folder / name), index)
        for index, (video, name) in enumerate(zip(ids, names, strict=True))
    ]


def _hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _belongs(path: Path, examiner: Examiner) -> bool:
    suffix = path.suffix.lower()
    if suffix in OTHER_SUFFIXES or not path.is_file():
        return False
    return suffix in VIDEO_SUFFIXES or examiner.is_video(path)


def _printable(path: Path) -> str:
    """The path as text that a table can hold; a name that is not UTF-8 then names no file."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
