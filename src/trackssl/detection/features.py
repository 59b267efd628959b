"""Features of all windows of a split, or of whole images: of fine-tuned networks or as they are."""

import json
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional as F

from trackssl.boxes import Boxes
from trackssl.config import FeatureLayer, Finetuning, Network, parse
from trackssl.datasets.image_index import ImageIndex
from trackssl.datasets.voc import VocIndex
from trackssl.detection.crops import Cutter
from trackssl.detection.proposals import ProposalFile
from trackssl.detection.windows import image_windows
from trackssl.errors import InputError
from trackssl.files import Progress, file_sha256, whole_file, write_json
from trackssl.images import Image, read_image
from trackssl.networks import (
    DETECTOR,
    RANKING,
    build_detector,
    build_ranking,
    load_convolutions,
    load_network,
    load_weights,
    network_settings,
)
from trackssl.networks.build import Init
from trackssl.networks.heads import Trunk
from trackssl.networks.weights import described

_BATCH_WINDOWS = 128
_BATCH_IMAGES = 32  # whole ones; they are held in memory at once
_CENTRE = 227 / 256  # Caffe: images of 256 x 256, of which a network sees the central 227 x 227
_SAVE_SECONDS = 10.0  # what a kill may cost
_HEAD: dict[FeatureLayer, tuple[str, ...]] = {"pool5": (), "fc6": ("fc6",), "fc7": ("fc6", "fc7")}


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


@dataclass(frozen=True)
class Source:
    """Which network gives the features: a detector's file, or a network with no fine-tuning.

    That is a file of another kind, which is read as it is, or an `init` without one, random or
    torchvision's. `network` is needed where no file says it; of a detector, `context_px` is that of
    its training.
    """

    weights: Path | None
    init: Init = "weights"
    network: Network | None = None
    seed: int = 0
    context_px: int = Finetuning().context_px

    def open(self, layer: FeatureLayer) -> tuple[nn.Module, Network, int]:
        """The network in eval mode, its settings and context. Raises InputError."""
        if self.init == "weights":
            if self.weights is None:
                raise InputError("init 'weights' needs a weights file; give its path.")
            metadata = load_weights(self.weights, RANKING, DETECTOR)[1]
            if metadata["format"] == DETECTOR and "classes" in metadata:
                detector, settings, finetuning = load_detector(self.weights)
                return detector, settings, finetuning.context_px
            settings = self.network or network_settings(self.weights, metadata)
            # A detector's without classes is an imported classifier, see `import_caffe`.
            build = build_ranking if metadata["format"] == RANKING else _bare_detector
            made = build(settings)
            load_convolutions(made, self.weights, layers=_HEAD[layer])
            return made.eval(), settings, self.context_px
        settings = self.network or Network()
        if self.init == "random":
            return build_ranking(settings, self.seed).eval(), settings, self.context_px
        given = (self.init, settings.width, settings.input_px, 1, 0.0, self.seed, self.weights)
        return build_detector(*given, settings.backbone).eval(), settings, self.context_px

    def identity(self) -> dict[str, Any]:
        """What a continued extraction must agree with."""
        content = file_sha256(self.weights) if self.weights and self.weights.is_file() else None
        network = self.network.model_dump() if self.network else None
        own = {"init": self.init, "weights": content, "network": network, "seed": self.seed}
        return own | {"context_px": self.context_px}


def _bare_detector(settings: Network) -> Trunk:
    given = ("random", settings.width, settings.input_px, 1)
    detector = build_detector(*given, backbone=settings.backbone)  # type: ignore[arg-type]
    assert isinstance(detector, Trunk)
    return detector


def layer_features(network: nn.Module, images: Tensor, layer: FeatureLayer) -> Tensor:
    """(N, 3, H, W) BGR of 0..255 -> (N, dim) features of a layer after its ReLU, in eval mode."""
    if not isinstance(network, Trunk):
        return network.features(images, layer)  # type: ignore[operator]
    x = network.pool5(images).flatten(1)
    for name in _HEAD[layer]:
        x = F.relu(network.get_submodule(name)(x))
    return x


class _Wanted(NamedTuple):
    """An image and which windows of it are wanted: None for its centre, as one window."""

    name: str
    path: Path
    boxes: Boxes | None  # (N, 4) edges from 0

    @property
    def rows(self) -> int:
        return 1 if self.boxes is None else len(self.boxes)


@dataclass(frozen=True)
class _Work:
    """All that features are wanted of: images in order, `together` of them at once."""

    images: Iterable[_Wanted]
    count: int
    rows: int
    together: int
    context_px: int | None  # None: the network's own
    identity: dict[str, str]


class _Chunk(NamedTuple):
    """Windows of a few images, cut."""

    done: int  # images up to the last one of these
    names: list[str]  # the image of each window
    start: int  # row of the first one
    crops: Tensor
    last: bool  # of its images


def extract_features(
    source: Source,
    index: VocIndex,
    split: str,
    proposals: ProposalFile,
    layer: FeatureLayer,
    out: Path,
    progress: Path | None = None,
) -> tuple[int, int]:
    """Write features as float16 (windows, dim), rows as in `detection.windows` -> that shape.

    An image's windows go through the network by themselves, so its features do not depend on the
    other images, nor on a kill: a run that is started again goes on after the last image saved in
    the folder `progress` (beside `out` if none is given). The next windows are read and cut while
    the network works.

    Raises InputError for weights of another use, progress of other inputs, or values beyond half
    precision.
    """
    windows = image_windows(index, split, proposals)
    work = _Work(
        (_Wanted(one.image, index.devkit.image_path(one.image), one.boxes) for one in windows),
        count=len(proposals),
        rows=index.splits[split]["objects"] + proposals.windows,
        together=1,
        context_px=None,
        identity={"voc": index.sha256, "proposals": file_sha256(proposals.path)},
    )
    return _extract(source, work, split, layer, out, progress)


