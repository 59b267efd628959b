"""One file over a network that fails: streamed, bounded, and continued where it broke off.

A folder keeps the part that was had and a note of what it is a part of. Only if the server's answer
names the same length (and ETag or date, where it gave any) is it continued, else begun anew.
"""

import http.client
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

from trackssl.errors import InputError
from trackssl.files import write_json
from trackssl.videos.faults import DroppedError, StalledError, diagnose
from trackssl.videos.sources import UnavailableError
from trackssl.videos.web import Visit

_BLOCK_BYTES = 1 << 16
_SLOWEST_BYTES = 1000  # a second
_WHOLE = HTTPStatus.OK
_PART = HTTPStatus.PARTIAL_CONTENT
_NO_SUCH_PART = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


@dataclass(frozen=True)
class Remote:
    """What a server says of the whole file; `kind` is what the caller knows, such as a format."""

    length: int | None
    etag: str
    modified: str
    kind: str
    address: str

    @property
    def is_known(self) -> bool:
        """Whether the server said anything by which the file could be told from another."""
        return self.length is not None or bool(self.etag or self.modified)

    def is_same(self, other: "Remote") -> bool:
        """Whether parts of both belong together: known, and equal in all but the address."""
        return self.is_known and (self.length, self.etag, self.modified, self.kind) == (
            other.length, other.etag, other.modified, other.kind,
        )  # fmt: skip

    @classmethod
    def of(cls, answer: Any, kind: str, address: str) -> Self:
        """As the headers of an answer to a whole or partial request tell it."""
        headers = answer.headers
        if answer.status == _PART:
            total = (headers.get("Content-Range") or "").rpartition("/")[2]
        else:
            total = headers.get("Content-Length") or ""
        length = int(total) if re.fullmatch(r"[0-9]{1,18}", total) else None
        etag, modified = headers.get("ETag") or "", headers.get("Last-Modified") or ""
        return cls(length, "" if etag.startswith("W/") else etag, modified, kind, address)


class Part:
    """The folder of an unfinished file: `data` and the note of what it is a part of."""

    def __init__(self, folder: Path) -> None:
        self.data, self._note = folder / "data", folder / "note.json"

    @property
    def have(self) -> int:
        """Bytes that are there."""
        return self.data.stat().st_size if self.data.exists() else 0

    @property
    def remote(self) -> Remote | None:
        """What the data are a part of; None where that is unknown."""
        try:
            return Remote(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, remote: Remote) -> None:
        """Forget the old part; the note stands before the first byte."""
        self.data.unlink(missing_ok=True)
        self.note(remote)

    def note(self, remote: Remote) -> None:
        """Write down what the data are a part of."""
        write_json(self._note, asdict(remote))

    def drop(self) -> None:
        """Forget the part."""
        self.data.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def download(
    visit: Visit,
    address: str,
    folder: Path,
    kind: str = "",
    headers: Mapping[str, str] | None = None,
    chunk_bytes: int | None = None,
    answer: Any = None,
) -> Path:
    """Fetch a file to `data` in the folder, or go on with the part that lies there -> its path.

    `answer` is one to a request for all of it that was already made. `chunk_bytes` asks for pieces
    of that size, as YouTube wants it. Raises UnavailableError, after which what heals later may go
    on, and InputError when the disk has no room for it.
    """
    part, given = Part(folder), [answer] if answer is not None else []

    def attempt() -> None:
        while not _go_on(visit, address, part, kind, headers or {}, chunk_bytes, given):
            visit.web.pace.wait(address)

    if not given and _is_whole(part, kind):
        return part.data
    visit.persist(attempt, address, asked=bool(given))
    return part.data


def _is_whole(part: Part, kind: str) -> bool:
    remote = part.remote
    return remote is not None and remote.kind == kind and part.have == remote.length


