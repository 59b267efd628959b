"""The training loop of the ranking task, with checkpoints from which a killed run goes on exactly.

On one CPU type and number of threads, a run on one or two processes that was killed at any moment
and started again writes the same bits as one that was not. SGD is torch's: it applies the learning
rate to the momentum, Caffe to each new gradient; the two differ only in the iterations after the
rate falls.
"""

import math
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from trackssl.checkpoint import Checkpoint, Log
from trackssl.config import Pretraining
from trackssl.devices import gather, gather_features, open_fabric
from trackssl.errors import InputError
from trackssl.files import Progress
from trackssl.networks.batch_norm import synchronise_batch_norm
from trackssl.networks.heads import parameter_groups
from trackssl.pairs.dataset import Batch, PairDataset
from trackssl.pretraining.collapse import CollapseWatch
from trackssl.pretraining.ranking import RankingResult, ranking_loss
from trackssl.pretraining.reporting import Curves, StatusLine
from trackssl.pretraining.schedule import Schedule
from trackssl.randomness import derive_seed

LOG_STEPS = 100  # a line at least so often, so that a collapse is named within 200 steps


def train(
    network: nn.Module,
    dataset: PairDataset,
    schedule: Schedule,
    settings: Pretraining,
    seed: int,
    progress: Progress | Path,
    log_every: int | None = None,
    *,
    fabric: Fabric | None = None,
    curves: Path | None = None,
    on_epoch: Callable[[int], object] | None = None,
) -> float:
    """Train a ranking network in place on all batches of the schedule -> loss of the last one.

    `progress` keeps the checkpoint and `log.jsonl`: a line each `log_every` iterations (10; in runs
    of over 10,000 more, up to 100) and for the last. `curves` is a folder for TensorBoard. Each
    process of `fabric` (one, where none is given) learns from its part of each batch; negatives
    come from the whole. `on_epoch` is called with 0 before the first iteration and with the number
    of each epoch when its last pair was seen.

    Raises InputError for bad pairs, a loss without limits, or features that stay collapsed.
    """
    fabric = fabric or open_fabric(precision=settings.precision)
    if fabric.world_size > 1:
        network = synchronise_batch_norm(network, fabric.device)
    groups = parameter_groups(network, schedule.learning_rate, settings.weight_decay)
    optimiser = torch.optim.SGD(groups, schedule.learning_rate, momentum=settings.momentum)
    compiled: Any = torch.compile(network) if settings.compile else network
    model, stepper = fabric.setup(compiled, optimiser)
    log_every = log_every or min(LOG_STEPS, max(10, schedule.iterations // 1000))
    with ExitStack() as stack:
        checkpoint = stack.enter_context(Checkpoint(progress / "checkpoint.pt", network, optimiser))
        start, loss, log_bytes = checkpoint.load()
        _agree(fabric, start)
        report = None
        if fabric.is_global_zero:
            log = progress / "log.jsonl"
            report = _Report(log, log_bytes, start, schedule.iterations, settings, curves, stack)
        if on_epoch and not start:
            on_epoch(0)
        batches = dataset.batches(start, schedule.iterations, fabric.global_rank, fabric.world_size)
        logged = start
        saved_at = logged_at = time.monotonic()
        for iteration, batch in enumerate(batches, start):
            rate, hard = schedule.rate(iteration), iteration >= schedule.hard_from
            for group in optimiser.param_groups:
                group["lr"] = rate * group["lr_factor"]
            draws = torch.Generator().manual_seed(derive_seed(seed, "negatives", iteration))
            result = _rank(model, batch, hard, settings, draws, fabric)
            stepper.zero_grad()
            # Each process has the whole loss, but the gradient of its own features alone; what
            # averages over the processes is to be their sum.
            fabric.backward(result.loss * fabric.world_size)
            stepper.step()

            done, now = iteration + 1, time.monotonic()
            if done % log_every == 0 or done == schedule.iterations:
                loss = _finite(result.loss.item(), done)
                speed = 2 * dataset.batch_pairs * (done - logged) / max(now - logged_at, 1e-9)
                logged, logged_at = done, now
                if report:
                    report.step(
                        iteration=done,
                        epoch=round(done * dataset.batch_pairs / len(dataset), 4),
                        loss=loss,
                        violated_share=result.violated_share.item(),
                        spread=result.spread.item(),
                        learning_rate=rate,
                        hard_negatives=hard,
                        images_per_second=round(speed, 1),
                    )
            if report and _due(settings, done, now - saved_at):
                checkpoint.save_behind(done, loss, report.log.bytes_on_disk())
                saved_at = now
            epoch = done * dataset.batch_pairs // len(dataset)
            if on_epoch and epoch > iteration * dataset.batch_pairs // len(dataset):
                on_epoch(epoch)
        if report and (warning := report.watch.at_end(loss)) is not None:
            report.warn(warning)
    return loss


class _Report:
    """What the first process tells of a run: its log, its state on stderr, its curves."""

    def __init__(
        self,
        log: Path,
        log_bytes: int,
        start: int,
        iterations: int,
        settings: Pretraining,
        curves: Path | None,
        stack: ExitStack,
    ) -> None:
        self.watch = CollapseWatch(settings)
        self.watch.replay(log, log_bytes)
        self.curves = stack.enter_context(Curves(curves, log, log_bytes)) if curves else None
        self.log = stack.enter_context(Log(log, log_bytes))
        self.status = stack.enter_context(StatusLine("ranking", start, iterations))

    def step(self, **line: Any) -> None:
        """Tell of an iteration. Raises InputError when nothing more is to be hoped for."""
        done, loss = line["iteration"], line["loss"]
        self.log.write(**line)
        self.status.update(done, loss, line["violated_share"], line["images_per_second"])
        if self.curves:
            self.curves.add(line)
        if (warning := self.watch.see(done, loss, line["spread"])) is not None:
            self.warn(warning)
        self.watch.stop_if_hopeless(done)

    def warn(self, warning: str) -> None:
        """Say it in the log and on stderr."""
        self.log.write(warning=warning)
        print(f"warning: {warning}", file=sys.stderr)


def _rank(
    model: nn.Module,
    batch: Batch,
    hard: bool,
    settings: Pretraining,
    draws: torch.Generator,
    fabric: Fabric,
) -> RankingResult:
    own = fabric.to_device(torch.cat([batch.first, batch.last]))  # (2b, 3, H, W)
    features: Tensor = model(own).unflatten(0, (2, -1)).transpose(0, 1)  # (b, 2, D)
    first, last = gather_features(features, len(batch.videos), fabric).unbind(1)  # (B, D)
    return ranking_loss(first, last, batch.videos, hard, settings, draws)


def _due(settings: Pretraining, done: int, seconds: float) -> bool:
    every = settings.checkpoint_every_iterations
    return seconds >= settings.checkpoint_every_seconds or bool(every and done % every == 0)


def _agree(fabric: Fabric, start: int) -> None:
    """Raise InputError unless all processes go on from the same iteration."""
    if fabric.world_size == 1:
        return
    starts = [int(part) for part in gather(torch.tensor(start, device=fabric.device), fabric)]
    if len(set(starts)) > 1:
        raise InputError(
            f"The processes see different checkpoints (of the iterations {starts}); put the "
            "progress folder on a disk that all machines share."
        )


def _finite(loss: float, iteration: int) -> float:
    if not math.isfinite(loss):
        raise InputError(
            f"The loss is {loss} at iteration {iteration}: the training diverged; lower "
            "learning_rate and delete the progress folder."
        )
    return loss
