"""A file from one address: in pieces over several connections, or in one go; with tries."""

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from trackssl.datasets.checksums import HASHLIB, Checksum
from trackssl.datasets.meter import Meter
from trackssl.datasets.parts import Part, require_room
from trackssl.datasets.transport import (
    Answer,
    ChangedError,
    Limits,
    PassingError,
    RefusedError,
    UnreachableError,
    ask,
)
from trackssl.errors import InputError

TURNS = 3  # a file may change once on the way, and once have been joined wrongly


class _StoppedError(Exception):
    """Another thread has failed."""


class Fetch:
    """One file from one address."""

    def __init__(
        self,
        address: str,
        part: Part,
        checksum: str | None,
        kind: Checksum,
        size: int | None,
        room_bytes: int,
        copies: int,
        limits: Limits,
    ) -> None:
        self.address, self.part, self.limits = address, part, limits
        self.checksum, self.kind, self.size = checksum, kind, size
        self.room_bytes, self.copies = room_bytes, copies
        self.stop = threading.Event()
        self.reached = False  # the server has answered once
        self.workers = limits.connections
        self.counting = threading.Lock()

    def run(self) -> str:
        """Fetch, compare and rename the file. Raises FailureError."""
        for turn in range(TURNS):
            try:
                self._fill(plain=turn == TURNS - 1)
            except ChangedError:
                self.part.empty()
                continue
            found = self.part.digest(HASHLIB[self.kind])
            if self.checksum in (None, found):
                self.part.finish()
                return found
            joined = self.part.joined
            self.part.empty()
            if not joined:
                raise RefusedError(
                    f"the file's {self.kind} is {found}, not {self.checksum}, and it was removed"
                )
        raise RefusedError("the file changes while it is fetched")

    def _fill(self, plain: bool) -> None:
        """Get what is missing. `plain`: in one go, as if there were no ranges."""
        part, limits = self.part, self.limits
        self.stop.clear()
        if plain:
            self._whole(None)
            return
        first = None
        same = part.address == self.address and part.identity is not None
        if part.length is None or not (same or self.checksum):
            first = self._patiently((0, limits.piece_bytes), None)
            if not first.ranges:
                self._whole(first)
                return
            if first.identity is None and self.checksum is None:
                first.body.close()
                self._whole(None)
                return
            assert first.length is not None
            self._check_size(first)
            part.begin(self.address, first.identity, first.length, limits.piece_bytes)
        elif missing := part.missing():
            needed = part.length * self.copies - sum(part.had) + self.room_bytes
            require_room(part.path.parent, needed, part.path.name)
            first = self._patiently(part.stretch(missing[0]), part.identity if same else None)
            self._compare(first, part.identity if same else None)
            part.continue_from(self.address, first.identity)
        self._pieces(first)

    def _check_size(self, answer: Answer) -> None:
        """Refuse a file that is not the known one, or that the disk cannot hold."""
        size = answer.length
        if size is None:
            return
        if self.size not in (None, size):
            answer.body.close()
            raise RefusedError(f"the server offers {size} bytes, but the file has {self.size}")
        needed = size * self.copies - sum(self.part.had) + self.room_bytes
        require_room(self.part.path.parent, needed, self.part.path.name)

    def _compare(self, answer: Answer, identity: str | None) -> None:
        """Refuse to join what is of another file."""
        other = answer.length != self.part.length or not answer.ranges
        if other or identity not in (None, answer.identity):
            answer.body.close()
            raise ChangedError("the file changes while it is fetched")

    def _patiently(self, stretch: tuple[int, int] | None, identity: str | None) -> Answer:
        """`ask`, again and again where that may help."""
        tries = 0
        while True:
            try:
                answer = ask(self.address, self.limits, stretch, identity)
                self.reached = True
                return answer
            except PassingError as failure:
                tries += 1
                self._wait(failure, tries)

    def _wait(self, failure: PassingError, tries: int) -> None:
        """Sleep before the next try, or give up: raises the failure then."""
        hopeless = isinstance(failure, UnreachableError) and not self.reached
        if hopeless or tries >= self.limits.tries:
            raise failure
        wait = self.limits.first_wait_seconds * 2 ** (tries - 1)
        if self.stop.wait(min(max(wait, failure.wait_seconds), self.limits.max_wait_seconds)):
            raise _StoppedError

    def _whole(self, answer: Answer | None) -> None:
        """The whole file over one connection; a broken one begins anew."""
        tries = 0
        while True:
            self.part.empty()
            answer = answer or self._patiently(None, None)
            self._check_size(answer)
            done = 0
            try:
                with Meter(self.part.path.name, answer.length or self.size) as meter:
                    for chunk in answer.chunks(self.limits):
                        self.part.write_at(done, chunk)
                        done += len(chunk)
                        meter.add(len(chunk))
                        if self.size is not None and done > self.size:
                            raise RefusedError(f"the server sends more than {self.size} bytes")
                if self.size not in (None, done):
                    raise PassingError(f"the server sent {done} bytes, the file has {self.size}")
                return
            except PassingError as failure:
                answer = None
                tries += 1
                self._wait(failure, tries)

    def _pieces(self, first: Answer | None) -> None:
        """The missing pieces over several connections; `first` is the answer to the first of them.

        A connection that the server has no room for ends; fewer get what is then missing.
        """
        part = self.part
        self.workers = self.limits.connections if part.identity else 1
        try:
            with Meter(part.path.name, part.length, sum(part.had)) as meter:
                while missing := part.missing():
                    self.workers = count = max(1, min(self.workers, len(missing)))
                    self.stop.clear()
                    self._round(deque(missing), [first, *[None] * (count - 1)], meter)
                    first = None
        finally:
            with suppress(InputError):  # where the disk is full, the last notes hold
                part.save()

    def _round(self, todo: deque[int], answers: list[Answer | None], meter: Meter) -> None:
        """Get pieces, a connection for each of `answers`. Raises what a failing one raised."""
        with ThreadPoolExecutor(len(answers)) as pool:
            jobs = [pool.submit(self._work, todo, meter, answer) for answer in answers]
            try:
                for job in jobs:
                    with suppress(_StoppedError):
                        job.result()
            finally:
                self.stop.set()

    def _work(self, todo: deque[int], meter: Meter, answer: Answer | None) -> None:
        """One connection's share."""
        try:
            while not self.stop.is_set():
                try:
                    piece = todo.popleft()
                except IndexError:
                    return
                if not self._piece(piece, meter, answer):
                    return
                answer = None
                self.part.save()
        except BaseException:
            self.stop.set()
            raise

    def _piece(self, piece: int, meter: Meter, answer: Answer | None) -> bool:
        """One piece, with as many tries as it takes while it grows; False: come with fewer."""
        tries = 0
        while left := len(range(*self.part.stretch(piece))):
            try:
                if answer is None:
                    stretch, identity = self.part.stretch(piece), self.part.identity
                    answer = ask(self.address, self.limits, stretch, identity)
                    self._compare(answer, identity)
                grown = self._fill_piece(piece, answer, meter)
                failure = PassingError("the server sent less than was asked for")
            except PassingError as passing:
                failure = passing
                grown = left - len(range(*self.part.stretch(piece)))
            answer = None
            if grown < left:
                if failure.full and self._one_less():
                    self.stop.wait(min(failure.wait_seconds, self.limits.max_wait_seconds))
                    return False
                tries = 1 if grown * 16 >= self.part.piece_bytes else tries + 1
                self._wait(failure, tries)
        return True

    def _fill_piece(self, piece: int, answer: Answer, meter: Meter) -> int:
        """Write a piece's bytes as they arrive; returns how many."""
        before = self.part.had[piece]
        for chunk in answer.chunks(self.limits):
            wanted = chunk[: len(range(*self.part.stretch(piece)))]  # some send more than asked
            self.part.write(piece, wanted)
            meter.add(len(wanted))
            if self.stop.is_set():
                raise _StoppedError
            if len(wanted) < len(chunk):
                answer.body.close()
                break
        return self.part.had[piece] - before

    def _one_less(self) -> bool:
        """Whether this connection may end, as others go on."""
        with self.counting:
            if self.workers == 1:
                return False
            self.workers -= 1
            return True
