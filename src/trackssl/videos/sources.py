"""What a source of videos is: a list of items, each with an id, and a way to get one."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from trackssl.videos import decode

# Why a video could not be had from where it lies; what is wrong with a file is in decode.REASONS.
NETWORK_REASONS = (
    "timeout", "server error", "throttled", "connection dropped", "no connection", "not found",
    "refused", "redirect loop", "not a web address", "bad certificate", "private", "age limit",
    "removed", "not in this country", "no fitting stream", "not a video page",
    "not a single video", "live", "too long", "too many bytes", "unsafe name", "not a plain file",
    "download failed",
)  # fmt: skip
# Why a file that was had is of no use, or odd.
FILE_REASONS = ("decoder failed", "decoder too slow", "begins after its end")
# All that a manifest may say; the first two are those of videos that are ok.
REASONS = ("", "breaks off", *decode.REASONS, *NETWORK_REASONS, *FILE_REASONS)
# What may be otherwise at the next run, which then goes on with the part that is there.
PASSING = ("timeout", "server error", "throttled", "connection dropped", "no connection")


@dataclass(frozen=True)
class Item:
    """One video of a source: its id (letters, digits, _ and -), where it comes from, its number.

    `file` is the stem of its file in the store, where that is not the id: parts of one video share
    the file. `start` and `end` are the seconds between which it is wanted, `query` its label.
    """

    video: str
    source: str
    index: int = 0
    file: str = ""
    start: float | None = None
    end: float | None = None
    query: str = ""

    @property
    def stem(self) -> str:
        """The stem of the file in the store."""
        return self.file or self.video


class UnavailableError(Exception):
    """A video that cannot be had; `reason` is one of `REASONS`."""

    def __init__(self, reason: str) -> None:
        if reason not in REASONS:
            raise ValueError(f"{reason!r} is not among the reasons of a manifest")
        super().__init__(reason)
        self.reason = reason


def safe_name(text: str) -> str:
    """The allowed characters of a text, at most 64, as part of an id and of a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:64] or "video"


def short_hash(text: str) -> str:
    """Ten hex digits that tell texts of one safe name apart."""
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]


def distinct_ids(names: Sequence[str]) -> list[str]:
    """An id a name: its stem's safe characters, with a hash of the name where ids would be equal.

    Names are relative paths with `/`. Equal means equal on a disk that ignores case.
    """
    stems = [safe_name(name.rpartition("/")[2].rpartition(".")[0] or name) for name in names]
    count = Counter(stem.lower() for stem in stems)
    return [
        stem if count[stem.lower()] == 1 else f"{stem}_{short_hash(name)}"
        for stem, name in zip(stems, names, strict=True)
    ]
