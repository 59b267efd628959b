"""The ids of the videos that the authors' released pairs are of, out of their pair list."""

from pathlib import Path
from typing import NamedTuple

from trackssl.errors import InputError
from trackssl.files import write_text
from trackssl.videos.lists import VIDEO_ID

_MAX_LINE_BYTES = 8192


class Listed(NamedTuple):
    """How many ids were written, of how many folders and lines."""

    videos: int
    folders: int
    lines: int


def video_list(pairs: Path, out: Path) -> Listed:
    """Write the ids of a list of lines `<folder>/<video id>/<name>.jpg label`, each once, in order.

    An id is the folder in which a patch lies, if it has the form of one; memory grows with the
    number of folders only. Raises InputError when the list cannot be read or names no id.
    """
    folders: dict[str, None] = {}
    lines = 0
    try:
        with pairs.open("rb") as file:
            while line := file.readline(_MAX_LINE_BYTES):
                lines += 1
                path = line.decode("utf-8", "replace").rpartition(" ")[0]
                folders[path.rpartition("/")[0].rpartition("/")[2]] = None
    except OSError as error:
        raise InputError(
            f"{pairs}: the list cannot be read ({error.strerror}); check the path."
        ) from None
    ids = [name for name in folders if VIDEO_ID.fullmatch(name)]
    if not ids:
        raise InputError(
            f"{pairs}: no line is `<folder>/<video id>/<name>.jpg label` with an id of 11 "
            "characters; give the authors' list of pairs."
        )
    write_text(out, "".join(f"{name}\n" for name in ids))
    return Listed(len(ids), len(folders), lines)
