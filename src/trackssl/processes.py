"""Processes that do not outlive the one that started them."""

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL = 1  # prctl(2), PR_SET_PDEATHSIG


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends, even by SIGKILL. Linux only.

    Else a killed Snakemake leaves jobs behind that still write when it is started again.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it ended just before
        os.kill(os.getpid(), signal.SIGKILL)
