"""How a training comes to have several processes: by torchrun, by SLURM's srun, or by `launch`.

The first two start them on as many machines as they like; for `--devices N` without them, `launch`
starts N processes here.
"""

import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

BAD_INPUT = 2  # the exit status of a command that told what is wrong


def launched() -> bool:
    """Is this one of several processes that a launcher started?"""
    return torchrun_ranks() > 1 or slurm_ranks() > 1


def is_lead() -> bool:
    """Is this the process that speaks for all?"""
    rank = "RANK" if torchrun_ranks() > 1 else "SLURM_PROCID"
    return not launched() or os.environ[rank] == "0"


def launch(devices: int) -> None:
    """Run this very command in `devices` processes of this machine, and exit as they do.

    Each is told its rank in the environment, as by torchrun. When one fails, the others are ended,
    and its stderr is shown: the first one's always, another's if the first had nothing to say.
    """
    # Imported here, as torch takes seconds to load.
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logs = tempfile.mkdtemp(prefix="trackssl-ranks-")
    others: dict[int, Std] = {rank: Std.ALL for rank in range(1, devices)}
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=f"trackssl-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=logs, redirects={0: Std.NONE, **others}),
    )
    os.environ["TRACKSSL_END_WITH_PARENT"] = "1"
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        elastic_launch(config, sys.executable)("-m", "trackssl.cli", *sys.argv[1:])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        told = 0 in error.failures and error.failures[0].exitcode == BAD_INPUT
        if rank and not told:
            for text in sorted(Path(logs).rglob(f"{rank}/stderr.log")):
                sys.stderr.write(text.read_text(encoding="utf-8", errors="replace"))
        sys.exit(failure.exitcode if failure.exitcode > 0 else 1)
    finally:
        shutil.rmtree(logs, ignore_errors=True)


def torchrun_ranks() -> int:
    """Processes that torchrun, or `launch`, started; 1 without it."""
    named = "TORCHELASTIC_RUN_ID" in os.environ and "LOCAL_WORLD_SIZE" in os.environ
    return int(os.environ.get("WORLD_SIZE", "1")) if named else 1


def slurm_ranks() -> int:
    """Tasks of the step that `srun` started; 1 without it, as in a batch script."""
    if "SLURM_PROCID" not in os.environ or "SLURM_STEP_NUM_TASKS" not in os.environ:
        return 1
    return int(os.environ["SLURM_STEP_NUM_TASKS"])
