"""R-CNN's fine-tuning: a softmax over the classes and the background on warped windows."""

import json
from pathlib import Path

import cv2
import torch
from torch import Tensor
from torch.nn import functional as F

from trackssl.config import Finetuning, Network
from trackssl.datasets.voc import VocIndex
from trackssl.detection.crops import Cutter, ImageStore
from trackssl.detection.proposals import ProposalFile
from trackssl.detection.windows import Sampler, collect_windows
from trackssl.devices import open_fabric
from trackssl.files import Progress, file_sha256
from trackssl.networks import (
    DETECTOR,
)
from trackssl.tuning import Start, finish, tune


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
    detector = start.build(network, len(index.classes) + 1, settings.dropout)
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
    metadata = start.told(chosen, made_of, settings, loss) | {
        "format": DETECTOR,
        "classes": json.dumps(index.classes),
    }
    finish(kept, out, log, detector, metadata)
    return loss
