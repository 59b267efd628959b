"""Fine-tuning of all layers on scenes: a softmax over the classes, crops and mirrors at random."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trackssl.config import Network, SceneFinetuning
from trackssl.datasets.image_crops import SquashedImages
from trackssl.datasets.image_index import ImageIndex
from trackssl.devices import open_fabric
from trackssl.files import Progress
from trackssl.networks import DETECTOR
from trackssl.scenes.evaluation import Accuracy, Labels, scene_labels, write_evaluation
from trackssl.tuning import Start, finish, tune

_BATCH_TEST = 64


def finetune_scenes(
    index: ImageIndex,
    start: Start,
    network: Network,
    settings: SceneFinetuning,
    threads: int,
    folder: Path,
    progress: Path,
) -> Accuracy:
    """Train on the split `train`, predict `test` -> its accuracy; files of both in `folder`.

    Images, crops, mirrors and dropout of an iteration are functions of the seed and the iteration,
    so a killed run that is started again ends with the same weights. Raises InputError as
    `detection.finetune` does.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    labels = scene_labels(index, "train")
    classifier = start.build(network, len(index.classes), settings.dropout)
    chosen = {
        "network": network.model_dump(),
        "finetuning": settings.model_dump(exclude={"checkpoint_every_seconds"}),
    }
    made_of = {**chosen, **start.identity(), "threads": threads, "images": index.sha256}
    kept = Progress(progress, made_of, "fine-tuning")
    images = SquashedImages(index.split("train").paths, network.input_px)
    fabric = open_fabric()

    def batch(iteration: int) -> tuple[Tensor, Tensor]:
        rows, crops = images.draw(start.seed, iteration, settings.batch_images)
        return crops, torch.from_numpy(labels[rows])

    loss = tune(fabric, classifier, batch, F.cross_entropy, settings, start.seed, kept)
    predicted = predict(classifier, index, network.input_px)
    metadata = start.told(chosen, made_of, settings, loss) | {
        "format": DETECTOR,
        "labels": json.dumps(index.classes),  # not `classes`, which have a background beside them
    }
    made = {"protocol": f"all layers fine-tuned for {settings.iterations} iterations"}
    found = write_evaluation(folder, index, "test", predicted, made)
    finish(kept, folder / "weights.safetensors", folder / "log.jsonl", classifier, metadata)
    return found


def predict(classifier: nn.Module, index: ImageIndex, input_px: int, split: str = "test") -> Labels:
    """The class that the network gives to the middle of each image, (N,)."""
    images = SquashedImages(index.split(split).paths, input_px)
    device = next(classifier.parameters()).device
    classifier.eval()
    with torch.inference_mode():
        batches = np.array_split(np.arange(len(images)), -(-len(images) // _BATCH_TEST))
        scores = [classifier(images.central(rows).to(device)).argmax(dim=1) for rows in batches]
    return torch.cat(scores).cpu().numpy()
