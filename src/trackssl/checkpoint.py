"""What a killed run goes on from: its state in one file, and a log cut back to that state."""

import copy
import json
import os
import pickle
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from trackssl.errors import InputError
from trackssl.files import whole_file

VERSION = 1


class Checkpoint:
    """One file: network, optimiser, iterations done, last logged loss and length of the log."""

    def __init__(self, path: Path, network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        self.path, self.network, self.optimiser = path, network, optimiser
        self._thread = ThreadPoolExecutor(1)
        self._written: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()  # the last one is whole before the run goes on

    def save(self, done: int, loss: float, log_bytes: int) -> None:
        """Write the state, whole or not at all."""
        self._write(self._state(done, loss, log_bytes))

    def save_behind(self, done: int, loss: float, log_bytes: int) -> None:
        """Copy the state and write it while the training goes on. Raises what the last one did."""
        if self._written is not None:
            self._written.result()
        state = copy.deepcopy(self._state(done, loss, log_bytes))
        self._written = self._thread.submit(self._write, state)

    def _state(self, done: int, loss: float, log_bytes: int) -> dict[str, Any]:
        return {
            "version": VERSION,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "run": (done, loss, log_bytes),
        }

    def _write(self, state: dict[str, Any]) -> None:
        with whole_file(self.path) as part:
            torch.save(state, part)

    def load(self) -> tuple[int, float, int]:
        """Put the state back -> iterations done, loss, bytes of the log; 0, NaN, 0 for a new run.

        Raises InputError if the file is damaged or of another version.
        """
        if not self.path.exists():
            return 0, float("nan"), 0
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            if (found := state.get("version")) != VERSION:
                raise InputError(
                    f"{self.path}: this checkpoint is of version {found}, this program writes "
                    f"{VERSION}; delete its folder to start anew, or finish it with the program "
                    "that began it."
                )
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            done, loss, log_bytes = state["run"]
        except InputError:
            raise
        except _UNREADABLE:
            raise InputError(
                f"{self.path}: this checkpoint cannot be read; delete its folder to start anew."
            ) from None
        return done, loss, log_bytes


_UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    pickle.UnpicklingError,
)


class Log:
    """JSON lines, each flushed; opened with its first `length` bytes kept and the rest cut off."""

    def __init__(self, path: Path, length: int) -> None:
        self.file = path.open("ab")
        self.file.truncate(length)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, **values: Any) -> None:
        """Add a line."""
        self.file.write(json.dumps(values).encode() + b"\n")
        self.file.flush()

    def bytes_on_disk(self) -> int:
        """Length of the log, once all of it is on the disk."""
        os.fsync(self.file.fileno())
        return os.fstat(self.file.fileno()).st_size
