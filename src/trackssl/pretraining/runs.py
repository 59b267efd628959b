"""Whole runs of the ranking task: pre-training from nothing, and the return from a detector."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import nn

from trackssl import __version__
from trackssl.config import (
    SHUFFLING,
    UNTOLD,
    Data,
    Device,
    Network,
    Pretraining,
    Readaptation,
)
from trackssl.devices import lead_first, open_fabric, with_others
from trackssl.errors import InputError
from trackssl.files import Progress, file_sha256, fingerprint, whole_file
from trackssl.networks.build import build_ranking
from trackssl.networks.weights import (
    DETECTOR,
    RANKING,
    load_convolutions,
    load_weights,
    save_weights,
)
from trackssl.pairs.augment import Augmentation
from trackssl.pairs.dataset import PairDataset
from trackssl.pretraining.schedule import (
    Schedule,
    find_set,
    pretraining_schedule,
    readaptation_schedule,
)
from trackssl.pretraining.trainer import train
from trackssl.randomness import derive_seed


@dataclass(frozen=True)
class RunFiles:
    """Where a run reads its pairs, and where it writes its weights, log, progress and curves."""

    pairs: Path
    out: Path
    log: Path
    progress: Path
    curves: Path | None = None  # a folder for TensorBoard


@dataclass(frozen=True)
class Machine:
    """What a run computes on: nothing of it changes a result but `threads`."""

    threads: int = 1
    device: Device = "auto"
    data: Data = field(default_factory=Data)


def pretrain(
    files: RunFiles,
    set_name: str,
    settings: Pretraining,
    network: Network,
    seed: int,
    machine: Machine,
    log_every: int | None = None,
) -> float:
    """Train the ranking network on a set of pairs -> last loss; or go on with a killed run.

    Raises InputError for bad pairs, an unknown set, or the progress of another config.
    """
    described = {"set": set_name, "seed": seed, "rounds": 0}
    run = _Run(files, set_name, settings, network, machine, described, seed)
    return run.train(build_ranking(network, seed), lambda schedule: schedule, log_every)


def readapt(
    weights: Path,
    files: RunFiles,
    set_name: str,
    settings: Pretraining,
    readaptation: Readaptation,
    network: Network,
    seed: int,
    machine: Machine,
    log_every: int | None = None,
) -> float:
    """Go back to ranking from a detector's convolutions (iterative fine-tuning) -> last loss.

    fc6 and fc7 start anew, and so do all draws: each round derives a seed of its own.
    Raises InputError as `pretrain` does, and for weights that are no detector's of this network.
    """
    _, metadata = load_weights(weights, DETECTOR)
    rounds = _rounds(weights, metadata.get("rounds", "")) + 1
    run_seed = derive_seed(seed, "readapt", rounds)
    model = build_ranking(network, run_seed)
    load_convolutions(model, weights)
    described = {
        "set": set_name,
        "readaptation": readaptation.model_dump(),
        "seed": seed,
        "rounds": rounds,
        "weights": file_sha256(weights),
    }
    run = _Run(files, set_name, settings, network, machine, described, run_seed)
    return run.train(model, lambda whole: readaptation_schedule(whole, readaptation), log_every)


@dataclass(frozen=True)
class _Run:
    """What both kinds of run share. `seed` is of the run's draws, `described` tells runs apart."""

    files: RunFiles
    set_name: str
    settings: Pretraining
    network: Network
    machine: Machine
    described: dict[str, Any]
    seed: int

    def train(
        self,
        model: nn.Module,
        shorten: Callable[[Schedule], Schedule],
        log_every: int | None,
    ) -> float:
        """Train, then put weights and log in their places and forget the progress."""
        torch.set_num_threads(self.machine.threads)
        cv2.setNumThreads(1)
        fabric = open_fabric(self.machine.device, self.settings.precision)
        lead, files = fabric.is_global_zero, self.files
        with with_others(fabric):
            dataset = lead_first(fabric, lambda: self._open_set(lead))
            schedule = shorten(pretraining_schedule(self.settings, self.set_name, len(dataset)))
            described = self._identity()
            progress = lead_first(
                fabric,
                lambda: Progress(files.progress, described, "training") if lead else files.progress,
            )
            loss = train(
                model,
                dataset,
                schedule,
                self.settings,
                self.seed,
                progress,
                log_every,
                fabric=fabric,
                curves=files.curves,
            )
        if isinstance(progress, Progress):
            self._finish(model, progress, described, schedule.iterations, loss, len(dataset))
        return loss

    def _identity(self) -> dict[str, Any]:
        """All that the weights depend on; the number of processes changes the rounding alone."""
        data = self.machine.data.model_dump(include=SHUFFLING)
        pretraining = self.settings.model_dump(exclude=UNTOLD)
        return self.described | {
            "pretraining": pretraining,
            "network": self.network.model_dump(),
            "data": data,
            "threads": self.machine.threads,
            "pairs": file_sha256(self.files.pairs),
        }

    def _finish(
        self,
        model: nn.Module,
        progress: Progress,
        described: dict[str, Any],
        iterations: int,
        loss: float,
        pairs: int,
    ) -> None:
        metadata = {
            "format": RANKING,
            "config": fingerprint(described),
            "settings": json.dumps(described, sort_keys=True),
            "iterations": str(iterations),
            "seed": str(described["seed"]),
            "loss": repr(loss),
            "pairs": str(pairs),
            "rounds": str(described["rounds"]),
            "version": __version__,
        }
        with whole_file(self.files.log) as part:
            shutil.copyfile(progress / "log.jsonl", part)
        save_weights(self.files.out, model, metadata)
        # First, so that a kill while the folder is removed leaves no checkpoint without its log.
        (progress / "checkpoint.pt").unlink(missing_ok=True)
        progress.finish()

    def _open_set(self, lead: bool) -> PairDataset:
        """The pairs of the set; a warning if the list holds fewer."""
        size = find_set(self.settings, self.set_name).size
        wanted = size if self.settings.set_unit == "pairs" else max(1, size // 2)
        dataset = PairDataset(
            self.files.pairs,
            wanted,
            self.settings.batch_pairs,
            self.network.input_px,
            self.seed,
            Augmentation.of(self.settings),
            self.machine.data,
        )
        if lead and len(dataset) < wanted:
            print(
                f"warning: set '{self.set_name}' asks for {wanted} pairs, but {self.files.pairs} "
                f"holds {len(dataset)}; training on those",
                file=sys.stderr,
            )
        return dataset


def _rounds(path: Path, text: str) -> int:
    """Rounds of iterative fine-tuning behind a weights file, from its metadata."""
    if not text.isdecimal():
        raise InputError(
            f"{path}: its metadata gives rounds as {text!r}; take the weights of a detector that "
            "trackssl fine-tuned."
        )
    return int(text)
