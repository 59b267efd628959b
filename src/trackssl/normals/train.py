"""Training on codes of normals, and predictions."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from trackssl.config import Network, Normals
from trackssl.devices import open_fabric
from trackssl.files import Progress
from trackssl.networks import load_network, load_weights, network_settings
from trackssl.networks.weights import described
from trackssl.normals.codebook import decode
from trackssl.normals.network import NORMALS, build_normals
from trackssl.normals.prepared import Prepared
from trackssl.randomness import generator
from trackssl.tuning import Start, finish, tune

_BATCH_IMAGES = 32


def squash(images: NDArray[np.uint8], input_px: int) -> NDArray[np.uint8]:
    """Images (N, H, W, 3), one at a time -> (N, input_px, input_px, 3)."""
    shape = (input_px, input_px)
    return np.stack(
        [cv2.resize(np.asarray(image), shape, interpolation=cv2.INTER_AREA) for image in images]
    )


def soft_loss(scores: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of codes, mean over the cells that have one.

    `scores` (N, cells * K), `targets` (N, ..., K); a cell of zeros has no code.
    """
    words = targets.shape[-1]
    codes = targets.reshape(-1, words)
    errors = -(codes * F.log_softmax(scores.reshape(-1, words), dim=1)).sum(1)
    return errors.sum() / codes.any(dim=1).sum().clamp(min=1)


def train_normals(
    prepared: Prepared,
    start: Start,
    network: Network,
    settings: Normals,
    threads: int,
    out: Path,
    log: Path,
    progress: Path,
) -> float:
    """Train a network on the prepared training images, write weights and log -> the last loss.

    Images and mirrors of an iteration are functions of the seed and the iteration, so a killed run
    that is started again ends with the same weights. Raises InputError as `tune` and Progress do.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    words, grid = prepared.codebook.words, prepared.grid
    model = build_normals(start, network, grid * grid * len(words), settings.dropout)
    chosen = {
        "network": network.model_dump(),
        "normals": settings.model_dump(exclude={"checkpoint_every_seconds", "networks"}),
    }
    made_of = {**chosen, **start.identity(), "threads": threads, "prepared": prepared.sha256}
    kept = Progress(progress, made_of, "training of normals")
    images = squash(prepared.images("train"), network.input_px)
    targets = prepared.targets()

    def batch(iteration: int) -> tuple[Tensor, Tensor]:
        rng = generator(start.seed, "normals", iteration)
        rows = rng.integers(len(images), size=settings.batch_images)
        mirrors = rng.integers(2, size=settings.batch_images)
        views = np.stack(
            [
                images[row][:, ::-1] if mirror else images[row]
                for row, mirror in zip(rows, mirrors, strict=True)
            ]
        )
        crops = np.ascontiguousarray(views.transpose(0, 3, 1, 2))
        return torch.from_numpy(crops), torch.from_numpy(targets[rows, mirrors])

    loss = tune(open_fabric(), model, batch, soft_loss, settings, start.seed, kept)
    metadata = start.told(chosen, made_of, settings, loss) | {
        "format": NORMALS,
        "words": json.dumps(words.tolist()),
        "grid": str(grid),
    }
    finish(kept, out, log, model, metadata)
    return loss


def predict(weights: Path, images: NDArray[np.uint8], threads: int) -> NDArray[np.float32]:
    """Normals of images (N, H, W, 3) BGR by a trained network -> (N, grid, grid, 3).

    Raises InputError for weights of another use.
    """
    torch.set_num_threads(threads)
    metadata = load_weights(weights, NORMALS)[1]
    network = network_settings(weights, metadata)
    with described(weights):
        words = np.array(json.loads(metadata["words"]), np.float64)
        grid, init = int(metadata["grid"]), metadata["init"]
    if init == "torchvision":
        from trackssl.networks.torchvision_alexnet import TorchvisionDetector

        model: torch.nn.Module = TorchvisionDetector(grid * grid * len(words))
    else:
        model = build_normals(Start("random", None, 0), network, grid * grid * len(words), 0)
    load_network(model, weights, NORMALS)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH_IMAGES):
            crops = squash(images[start : start + _BATCH_IMAGES], network.input_px)
            scores = model(torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()).to(device))
            shares = scores.reshape(len(crops), grid, grid, len(words)).softmax(dim=3)
            found.append(decode(shares.cpu().numpy(), words))
    return np.concatenate(found)
