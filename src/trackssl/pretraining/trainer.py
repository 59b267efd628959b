"""The training loop of the ranking task, with checkpoints from which a killed run goes on exactly.

On one CPU type and number of threads, a run that was killed at any moment and started again writes
the same bits as one that was not. SGD is torch's: it applies the learning rate to the momentum,
Caffe to each new gradient; the two differ only in the iterations after the rate falls.
"""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from torch import nn

from trackssl.checkpoint import Checkpoint, Log
from trackssl.config import Pretraining
from trackssl.errors import InputError
from trackssl.files import Progress
from trackssl.networks.alexnet import RankingNetwork, parameter_groups
from trackssl.pairs.dataset import Batch, PairDataset
from trackssl.pretraining.ranking import RankingResult, ranking_loss
from trackssl.pretraining.schedule import Schedule
from trackssl.randomness import derive_seed

COLLAPSED_SHARE = 0.98  # a loss of this share of the margin or more sits at the margin


def train(
    network: RankingNetwork,
    dataset: PairDataset,
    schedule: Schedule,
    settings: Pretraining,
    seed: int,
    progress: Progress,
    log_every: int | None = None,
) -> float:
    """Train `network` in place on all batches of the schedule -> loss of the last one.

    `progress` keeps the checkpoint and `log.jsonl`: a line each `log_every` iterations (10; more in
    runs of over 10,000) and for the last. Raises InputError for bad pairs or a loss without limits.
    """
    fabric = Fabric(accelerator="auto", devices=1)
    torch.use_deterministic_algorithms(fabric.device.type == "cpu")
    groups = parameter_groups(network, schedule.learning_rate, settings.weight_decay)
    optimiser = torch.optim.SGD(groups, schedule.learning_rate, momentum=settings.momentum)
    model, stepper = fabric.setup(network, optimiser)
    checkpoint = Checkpoint(progress / "checkpoint.pt", network, optimiser)
    start, loss, log_bytes = checkpoint.load()
    log_every = log_every or max(10, schedule.iterations // 1000)
    with Log(progress / "log.jsonl", log_bytes) as log, _bar(start, schedule.iterations) as bar:
        saved_at = logged_at = time.monotonic()
        logged = start
        for iteration, batch in enumerate(dataset.batches(start, schedule.iterations), start):
            rate, hard = schedule.rate(iteration), iteration >= schedule.hard_from
            for group in optimiser.param_groups:
                group["lr"] = rate * group["lr_factor"]
            draws = torch.Generator().manual_seed(derive_seed(seed, "negatives", iteration))
            result = _rank(model, fabric.to_device(batch), hard, settings, draws)
            stepper.zero_grad()
            fabric.backward(result.loss)
            stepper.step()

            done, now = iteration + 1, time.monotonic()
            if done % log_every == 0 or done == schedule.iterations:
                loss = _finite(result.loss.item(), done)
                speed = 2 * dataset.batch_pairs * (done - logged) / max(now - logged_at, 1e-9)
                logged, logged_at = done, now
                log.write(
                    iteration=done,
                    epoch=round(done * dataset.batch_pairs / len(dataset), 4),
                    loss=loss,
                    violated_share=result.violated_share.item(),
                    spread=result.spread.item(),
                    learning_rate=rate,
                    hard_negatives=hard,
                    images_per_second=round(speed, 1),
                )
                bar.update(bar.task_ids[0], completed=done, loss=loss, speed=speed)
            if now - saved_at >= settings.checkpoint_every_seconds:
                checkpoint.save(done, loss, log.bytes_on_disk())
                saved_at = now
        _warn_if_collapsed(loss, settings.margin, log)
    return loss


def _rank(
    model: nn.Module, batch: Batch, hard: bool, settings: Pretraining, draws: torch.Generator
) -> RankingResult:
    features = model(torch.cat([batch.first, batch.last]))  # (2B, D)
    first, last = features.chunk(2)
    return ranking_loss(first, last, batch.videos, hard, settings, draws)


def _finite(loss: float, iteration: int) -> float:
    if not math.isfinite(loss):
        raise InputError(
            f"The loss is {loss} at iteration {iteration}: the training diverged; lower "
            "learning_rate and delete the progress folder."
        )
    return loss


def _warn_if_collapsed(loss: float, margin: float, log: Log) -> None:
    if loss >= COLLAPSED_SHARE * margin:
        warning = (
            f"the run ended with a loss of {loss:.3f} at a margin of {margin}: patches of a pair "
            "are no closer than others, the features have collapsed; try random negatives for "
            "longer (pretraining.hard_negatives_from_iteration), more pairs or another rate"
        )
        log.write(warning=warning)
        print(f"warning: {warning}", file=sys.stderr)


@contextmanager
def _bar(start: int, iterations: int) -> Iterator[ProgressBar]:
    """A progress bar on stderr, if that is a terminal."""
    columns = (
        TextColumn("ranking"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}  {task.fields[speed]:.0f} images/s"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with ProgressBar(*columns, console=console, disable=not console.is_terminal) as bar:
        bar.add_task("ranking", total=iterations, completed=start, loss=math.nan, speed=0.0)
        yield bar
