"""What a video file holds, found out in a process that can be lost.

Files from outside may hang, kill or bloat a decoder. A server process imports the decoder once;
for each file it forks a child with limits on time and memory, which answers with a line of JSON.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from trackssl.processes import end_with_parent
from trackssl.videos.decode import REASONS, VideoError, VideoInfo, probe
from trackssl.videos.sources import UnavailableError

_MAX_ANSWER_BYTES = 65_536
_SLOWEST_BYTES = 5_000_000  # a second that a disk reads at least
_SLOW, _FAILED = "decoder too slow", "decoder failed"


@dataclass(frozen=True)
class Limits:
    """What examining one file may take; a large file has more seconds."""

    seconds: int = 120
    cpu_seconds: int = 60
    memory_bytes: int = 4 << 30


class Examiner:
    """Examines files one after the other; the server process starts with the first."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server:
            self._server.kill()
            self._server.communicate()
            self._server = None

    def examine(self, path: Path) -> VideoInfo:
        """As `decode.probe`. Raises VideoError, and UnavailableError where a limit was passed."""
        if not path.is_file():
            raise VideoError(path, "missing file")
        answer = self._ask({"path": os.fsdecode(path), **asdict(self._limits)})
        if "reason" in answer:
            reason = answer["reason"]
            raise VideoError(path, reason) if reason in REASONS else UnavailableError(reason)
        return VideoInfo(**answer)

    def is_video(self, path: Path) -> bool:
        """Whether a frame can be had within the limits."""
        try:
            return self.examine(path).frames >= 0
        except (VideoError, UnavailableError):
            return False

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        for _ in range(2):  # a server that was ended from outside is replaced once
            self._server = self._server or _start()
            pipe = self._server
            assert pipe.stdin and pipe.stdout
            try:
                pipe.stdin.write(json.dumps(question).encode() + b"\n")
                pipe.stdin.flush()
                if line := pipe.stdout.readline(_MAX_ANSWER_BYTES):
                    answer: dict[str, Any] = json.loads(line)
                    return answer
            except (OSError, ValueError):
                pass
            self.__exit__(None, None, None)
        return {"reason": _FAILED}


def _start() -> "subprocess.Popen[bytes]":
    # -P: the working folder may hold a file that bears the name of a module.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "trackssl.videos.examine"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Threads of numerical libraries would claim memory that counts against the limit.
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )


def _serve() -> None:
    """Answer questions from stdin on stdout, each by a child, until stdin ends."""
    end_with_parent()
    for line in sys.stdin.buffer:
        question = json.loads(line)
        path, limits = Path(question.pop("path")), Limits(**question)
        answer = json.dumps(_by_child(path, limits)) + "\n"
        try:
            os.write(1, answer.encode())
        except BrokenPipeError:  # who asked was killed
            return


def _by_child(path: Path, limits: Limits) -> dict[str, Any]:
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        _answer(sender, path, limits)
    os.close(sender)
    with open(receiver, "rb") as pipe:  # noqa: PTH123
        text = pipe.read(_MAX_ANSWER_BYTES)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        slow = os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGXCPU)
        return {"reason": _SLOW if slow else _FAILED}
    try:
        answer: dict[str, Any] = json.loads(text)
        return answer
    except ValueError:
        return {"reason": _FAILED}


def _answer(sender: int, path: Path, limits: Limits) -> None:
    """Examine a file within the limits, write what was found to a pipe, and end."""
    try:
        end_with_parent()
        more = path.stat().st_size // _SLOWEST_BYTES
        # Signals without handlers end the process even inside a decoder.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(limits.seconds + more)
        _lower(resource.RLIMIT_CPU, limits.cpu_seconds + more)
        _lower(resource.RLIMIT_AS, limits.memory_bytes)
        _lower(resource.RLIMIT_FSIZE, 0)
        _lower(resource.RLIMIT_CORE, 0)
        try:
            answer: dict[str, Any] = asdict(probe(path))
        except VideoError as error:
            answer = {"reason": error.reason}
        os.write(sender, json.dumps(answer).encode())
        os._exit(0)
    finally:
        os._exit(1)  # whatever else was raised


def _lower(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    above = limit + 5 if hard == resource.RLIM_INFINITY else hard  # else SIGKILL tells no reason
    resource.setrlimit(kind, (limit, above if kind == resource.RLIMIT_CPU else limit))


if __name__ == "__main__":
    _serve()
