"""What a device can do, and what a network asks of it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from rounds import clock
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

PRECISIONS = ("float32", "tf32", "bfloat16")


def gflop_per_image(network: nn.Module, input_px: int) -> tuple[float, float]:
    """Forward and backward of an image -> (by layers, by torch's counter), 10^9 operations.

    By layers: three times the forward of convolutions and fully connected layers, without the
    first one's gradient of its input, which nothing needs. torch's counter also counts products
    that serve the normalisation, and a grouped convolution's gradient as if it had no groups.
    """
    images = torch.zeros(2, 3, input_px, input_px, dtype=torch.uint8)
    with FlopCounterMode(display=False) as forward:
        features = network(images)
    name = type(network).__name__
    layers = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    work = [sum(forward.get_flop_counts()[f"{name}.{layer}"].values()) for layer in layers]
    with FlopCounterMode(display=False) as backward:
        features.sum().backward()
    counted = forward.get_total_flops() + backward.get_total_flops()
    return (3 * sum(work) - work[0]) / 2e9, counted / 2e9


def peak_flops(device: torch.device, side: int, precision: str = "float32") -> float:
    """Operations a second of the product of two square matrices of a side."""
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    with computing_in(precision):
        a = torch.rand(side, side, device=device).to(kind)
        repeats = 20 if device.type == "cuda" else 1
        a @ a
        begin = clock(device)
        for _ in range(repeats):
            a @ a
        return repeats * 2 * side**3 / (clock(device) - begin)


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Products of float32 numbers in full, or on a GPU in TF32, throughout the block."""
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value
