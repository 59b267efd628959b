"""Whole runs of the ranking task: pre-training from nothing, and the return from a detector."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

from trackssl import __version__
from trackssl.config import Network, Pretraining, Readaptation
from trackssl.errors import InputError
from trackssl.files import Progress, file_sha256, fingerprint, whole_file
from trackssl.networks.alexnet import RankingNetwork
from trackssl.networks.weights import (
    DETECTOR,
    RANKING,
    load_convolutions,
    load_weights,
    save_weights,
)
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
    """Where a run reads its pairs, and where it writes its weights, its log and its progress."""

    pairs: Path
    out: Path
    log: Path
    progress: Path


def pretrain(
    files: RunFiles,
    set_name: str,
    settings: Pretraining,
    network: Network,
    seed: int,
    threads: int,
    log_every: int | None = None,
) -> float:
    """Train the ranking network on a set of pairs -> last loss; or go on with a killed run.

    Raises InputError for bad pairs, an unknown set, or the progress of another config.
    """
    dataset = _open_set(files.pairs, set_name, settings, network, seed)
    schedule = pretraining_schedule(settings, set_name, len(dataset))
    model = RankingNetwork(network.width, network.input_px, seed)
    described = {
        "set": set_name,
        "pretraining": settings.model_dump(),
        "network": network.model_dump(),
        "seed": seed,
        "rounds": 0,
        "threads": threads,
        "pairs": file_sha256(files.pairs),
    }
    return _run(files, model, dataset, schedule, settings, seed, described, log_every)


def readapt(
    weights: Path,
    files: RunFiles,
    set_name: str,
    settings: Pretraining,
    readaptation: Readaptation,
    network: Network,
    seed: int,
    threads: int,
    log_every: int | None = None,
) -> float:
    """Go back to ranking from a detector's convolutions (iterative fine-tuning) -> last loss.

    fc6 and fc7 start anew, and so do all draws: each round derives a seed of its own.
    Raises InputError as `pretrain` does, and for weights that are no detector's of this network.
    """
    _, metadata = load_weights(weights, DETECTOR)
    rounds = _rounds(weights, metadata.get("rounds", "")) + 1
    run_seed = derive_seed(seed, "readapt", rounds)
    model = RankingNetwork(network.width, network.input_px, run_seed)
    load_convolutions(model, weights)
    dataset = _open_set(files.pairs, set_name, settings, network, run_seed)
    whole = pretraining_schedule(settings, set_name, len(dataset))
    schedule = readaptation_schedule(whole, readaptation)
    described = {
        "set": set_name,
        "pretraining": settings.model_dump(),
        "readaptation": readaptation.model_dump(),
        "network": network.model_dump(),
        "seed": seed,
        "rounds": rounds,
        "threads": threads,
        "pairs": file_sha256(files.pairs),
        "weights": file_sha256(weights),
    }
    return _run(files, model, dataset, schedule, settings, run_seed, described, log_every)


def _run(
    files: RunFiles,
    model: RankingNetwork,
    dataset: PairDataset,
    schedule: Schedule,
    settings: Pretraining,
    seed: int,
    described: dict[str, Any],
    log_every: int | None,
) -> float:
    """Train, then put weights and log in their places and forget the progress."""
    torch.set_num_threads(described["threads"])
    cv2.setNumThreads(1)
    progress = Progress(files.progress, described, "training")
    loss = train(model, dataset, schedule, settings, seed, progress, log_every)
    metadata = {
        "format": RANKING,
        "config": fingerprint(described),
        "settings": json.dumps(described, sort_keys=True),
        "iterations": str(schedule.iterations),
        "seed": str(described["seed"]),
        "loss": repr(loss),
        "pairs": str(len(dataset)),
        "rounds": str(described["rounds"]),
        "version": __version__,
    }
    with whole_file(files.log) as part:
        shutil.copyfile(progress / "log.jsonl", part)
    save_weights(files.out, model, metadata)
    # First, so that a kill while the folder is removed leaves no checkpoint without its log.
    (progress / "checkpoint.pt").unlink(missing_ok=True)
    progress.finish()
    return loss


def _open_set(
    pairs: Path, set_name: str, settings: Pretraining, network: Network, seed: int
) -> PairDataset:
    """The pairs of a set; a warning if the list holds fewer."""
    size = find_set(settings, set_name).size
    wanted = size if settings.set_unit == "pairs" else max(1, size // 2)
    dataset = PairDataset(
        pairs, wanted, settings.batch_pairs, network.input_px, seed, settings.mirror
    )
    if len(dataset) < wanted:
        print(
            f"warning: set '{set_name}' asks for {wanted} pairs, but {pairs} holds {len(dataset)}; "
            "training on those",
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
