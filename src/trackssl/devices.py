"""The devices of a training, by Lightning Fabric, and what its processes do together.

A process is a rank and drives one device: a GPU, or the CPU through gloo. How many there are
changes neither the batches nor, but for rounding, the gradients.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor

from trackssl.config import Device, Precision
from trackssl.errors import InputError
from trackssl.launching import slurm_ranks, torchrun_ranks

T = TypeVar("T")
_FABRIC_PRECISION = {"float32": "32-true", "tf32": "32-true", "bfloat16": "bf16-mixed"}


def open_fabric(device: Device = "auto", precision: Precision = "float32") -> Fabric:
    """Lightning Fabric for this process and its launcher's others, ready for use.

    bfloat16: automatic mixed precision; tf32: float32 whose products a GPU rounds to 10 bits;
    float32: nothing is rounded. Raises InputError if there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device is at hand; use --device cpu, or auto.")
    cuda = torch.cuda.is_available() and device != "cpu"
    environment: ClusterEnvironment = LightningEnvironment()
    nodes = here = 1
    if (ranks := torchrun_ranks()) > 1:
        environment = TorchElasticEnvironment()
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = ranks // here
    elif (ranks := slurm_ranks()) > 1:
        nodes = int(os.environ["SLURM_NNODES"])
        here = ranks // nodes
        if os.environ.get("SLURM_NTASKS_PER_NODE") != str(here) or here * nodes != ranks:
            raise InputError(
                f"SLURM started {ranks} tasks on {nodes} nodes; say how many each node gets: "
                "srun --nodes N --ntasks-per-node M."
            )
        environment = SLURMEnvironment(auto_requeue=False)
    if cuda and here > torch.cuda.device_count():
        raise InputError(
            f"{here} processes were started here, but there are {torch.cuda.device_count()} GPUs; "
            "start one for each GPU."
        )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=here,
        num_nodes=nodes,
        strategy=DDPStrategy(gradient_as_bucket_view=True) if here * nodes > 1 else "auto",
        precision=_FABRIC_PRECISION[precision],  # type: ignore[arg-type]
        plugins=[environment],
    )
    fabric.launch()
    torch.use_deterministic_algorithms(not cuda)
    if cuda:
        torch.set_float32_matmul_precision("highest" if precision == "float32" else "high")
        torch.backends.cudnn.allow_tf32 = precision != "float32"
        torch.backends.cudnn.benchmark = True
    return fabric


def gather_features(own: Tensor, count: int, fabric: Fabric) -> Tensor:
    """Features of the whole batch (count, ...) from each process's own (b, ...), in rank order.

    The own part keeps its gradient. Parts are those of `numpy.array_split`: some may hold one more.
    """
    ranks = fabric.world_size
    if ranks == 1:
        return own
    sizes = [count // ranks + (rank < count % ranks) for rank in range(ranks)]
    padded = own.new_zeros((sizes[0], *own.shape[1:]))
    padded[: len(own)] = own.detach()
    parts = [part[:size] for part, size in zip(gather(padded, fabric), sizes, strict=True)]
    parts[fabric.global_rank] = own
    return torch.cat(parts)


def gather(own: Tensor, fabric: Fabric) -> list[Tensor]:
    """The tensors, all of one shape, of all processes in rank order; without gradients."""
    parts = [torch.empty_like(own) for _ in range(fabric.world_size)]
    torch.distributed.all_gather(parts, own)
    return parts


def lead_first(fabric: Fabric, make: Callable[[], T]) -> T:
    """`make()` in each process, in the first one before the others: so bad input is told once."""
    if fabric.is_global_zero:
        made = make()
        fabric.barrier()
    else:
        fabric.barrier()
        made = make()
    return made


@contextmanager
def with_others(fabric: Fabric) -> Iterator[None]:
    """Work of several processes; one that loses the others says so and exits with status 1."""
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
        if fabric.world_size == 1 or not lost:
            raise
        raise SystemExit(
            f"process {fabric.global_rank} of {fabric.world_size} lost the others; what ended them "
            "stands in their own messages, and the same command goes on from the last checkpoint."
        ) from None
    if fabric.world_size > 1:
        torch.distributed.destroy_process_group()
