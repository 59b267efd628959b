"""Features of all windows of a split, written a few images at a time."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import nn

from trackssl.config import Finetuning, Network, parse
from trackssl.datasets.voc import VocIndex
from trackssl.detection.crops import cut_windows
from trackssl.detection.proposals import ProposalFile
from trackssl.detection.windows import image_windows
from trackssl.errors import InputError
from trackssl.files import whole_file
from trackssl.images import read_image
from trackssl.networks import (
    DETECTOR,
    build_detector,
    load_network,
    load_weights,
    network_settings,
)
from trackssl.networks.heads import FeatureLayer
from trackssl.networks.weights import described

_BATCH_WINDOWS = 256


def load_detector(path: Path) -> tuple[nn.Module, Network, Finetuning]:
    """A fine-tuned network ready for use, and its settings. Raises InputError if it is none."""
    metadata = load_weights(path, DETECTOR)[1]
    network = network_settings(path, metadata)
    with described(path):
        finetuning = parse(Finetuning, json.loads(metadata["settings"])["finetuning"], str(path))
        classes = len(json.loads(metadata["classes"])) + 1
        init = metadata["init"]
    detector: nn.Module
    if init == "torchvision":
        # Imported here, as torchvision takes seconds to load and most runs do without it.
        from trackssl.networks.torchvision_alexnet import TorchvisionDetector

        detector = TorchvisionDetector(classes)
    else:
        detector = build_detector(
            "random", network.width, network.input_px, classes, backbone=network.backbone
        )
    load_network(detector, path, DETECTOR)
    return detector.eval(), network, finetuning


def extract_features(
    weights: Path,
    index: VocIndex,
    split: str,
    proposals: ProposalFile,
    layer: FeatureLayer,
    out: Path,
) -> tuple[int, int]:
    """Write features as float16 (windows, dim), rows as in `detection.windows` -> that shape.

    An image's windows go through the network by themselves, so its features do not depend on the
    other images. Raises InputError for weights of another use, or values beyond half precision.
    """
    cv2.setNumThreads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.use_deterministic_algorithms(device.type == "cpu")
    detector, network, finetuning = load_detector(weights)
    detector.to(device)

    def features(crops: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(crops).to(device).permute(0, 3, 1, 2)
        return detector.features(images, layer).half().cpu().numpy()  # type: ignore[operator]

    with torch.inference_mode(), whole_file(out) as part:
        probe = np.zeros((1, network.input_px, network.input_px, 3), np.uint8)
        shape = (index.splits[split]["objects"] + proposals.windows, features(probe).shape[1])
        rows = np.lib.format.open_memmap(part, "w+", np.float16, shape)
        start = 0
        for image, _, boxes in track(
            image_windows(index, split, proposals),
            "features",
            total=len(proposals),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        ):
            pixels = read_image(index.devkit.image_path(image))
            for few in np.split(boxes, range(_BATCH_WINDOWS, len(boxes), _BATCH_WINDOWS)):
                straight = np.zeros(len(few), bool)
                crops = cut_windows(pixels, few, network.input_px, finetuning.context_px, straight)
                rows[start : start + len(few)] = found = features(crops)
                start += len(few)
                if not np.isfinite(found).all():
                    raise InputError(
                        f"{weights}: features of image '{image}' exceed half precision; the "
                        "training has diverged, lower its learning rate."
                    )
        rows.flush()
    return shape
