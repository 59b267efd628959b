"""Fine-tuning of all layers on scenes: a softmax over the classes, crops and mirrors at random."""

import json
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from trackssl import __version__
from trackssl.config import Network, SceneFinetuning
from trackssl.datasets.image_index import ImageIndex
from trackssl.detection.finetune import Start
from trackssl.devices import open_fabric
from trackssl.files import Progress, fingerprint
from trackssl.images import Image, read_image
from trackssl.networks import DETECTOR, build_detector
from trackssl.randomness import generator
from trackssl.scenes.evaluation import Accuracy, Labels, scene_labels, write_evaluation
from trackssl.tuning import finish, tune

_SQUASHED, _INPUT = 256, 227  # Caffe: images of 256 x 256, of which a network sees 227 x 227
_BATCH_TEST = 64


class SquashedImages:
    """Images of a split as squares, 256/227 of the input's side, kept in memory once read."""

    def __init__(self, paths: list[Path], input_px: int) -> None:
        self._paths, self.input_px = paths, input_px
        self.side_px = round(input_px * _SQUASHED / _INPUT)
        self._kept: dict[int, Image] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, row: int) -> Image:
        """(S, S, 3) uint8 BGR. Raises InputError for an image that cannot be decoded."""
        if row not in self._kept:
            size = (self.side_px, self.side_px)
            self._kept[row] = np.asarray(cv2.resize(read_image(self._paths[row]), size), np.uint8)
        return self._kept[row]

    def crops(
        self, rows: NDArray[np.int64], corners: NDArray[np.int64], mirrored: NDArray[np.bool_]
    ) -> Tensor:
        """Crops (B, 3, input_px, input_px) uint8 from corners (B, 2) x, y."""
        px = self.input_px
        cut = np.empty((len(rows), px, px, 3), np.uint8)
        for crop, row, (x, y), mirror in zip(cut, rows, corners, mirrored, strict=True):
            part = self[int(row)][y : y + px, x : x + px]
            crop[:] = part[:, ::-1] if mirror else part
        return torch.from_numpy(cut).permute(0, 3, 1, 2)

    def central(self, rows: NDArray[np.int64]) -> Tensor:
        """The middle crops, as `crops`."""
        corners = np.full((len(rows), 2), (self.side_px - self.input_px) // 2)
        return self.crops(rows, corners, np.zeros(len(rows), bool))


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
    classifier = build_detector(
        start.init,
        network.width,
        network.input_px,
        len(index.classes),
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
    made_of = {**chosen, **start.identity(), "threads": threads, "images": index.sha256}
    kept = Progress(progress, made_of, "fine-tuning")
    images = SquashedImages(index.split("train").paths, network.input_px)
    fabric = open_fabric()

    def batch(iteration: int) -> tuple[Tensor, Tensor]:
        rows = batch_rows(start.seed, iteration, settings.batch_images, len(images))
        rng = generator(start.seed, "scene crops", iteration)
        corners = rng.integers(0, images.side_px - images.input_px + 1, (len(rows), 2))
        crops = images.crops(rows, corners, rng.random(len(rows)) < 0.5)
        return crops, torch.from_numpy(labels[rows])

    loss = tune(fabric, classifier, batch, F.cross_entropy, settings, start.seed, kept)
    predicted = predict(classifier, index, network.input_px)
    metadata = start.history() | {
        "format": DETECTOR,
        "config": fingerprint(made_of),
        "scenes": json.dumps(index.classes),  # not `classes`, which have a background beside them
        "settings": json.dumps(chosen),
        "init": start.init,
        "seed": str(start.seed),
        "iterations": str(settings.iterations),
        "loss": f"{loss:.6g}",
        "version": __version__,
    }
    made = {"protocol": f"all layers fine-tuned for {settings.iterations} iterations"}
    found = write_evaluation(folder, index, "test", predicted, made)
    finish(kept, folder / "weights.safetensors", folder / "log.jsonl", classifier, metadata)
    return found


def batch_rows(seed: int, iteration: int, size: int, images: int) -> NDArray[np.int64]:
    """Which images a batch holds: each epoch goes through all of them in an order of its own."""
    places = np.arange(iteration * size, (iteration + 1) * size)
    epochs, within = np.divmod(places, images)
    return np.array([_order(seed, int(e), images)[w] for e, w in zip(epochs, within, strict=True)])


@lru_cache(4)
def _order(seed: int, epoch: int, images: int) -> NDArray[np.int64]:
    return generator(seed, "scene order", epoch).permutation(images)


def predict(classifier: nn.Module, index: ImageIndex, input_px: int, split: str = "test") -> Labels:
    """The class that the network gives to the middle of each image, (N,)."""
    images = SquashedImages(index.split(split).paths, input_px)
    device = next(classifier.parameters()).device
    classifier.eval()
    with torch.inference_mode():
        batches = np.array_split(np.arange(len(images)), -(-len(images) // _BATCH_TEST))
        scores = [classifier(images.central(rows).to(device)).argmax(dim=1) for rows in batches]
    return torch.cat(scores).cpu().numpy()