def _go_on(
    visit: Visit,
    address: str,
    part: Part,
    kind: str,
    headers: Mapping[str, str],
    chunk_bytes: int | None,
    given: list[Any],
) -> bool:
    """One request and its body -> whether the file is whole. Raises as urllib, and Unavailable."""
    known, have = part.remote, part.have
    if have and not (known and known.kind == kind and known.is_known):
        part.drop()
        known, have = None, 0
    try:
        if given:
            answer, have = given.pop(), 0
        else:
            answer = visit.web.open(address, {**headers, **_range(have, chunk_bytes, known)})
    except Exception as error:
        if getattr(error, "status", None) != _NO_SUCH_PART or not (have and known):
            raise
        total = error.headers.get("Content-Range") or ""  # type: ignore[attr-defined]
        if total == f"bytes */{have}":  # an earlier length was too large
            part.note(replace(known, length=have))
            return True
        part.drop()  # the file became shorter
        return False
    with answer:
        remote = Remote.of(answer, kind, address)
        _check(visit, answer, remote)
        if answer.status == _PART:
            start = re.match(r"bytes ([0-9]+)-", answer.headers.get("Content-Range") or "")
            fits = start is not None and int(start[1]) == have
            if not fits or (have and not (known and known.is_same(remote))):
                part.drop()
                if not have:
                    raise DroppedError("another part than was asked for")
                return False
            if not have:
                part.begin(remote)
        else:
            part.begin(remote)
            have = 0
        _room(part.data, (remote.length or 0) - have)
        _save(visit, answer, part.data, have)
    if remote.length is None:
        return True
    if part.have < remote.length and not (chunk_bytes and answer.status == _PART):
        raise DroppedError("the body is shorter than its header says")
    if part.have > remote.length:
        part.drop()
        raise DroppedError("the body is longer than its header says")
    return part.have == remote.length


def _range(have: int, chunk_bytes: int | None, known: Remote | None) -> dict[str, str]:
    if not have and not chunk_bytes:
        return {}
    wanted = {"Range": f"bytes={have}-{have + chunk_bytes - 1 if chunk_bytes else ''}"}
    # Not by date: one that is less than a minute old is no strong validator to some servers.
    return wanted | ({"If-Range": known.etag} if have and known and known.etag else {})


def _check(visit: Visit, answer: Any, remote: Remote) -> None:
    """Refuse what is no video or too large by its headers. Raises UnavailableError."""
    if answer.status not in (_WHOLE, _PART):
        raise UnavailableError("download failed")
    if answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise UnavailableError("not a video page")
    if (remote.length or 0) > visit.settings.max_bytes:
        raise UnavailableError("too many bytes")


def _room(path: Path, more: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if more > free:
        raise InputError(
            f"{path.parent.parent}: the disk is full ({free:,} bytes are free, {more:,} are "
            "needed); make room and start again, it goes on."
        )


def _save(visit: Visit, answer: Any, path: Path, have: int) -> None:
    """Append the body to the file, at most `max_bytes` in all, whatever the headers said."""
    with path.open("ab", buffering=0) as file:
        for block in _blocks(answer, visit.settings.timeout_seconds):
            if have + len(block) > visit.settings.max_bytes:
                raise UnavailableError("too many bytes")
            _write(file, block)
            have += len(block)
            visit.progressed(have)


def _write(file: Any, block: bytes) -> None:
    rest = memoryview(block)
    while rest:  # a disk that fills up takes less than it is given, then raises
        rest = rest[file.write(rest) :]


def _blocks(answer: Any, timeout_seconds: float) -> Iterator[bytes]:
    """The body as it comes. Raises StalledError when too little comes, DroppedError at a break."""
    read = getattr(answer, "read1", answer.read)
    since, gained = time.monotonic(), 0
    while True:
        try:
            block = read(_BLOCK_BYTES)
        except (http.client.HTTPException, OSError) as error:
            fault = diagnose(error)
            raise StalledError if fault and fault.reason == "timeout" else DroppedError from error
        if not block:
            return
        yield block
        gained += len(block)
        if (seconds := time.monotonic() - since) > timeout_seconds:
            if gained < _SLOWEST_BYTES * seconds:
                raise StalledError
            since, gained = time.monotonic(), 0
