"""Batch norm over the whole batch where several processes hold a part of it each.

torch's SyncBatchNorm does so on GPUs and refuses tensors of the CPU, where `GatheredBatchNorm2d`
stands in for it. Both may be given unequal numbers of images, and both give the gradients of the
sum of all processes' losses: that of an input here, of their part of it for the parameters.
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn

_IMAGE_AXES = (0, 2, 3)


def synchronise_batch_norm(network: nn.Module, device: torch.device | None = None) -> nn.Module:
    """Replace each BatchNorm2d in place by one over all processes -> the same network.

    `device` is where it will run, if its parameters are not there yet. Parameters, buffers and
    their names stay. To be called after torch.distributed began; with one process nothing changes.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return network
    device = device or next(network.parameters()).device
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, GatheredBatchNorm2d(child))
    return network


class GatheredBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d of (N, C, H, W) by the statistics of all processes' images, on any device.

    It takes over the parameters and buffers of `plain`, which must have all that BatchNorm2d has by
    default. In eval mode it is BatchNorm2d.
    """

    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, plain: nn.BatchNorm2d) -> None:
        super().__init__(plain.num_features, plain.eps, plain.momentum)
        self._parameters.update(plain._parameters)
        self._buffers.update(plain._buffers)
        self.train(plain.training)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same, of mean 0 and variance 1 over all processes before weights."""
        if not self.training:
            return super().forward(x)
        mean, variance, count = _gathered_statistics(x.detach())
        unbiased = variance * count / (count - 1)
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
        self.num_batches_tracked.add_(1)
        scale = (variance + self.eps).rsqrt()
        return _Normalise.apply(x, self.weight, self.bias, mean, scale, count)


def _gathered_statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance (C,) and count () of all processes' values, float64, the same bits on each.

    Each process's own are joined as by Chan et al. 1979, which loses nothing where the mean is far
    from 0. A process may have no image at all.
    """
    count = x.numel() // x.shape[1]
    own = torch.zeros(3, x.shape[1], dtype=torch.float64, device=x.device)
    if count:
        variance, mean = torch.var_mean(_wide(x), _IMAGE_AXES, correction=0)
        own.copy_(torch.stack([torch.full_like(mean, count), mean, variance]))
    parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, own)
    counts, means, variances = torch.stack(parts, 1)  # (processes, C) each
    total = counts.sum(0)
    mean = (counts * means).sum(0) / total
    variance = (counts * (variances + (means - mean).square())).sum(0) / total
    return mean, variance, total[0]


class _Normalise(torch.autograd.Function):
    """(x - mean) * scale * weight + bias, where mean and scale are those of all processes' x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        scale: Tensor,
        count: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, scale, count)
        y = _standardised(x, mean, scale)
        return (y * _per_channel(weight, y) + _per_channel(bias, y)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, count = ctx.saved_tensors
        y = _standardised(x, mean, scale)
        gradient = gradients[0].to(y.dtype)
        of_bias = gradient.sum(_IMAGE_AXES)
        of_weight = (gradient * y).sum(_IMAGE_AXES)
        # The mean and the scale depend on every process's x, so all their gradients count.
        sums = torch.stack([of_bias, of_weight]).double()
        distributed.all_reduce(sums)
        through_mean, through_scale = (_per_channel(each / count, y) for each in sums)
        of_x = (gradient - through_mean - y * through_scale) * _per_channel(scale * weight, y)
        return of_x.to(x.dtype), of_weight, of_bias, None, None, None


def _wide(x: Tensor) -> Tensor:
    """At least float32, also where automatic mixed precision made it less."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    """(C,) as (C, 1, 1) of the precision of `like`."""
    return values.to(like.dtype)[:, None, None]


def _standardised(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    wide = _wide(x)
    return (wide - _per_channel(mean, wide)) * _per_channel(scale, wide)
