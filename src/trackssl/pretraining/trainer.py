"""The training loop of the ranking task, with checkpoints from which a killed run goes on exactly.

On one CPU type and number of threads, a run that was killed at any moment and started again writes
the same bits as one that was not. SGD is torch's: it applies the learning rate to the momentum,
Caffe to each new gradient; the two differ only in the iterations after the rate falls.
"""

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
COLLAPSED_SPREAD = 0.05
NAMED_AFTER_STEPS = 100  # at iteration 0 collapsed features are normal
LOG_STEPS = 100  # a line at least so often, so that a collapse is named within 200 steps
ADVICE = (
    "try random negatives for longer (pretraining.hard_negatives_from_iteration), fewer hard ones "
    "(hard_share: 0.5), pairs of more videos or another learning_rate"
)


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

    `progress` keeps the checkpoint and `log.jsonl`: a line each `log_every` iterations (10; in runs
    of over 10,000 more, up to 100) and for the last.
    Raises InputError for bad pairs, a loss without limits, or features that stay collapsed.
    """
    fabric = Fabric(accelerator="auto", devices=1)
    torch.use_deterministic_algorithms(fabric.device.type == "cpu")
    groups = parameter_groups(network, schedule.learning_rate, settings.weight_decay)
    optimiser = torch.optim.SGD(groups, schedule.learning_rate, momentum=settings.momentum)
    model, stepper = fabric.setup(network, optimiser)
    checkpoint = Checkpoint(progress / "checkpoint.pt", network, optimiser)
    start, loss, log_bytes = checkpoint.load()
    log_every = log_every or min(LOG_STEPS, max(10, schedule.iterations // 1000))
    watch = CollapseWatch(settings)
    watch.replay(progress / "log.jsonl", log_bytes)
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
                loss, spread = _finite(result.loss.item(), done), result.spread.item()
                speed = 2 * dataset.batch_pairs * (done - logged) / max(now - logged_at, 1e-9)
                logged, logged_at = done, now
                log.write(
                    iteration=done,
                    epoch=round(done * dataset.batch_pairs / len(dataset), 4),
                    loss=loss,
                    violated_share=result.violated_share.item(),
                    spread=spread,
                    learning_rate=rate,
                    hard_negatives=hard,
                    images_per_second=round(speed, 1),
                )
                bar.update(bar.task_ids[0], completed=done, loss=loss, speed=speed)
                if (warning := watch.see(done, loss, spread)) is not None:
                    _warn(warning, log)
                watch.stop_if_hopeless(done)
            if now - saved_at >= settings.checkpoint_every_seconds:
                checkpoint.save(done, loss, log.bytes_on_disk())
                saved_at = now
        if settings.loss == "ranking" and loss >= COLLAPSED_SHARE * settings.margin:
            _warn(
                f"the run ended with a loss of {loss:.3f} at a margin of {settings.margin}: "
                "patches of a pair are no closer than others, the features have collapsed; "
                f"{ADVICE}",
                log,
            )
    return loss


class CollapseWatch:
    """Names collapsed features and ends a run that stays with them.

    Collapsed: the spread is near 0 and the ranking loss at the margin. All that is known here
    follows from the lines of the log, so a run that was killed goes on the same.
    """

    def __init__(self, settings: Pretraining) -> None:
        self.settings = settings
        self.since: int | None = None  # the first iteration of this collapse
        self.named = False
        self.best, self.best_at = 0.0, 0  # the largest spread since then, and its iteration

    def replay(self, log: Path, length: int) -> None:
        """See again what the first `length` bytes of a log say. Raises InputError if it cannot."""
        try:
            lines = log.read_bytes()[:length].splitlines() if length else []
            for line in map(json.loads, lines):
                if "spread" in line:
                    self.see(line["iteration"], line["loss"], line["spread"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{log}: this log does not fit the checkpoint beside it; delete its folder to "
                "start anew."
            ) from None

    def see(self, iteration: int, loss: float, spread: float) -> str | None:
        """Take note of a line of the log -> a warning, once a collapse has lasted 100 steps."""
        ranking = self.settings.loss == "ranking"
        at_margin = not ranking or loss >= COLLAPSED_SHARE * self.settings.margin
        if not at_margin or spread >= COLLAPSED_SPREAD:
            self.since, self.named = None, False
            return None
        if self.since is None:
            self.since, self.best, self.best_at = iteration, spread, iteration
        elif spread > 1.1 * self.best + 1e-6:  # more than batches and rounding do
            self.best, self.best_at = spread, iteration
        if self.named or iteration - self.since < NAMED_AFTER_STEPS:
            return None
        self.named = True
        margin = f" at a margin of {self.settings.margin}" if ranking else ""
        return (
            f"the features have collapsed: since iteration {self.since} their spread is near 0 "
            f"({spread:.1e} at iteration {iteration}, with a loss of {loss:.3f}{margin}); unless "
            f"the spread grows, {ADVICE}"
        )

    def stop_if_hopeless(self, iteration: int) -> None:
        """Raise InputError after `collapse_patience_steps` of collapse without growth."""
        patience = self.settings.collapse_patience_steps
        if self.since is not None and patience and iteration - self.best_at >= patience:
            raise InputError(
                f"The run was stopped at iteration {iteration}: the features have collapsed, and "
                f"their spread ({self.best:.1e}) has not grown since iteration {self.best_at}; "
                f"{ADVICE}, then delete the progress folder (pretraining.collapse_patience_steps "
                "says when to stop)."
            )


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


def _warn(warning: str, log: Log) -> None:
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
