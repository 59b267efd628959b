"""Training on labels: the one loop of detectors, scene classifiers and normals networks."""

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.progress import track
from torch import Tensor, nn

from trackssl import __version__
from trackssl.checkpoint import Checkpoint, Log
from trackssl.config import Carry, Network, Tuning
from trackssl.errors import InputError
from trackssl.files import Progress, file_sha256, fingerprint, whole_file
from trackssl.networks import build_detector, load_weights, parameter_groups, save_weights
from trackssl.networks.build import Init
from trackssl.randomness import derive_seed
from trackssl.speech import progress_console

Batches = Callable[[int], tuple[Tensor, Tensor]]
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Start:
    """Where a network's weights come from; see `networks.build_detector`."""

    init: Init
    weights: Path | None
    seed: int
    carry: Carry = "convolutions"

    def build(self, network: Network, outputs: int, dropout: float) -> nn.Module:
        """A classifier (N, 3, input_px, input_px) -> (N, outputs). Raises InputError."""
        return build_detector(
            self.init,
            network.width,
            network.input_px,
            outputs,
            dropout,
            self.seed,
            self.weights,
            network.backbone,
            self.carry,
        )

    def history(self) -> dict[str, str]:
        """Pairs and iterative rounds that the weights have seen, as metadata."""
        metadata = load_weights(self.weights)[1] if self.init == "weights" and self.weights else {}
        return {key: metadata.get(key, "0") for key in ("pairs", "rounds")}

    def identity(self) -> dict[str, Any]:
        """What a continued run must agree with."""
        content = file_sha256(self.weights) if self.weights and self.weights.is_file() else None
        whole = {"carry": self.carry} if self.carry == "all" else {}
        return {"init": self.init, "weights": content, "seed": self.seed} | whole

    def told(
        self, chosen: dict[str, Any], made_of: dict[str, Any], settings: Tuning, loss: float
    ) -> dict[str, str]:
        """What every trained file says of itself: its settings, history and end, as metadata."""
        return self.history() | {
            "config": fingerprint(made_of),
            "settings": json.dumps(chosen),
            "init": self.init,
            "seed": str(self.seed),
            "iterations": str(settings.iterations),
            "loss": f"{loss:.6g}",
            "version": __version__,
        }


def tune(
    fabric: Fabric,
    network: nn.Module,
    batch: Batches,
    loss_of: Loss,
    settings: Tuning,
    seed: int,
    progress: Progress,
) -> float:
    """Train `network` in place by SGD as in Caffe -> the loss of the last iteration.

    `batch(iteration)` gives images (B, 3, H, W) of 0..255 and their targets, by a function of the
    iteration alone; `loss_of(scores, targets)` the loss of what the network makes of them. Dropout
    is a function of the seed and the iteration. So a killed run that is started again ends with the
    same weights. `progress` holds `checkpoint.pt` and `log.jsonl`, a line each thousandth of the
    run. Raises InputError for a loss that is no longer finite.
    """
    groups = parameter_groups(network, settings.learning_rate, settings.weight_decay)
    optimiser = torch.optim.SGD(groups, settings.learning_rate, momentum=settings.momentum)
    network.train()
    model, stepper = fabric.setup(network, optimiser)
    checkpoint = Checkpoint(progress / "checkpoint.pt", network, optimiser)
    done, loss, log_bytes = checkpoint.load()
    log_every = max(1, settings.iterations // 1000)
    saved = time.monotonic()
    with Log(progress / "log.jsonl", log_bytes) as log:
        for iteration, (images, targets) in _ahead(batch, done, settings.iterations):
            rate = settings.learning_rate
            if settings.lr_step_iterations:
                rate /= 10 ** (iteration // settings.lr_step_iterations)
            for group in optimiser.param_groups:
                group["lr"] = rate * group["lr_factor"]
            torch.manual_seed(derive_seed(seed, "dropout", iteration))
            scores = model(fabric.to_device(images))
            error = loss_of(scores, fabric.to_device(targets))
            stepper.zero_grad()
            fabric.backward(error)
            stepper.step()
            done = iteration + 1
            if done % log_every == 0 or done == settings.iterations:
                loss = error.item()
                if not math.isfinite(loss):
                    raise InputError(
                        f"{progress.folder}: the loss is {loss} at iteration {done}; lower "
                        "learning_rate and start anew."
                    )
                log.write(iteration=done, loss=loss, learning_rate=rate)
            if time.monotonic() - saved >= settings.checkpoint_every_seconds:
                checkpoint.save(done, loss, log.bytes_on_disk())
                saved = time.monotonic()
    return loss


def finish(
    progress: Progress, out: Path, log: Path, network: nn.Module, metadata: dict[str, str]
) -> None:
    """Write the log and the weights of a training that is over, and remove its progress."""
    with whole_file(log) as part:
        part.write_bytes((progress / "log.jsonl").read_bytes())
    save_weights(out, network, metadata)
    # First, so that a kill while the folder is removed leaves no checkpoint without its log.
    (progress / "checkpoint.pt").unlink(missing_ok=True)
    progress.finish()


def _ahead(batch: Batches, start: int, stop: int) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
    """(iteration, batch) from `start` on; the next batch is made while one is learnt."""
    console = progress_console()
    shown = track(
        range(start, stop),
        "fine-tuning",
        console=console,
        disable=not console.is_terminal,
    )
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(batch, start)
        for iteration in shown:
            ready = future.result()
            if iteration + 1 < stop:
                future = thread.submit(batch, iteration + 1)
            yield iteration, ready
