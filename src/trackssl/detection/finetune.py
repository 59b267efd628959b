"""R-CNN's fine-tuning: a softmax over the classes and the background on warped windows."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.nn import functional as F

from trackssl import __version__
from trackssl.config import Carry, Finetuning, Network
from trackssl.datasets.voc import VocIndex
from trackssl.detection.crops import Cutter, ImageStore
from trackssl.detection.proposals import ProposalFile
from trackssl.detection.windows import Sampler, collect_windows
from trackssl.devices import open_fabric
from trackssl.files import Progress, file_sha256, fingerprint
from trackssl.networks import (
    DETECTOR,
    build_detector,
    load_weights,
)
from trackssl.networks.build import Init
from trackssl.tuning import finish, tune


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

    loss = tune(fabric, detector, batch, F.cross_entropy, settings, start.seed, kept)
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
    finish(kept, out, log, detector, metadata)
    return loss