def extract_image_features(
    source: Source,
    index: ImageIndex,
    split: str,
    layer: FeatureLayer,
    out: Path,
    progress: Path | None = None,
) -> tuple[int, int]:
    """Write features of whole images as float16 (images, dim), in the list's order -> that shape.

    Each image is squashed to a square and its central 227/256 taken, as in Caffe. Images go through
    the network 32 at a time, counted from the first one, so a killed run ends with the same bytes;
    from other neighbours a feature differs by rounding at most.

    Raises InputError as `extract_features` does, and for an image that cannot be decoded.
    """
    paths = index.split(split).paths
    work = _Work(
        (_Wanted(str(path), path, None) for path in paths),
        count=len(paths),
        rows=len(paths),
        together=_BATCH_IMAGES,
        context_px=0,
        identity={"images": index.sha256},
    )
    return _extract(source, work, split, layer, out, progress)


def _extract(
    source: Source,
    work: _Work,
    split: str,
    layer: FeatureLayer,
    out: Path,
    progress: Path | None,
) -> tuple[int, int]:
    cv2.setNumThreads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.use_deterministic_algorithms(device.type == "cpu")
    network, settings, context_px = source.open(layer)
    network.to(device)
    identity = source.identity() | {"layer": layer, "split": split} | work.identity
    kept = Progress(progress or out.with_name(f".{out.name}.progress"), identity, "extraction")
    context_px = context_px if work.context_px is None else work.context_px
    cutter = Cutter(network, settings.input_px, context_px, device)
    with torch.inference_mode():
        probe = torch.zeros((1, 3, settings.input_px, settings.input_px), device=device)
        dim = layer_features(network, probe, layer).shape[1]
        shape = (work.rows, dim)
        done, rows = _open_rows(kept, shape)
        saved = time.monotonic()
        for chunk, found in _computed(network, _chunks(work, cutter, done), layer):
            rows[chunk.start : chunk.start + len(found)] = found
            finite = np.isfinite(found).all(axis=1)
            if not finite.all():
                raise InputError(
                    f"{source.weights or source.init}: features of image "
                    f"'{chunk.names[finite.argmin()]}' exceed half precision; the training has "
                    "diverged, lower its learning rate."
                )
            if chunk.last and time.monotonic() - saved >= _SAVE_SECONDS:
                rows.flush()
                write_json(kept / "done.json", chunk.done)
                saved = time.monotonic()
    rows.flush()
    del rows
    (kept / "done.json").unlink(missing_ok=True)
    with whole_file(out) as part:
        shutil.move(kept / "rows.npy", part)
    kept.finish()
    return shape


def _open_rows(kept: Progress, shape: tuple[int, int]) -> tuple[int, np.memmap]:
    """Images that are done, and the rows, new or of a killed run."""
    path, mark = kept / "rows.npy", kept / "done.json"
    if mark.exists() and path.exists():
        return json.loads(mark.read_text()), np.lib.format.open_memmap(path, "r+")
    return 0, np.lib.format.open_memmap(path, "w+", np.float16, shape)


def _chunks(work: _Work, cutter: Cutter, done: int) -> Iterator[_Chunk]:
    """Windows of the images from number `done` on, cut in batches."""
    row = number = 0
    shown = track(
        work.images,
        "features",
        total=work.count,
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    images = iter(shown)
    while few := list(islice(images, work.together)):
        number += len(few)
        windows = sum(image.rows for image in few)
        if number > done and windows:
            yield from _cut_images(few, cutter, number, row)
        row += windows


def _cut_images(few: list[_Wanted], cutter: Cutter, number: int, row: int) -> Iterator[_Chunk]:
    read = [read_image(image.path) for image in few]
    given = zip(few, read, strict=True)
    boxes = np.concatenate([_centre(p) if i.boxes is None else i.boxes for i, p in given])
    of_image = np.repeat(np.arange(len(few)), [image.rows for image in few])
    images = [cutter.take(pixels) for pixels in read]
    for start in range(0, len(boxes), _BATCH_WINDOWS):
        part = slice(start, start + _BATCH_WINDOWS)
        some = boxes[part], np.zeros(len(boxes[part]), bool)
        crops = cutter.cut(images, of_image[part], *some)
        names = [few[i].name for i in of_image[part]]
        yield _Chunk(number, names, row + start, crops, start + len(crops) == len(boxes))


def _centre(image: Image) -> Boxes:
    """The central window (1, 4) of an image, `_CENTRE` of each side."""
    size = np.array(image.shape[1::-1])
    margin = (1 - _CENTRE) / 2 * size
    return np.concatenate([margin, size - margin])[None].astype(np.float32)


def _computed(
    network: nn.Module, chunks: Iterator[_Chunk], layer: FeatureLayer
) -> Iterator[tuple[_Chunk, np.ndarray]]:
    """Features float16 of each chunk, in order.

    A thread prepares the next chunk meanwhile, and a GPU has its work before the last is fetched.
    """
    before: tuple[_Chunk, Tensor] | None = None
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(next, chunks, None)
        while (chunk := future.result()) is not None:
            future = thread.submit(next, chunks, None)
            found = layer_features(network, chunk.crops, layer).half()
            if before is not None:
                yield before[0], before[1].cpu().numpy()
            before = chunk, found
    if before is not None:
        yield before[0], before[1].cpu().numpy()
