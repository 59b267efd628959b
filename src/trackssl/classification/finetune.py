"""Fine-tuning of all layers on the classes that images show, by a sigmoid a class."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from trackssl.classification.average_precision import class_precisions
from trackssl.config import ClassificationFinetuning, Network
from trackssl.datasets.image_crops import SquashedImages
from trackssl.datasets.image_index import IGNORED, SHOWS, ImageIndex
from trackssl.detection.average_precision import Rule
from trackssl.devices import open_fabric
from trackssl.files import Progress
from trackssl.networks import DETECTOR
from trackssl.tables import write_csv
from trackssl.tuning import Start, finish, tune


def finetune_classifier(
    index: ImageIndex,
    splits: tuple[str, str],
    start: Start,
    network: Network,
    settings: ClassificationFinetuning,
    rule: Rule,
    threads: int,
    out: Path,
    log: Path,
    ap: Path,
    progress: Path,
) -> tuple[float, pd.DataFrame]:
    """Train on one split, measure on another; write weights, log and AP -> last loss, AP table.

    Training sees random crops of 227 of 256, half of them mirrored; a test image's scores are the
    means over ten crops. A killed run that is started again ends with the same weights. Raises
    InputError for weights that do not fit, progress of other settings, an image that cannot be
    decoded or a loss that is no longer finite.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    train, test = (index.split(split) for split in splits)
    classifier = start.build(network, len(index.classes), settings.dropout)
    chosen = {
        "network": network.model_dump(),
        "classification": settings.model_dump(exclude={"checkpoint_every_seconds"}),
    }
    made_of = {
        **chosen,
        **start.identity(),
        "threads": threads,
        "images": index.sha256,
        "splits": list(splits),
    }
    kept = Progress(progress, made_of, "fine-tuning")
    images = SquashedImages(train.paths, network.input_px)
    labels = torch.from_numpy(train.labels)

    def batch(iteration: int) -> tuple[Tensor, Tensor]:
        rows, crops = images.draw(start.seed, iteration, settings.batch_images)
        return crops, labels[rows]

    fabric = open_fabric()
    loss = tune(fabric, classifier, batch, sigmoid_loss, settings, start.seed, kept)
    scores = image_scores(classifier, SquashedImages(test.paths, network.input_px), fabric.device)
    table = class_precisions(scores, test.labels, index.classes, rule)
    write_csv(ap, table)
    metadata = start.told(chosen, made_of, settings, loss) | {
        "format": DETECTOR,
        "labels": json.dumps(index.classes),
    }
    finish(kept, out, log, classifier, metadata)
    return loss, table


def sigmoid_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of (B, C) scores with labels 1, -1, or 0 for none: summed over the classes,
    the mean over the images, as in Caffe.
    """
    wanted, counts = (labels == SHOWS).float(), (labels != IGNORED).float()
    each = F.binary_cross_entropy_with_logits(scores, wanted, weight=counts, reduction="sum")
    return each / len(scores)


def image_scores(
    classifier: nn.Module, images: SquashedImages, device: torch.device
) -> NDArray[np.float32]:
    """Scores (N, C) of images: the mean over ten crops of what comes before the sigmoid."""
    classifier.eval()
    with torch.inference_mode():
        rows = [
            classifier(images.ten_crops(row).to(device)).float().mean(dim=0)
            for row in range(len(images))
        ]
    return torch.stack(rows).cpu().numpy()
