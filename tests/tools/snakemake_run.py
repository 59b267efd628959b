"""Snakemake on a small config in a folder of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]

# The smallest run that still does everything: what is absent here has the paper's value.
TINY = {
    "torch_threads": 1,
    "gpus": 0,
    "mining": {
        "frame_height_px": 240,
        "frame_width_px": 320,
        "patch_px": 99,
        "start_every_frames": 12,
    },
    "network": {"width": 0.125, "input_px": 67},
    "pretraining": {
        "sets": {
            "1_5m": {"size": 10, "epochs": 2},
            "5m": {"size": 20, "epochs": 2},
            "8m": {"size": 30, "epochs": 2},
        },
        "batch_pairs": 5,
    },
    "proposals": {"max_windows": 60},
    "finetuning": {"iterations": 8, "lr_step_iterations": 6, "batch_windows": 32},
}


class Pipeline:
    """A working folder with a config of its own, in which the real Snakefile runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = [
            str(Path(sys.executable).with_name("snakemake")),
            *("--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "2"),
        ]

    def configure(self, values: dict) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    def start(self, *arguments: str) -> subprocess.Popen:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, timeout: float = 900) -> tuple[int, str]:
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:
            kill_group(process)
        return process.returncode, output

    def kill_when(self, ready: Callable[[], bool], *arguments: str, timeout: float = 600) -> None:
        """Start, wait for the moment, and end Snakemake and all its jobs with SIGKILL."""
        process = self.start(*arguments)
        deadline = time.monotonic() + timeout
        try:
            while not ready():
                assert process.poll() is None, process.communicate()[0]
                assert time.monotonic() < deadline, "the moment to kill never came"
                time.sleep(0.005)
        finally:
            kill_group(process)
        process.communicate()


def kill_group(process: subprocess.Popen) -> None:
    """End a process and its children, whatever they do."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
