"""R-CNN's fine-tuning: a softmax over the classes and the background on warped windows."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional as F

from trackssl import __version__
from trackssl.checkpoint import Checkpoint, Log
from trackssl.config import Carry, Finetuning, Network
from trackssl.datasets.voc import VocIndex
from trackssl.detection.crops import Cutter, ImageStore
from trackssl.detection.proposals import ProposalFile
from trackssl.detection.windows import Sampler, collect_windows
from trackssl.devices import open_fabric
from trackssl.errors import InputError
from trackssl.files import Progress, file_sha256, fingerprint, whole_file
from trackssl.networks import (
    DETECTOR,
    build_detector,
    load_weights,
    parameter_groups,
    save_weights,
)
from trackssl.networks.build import Init
from trackssl.randomness import derive_seed

Batches = Callable[[int], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Start:
    """Where a network's weights come from; see `networks.build_detector`."""

    init: Init
    weights: Path | None
    seed: int
    carry: Carry = "convolutions"

    def history(self) -> dict[str, str]:
        """Pairs and iterative rounds that the weights have seen, as metadata."""
        metadata = load_weights(self.weights)[1] if self.init == "weights" and self.weights else {}
        return {key: metadata.get(key, "0") for key in ("pairs", "rounds")}

    def identity(self) -> dict[str, Any]:
        """What a continued run must agree with."""
        content = file_sha256(self.weights) if self.weights and self.weights.is_file() else None
        whole = {"carry": self.carry} if self.carry == "all" else {}
        return {"init": self.init, "weights": content, "seed": self.seed} | whole


def finetune(
    index: VocIndex,
    split: str,
    proposals: ProposalFile,
    start: Start,
    network: Network,
    settings: Finetuning,
    threads: int,
    out: Path,
    log: Path,
    progress: Path,
) -> float:
    """Train a detector on the windows of a split, write weights and log -> the last loss.

    Windows, mirrors and dropout of an iteration are functions of the seed and the iteration, so a
    killed run that is started again ends with the same weights. Raises InputError for weights that
    do not fit, progress of other settings, or a loss that is no longer finite.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    detector = build_detector(
        start.init,
        network.width,
        network.input_px,
        len(index.classes) + 1,
        settings.dropout,
        start.seed,
        start.weights,
        network.backbone,
        start.carry,
    )
    chosen = {
        "network": network.model_dump(),
        "finetuning": settings.model_dump(exclude={"checkpoint_every_seconds"}),
    }
    made_of = {
        **chosen,
        **start.identity(),
        "threads": threads,
        "voc": index.sha256,
        "split": split,
        "proposals": file_sha256(proposals.path),
    }
    kept = Progress(progress, made_of, "fine-tuning")
    windows = collect_windows(index, split, proposals)
    sampler = Sampler(windows, settings, start.seed)
    fabric = open_fabric()
    cutter = Cutter(detector, network.input_px, settings.context_px, fabric.device)
    images = ImageStore(index, split, cutter)

    def batch(iteration: int) -> tuple[Tensor, Tensor]:
        drawn = sampler.draw(iteration)
        return images.cut_batch(windows, drawn), torch.from_numpy(drawn.labels)

    loss = train(fabric, detector, batch, settings, start.seed, kept)
    metadata = start.history() | {
        "format": DETECTOR,
        "config": fingerprint(made_of),
        "classes": json.dumps(index.classes),
        "settings": json.dumps(chosen),
        "init": start.init,
        "seed": str(start.seed),
        "iterations": str(settings.iterations),
        "loss": f"{loss:.6g}",
        "version": __version__,
    }
    with whole_file(log) as part:
        part.write_bytes((kept / "log.jsonl").read_bytes())
    save_weights(out, detector, metadata)
    # First, so that a kill while the folder is removed leaves no checkpoint without its log.
    (kept / "checkpoint.pt").unlink(missing_ok=True)
    kept.finish()
    return loss


def train(
    fabric: Fabric,
    network: nn.Module,
    batch: Batches,
    settings: Finetuning,
    seed: int,
    progress: Progress,
) -> float:
    """Train `network` in place -> the loss of the last iteration.

    `batch(iteration)` gives windows (B, 3, H, W) of 0..255 and labels (B,). `progress` holds
    `checkpoint.pt` and `log.jsonl`, a line each thousandth of the run.
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
        for iteration, (windows, labels) in _ahead(batch, done, settings.iterations):
            rate = settings.learning_rate
            if settings.lr_step_iterations:
                rate /= 10 ** (iteration // settings.lr_step_iterations)
            for group in optimiser.param_groups:
                group["lr"] = rate * group["lr_factor"]
            torch.manual_seed(derive_seed(seed, "dropout", iteration))
            scores = model(fabric.to_device(windows))
            error = F.cross_entropy(scores, fabric.to_device(labels))
            stepper.zero_grad()
            fabric.backward(error)
            stepper.step()
            done = iteration + 1
            if done % log_every == 0 or done == settings.iterations:
                loss = error.item()
                if not math.isfinite(loss):
                    raise InputError(
                        f"{progress.folder}: the loss is {loss} at iteration {done}; lower "
                        "finetuning.learning_rate and start anew."
                    )
                log.write(iteration=done, loss=loss, learning_rate=rate)
            if time.monotonic() - saved >= settings.checkpoint_every_seconds:
                checkpoint.save(done, loss, log.bytes_on_disk())
                saved = time.monotonic()
    return loss


def _ahead(batch: Batches, start: int, stop: int) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
    """(iteration, batch) from `start` on; the next batch is cut while one is learnt."""
    shown = track(
        range(start, stop),
        "fine-tuning",
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(batch, start)
        for iteration in shown:
            ready = future.result()
            if iteration + 1 < stop:
                future = thread.submit(batch, iteration + 1)
            yield iteration, ready
