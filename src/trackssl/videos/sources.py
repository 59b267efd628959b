"""What a source of videos is: a list of items, each with an id, and a way to get one."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True)
class Item:
    """One video of a source: its id (letters, digits, _ and -), where it comes from, its number."""

    video: str
    source: str
    index: int = 0


class UnavailableError(Exception):
    """A video that cannot be had; the text is a short reason for its row of the manifest."""


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
