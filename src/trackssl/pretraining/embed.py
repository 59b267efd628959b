"""Features of image files by trained weights, for whatever people do with a network afterwards."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import nn

from trackssl.config import Network
from trackssl.detection.crops import cut_windows
from trackssl.detection.features import load_detector
from trackssl.errors import InputError
from trackssl.files import file_sha256, whole_file
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
from trackssl.networks.heads import RankingHead
from trackssl.pairs.dataset import fit

Layer = Literal["pool5", "fc7"]
DeviceName = Literal["auto", "cpu", "cuda"]
Features = NDArray[np.float32]

# The last two cannot be decoded, but are named rather than passed over: telephones write them.
SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".avif", ".tif", ".tiff",
    ".ppm", ".pgm", ".jp2", ".heic", ".heif",
}  # fmt: skip
BATCH_IMAGES = 64
_GROUP_BYTES = 16 << 20  # a row group of the table


def embed(
    paths: Sequence[Path],
    weights: Path,
    layer: Layer = "fc7",
    device: DeviceName = "auto",
    batch_images: int = BATCH_IMAGES,
) -> Features:
    """Features of N image files, in their order -> (N, D). Raises InputError as `Encoder` does,
    and for the first file that cannot be decoded.
    """
    encoder = Encoder(weights, layer, device)
    features = np.empty((len(paths), encoder.dim), np.float32)
    start = 0
    for names, rows in encode_files(paths, encoder, batch_images):
        features[start : start + len(names)] = rows
        start += len(names)
    return features


def write_features(
    images: Iterable[Path],
    encoder: "Encoder",
    out: Path,
    batch_images: int = BATCH_IMAGES,
    on_bad: Callable[[InputError], None] | None = None,
) -> int:
    """Write `path, feature` of image files as parquet, in constant memory -> number of rows.

    `on_bad` is told of each file that cannot be decoded, which is then left out. Raises InputError
    for such a file if there is no `on_bad`, and if no image is left.
    """
    schema = pa.schema(
        [("path", pa.string()), ("feature", pa.list_(pa.float32(), encoder.dim))],
        {
            "trackssl.weights": encoder.weights.name,
            "trackssl.weights_sha256": file_sha256(encoder.weights),
            "trackssl.layer": encoder.layer,
        },
    )
    # One buffer for a row group: kept by the batch, small arrays pin the heap and memory grows.
    group = np.empty(
        (max(batch_images, _GROUP_BYTES // (4 * encoder.dim)), encoder.dim), np.float32
    )
    names: list[str] = []
    count = 0
    with (
        whole_file(out) as part,
        pq.ParquetWriter(part, schema, use_dictionary=False) as file,
    ):

        def write_group() -> None:
            rows = pa.array(group[: len(names)].ravel())
            column = pa.FixedSizeListArray.from_arrays(rows, encoder.dim)
            file.write_table(pa.table([pa.array(names), column], schema=schema))
            names.clear()

        for paths, features in encode_files(images, encoder, batch_images, on_bad):
            if len(names) + len(paths) > len(group):
                write_group()
            group[len(names) : len(names) + len(paths)] = features
            names += map(str, paths)
            count += len(paths)
        if not count:
            raise InputError("none of the images can be decoded, so there is nothing to write.")
        write_group()
    return count


def image_files(given: Iterable[Path]) -> Iterator[Path]:
    """The files as given, and of a folder its images by name, then those of its folders.

    Raises InputError for what is not there, a folder without images, or a name that is not UTF-8.
    """
    for path in given:
        if not path.is_dir():
            yield _named(path)
            continue
        found = False
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                if Path(name).suffix.lower() in SUFFIXES:
                    found = True
                    yield _named(Path(folder) / name)
        if not found:
            raise InputError(f"{path}: the folder holds no images ({', '.join(sorted(SUFFIXES))}).")


def _named(path: Path) -> Path:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(f"{str(path)!r}: its name is not UTF-8; rename the file.") from None
    return path


class Encoder:
    """A trained network as a function of images: a ranking network's or a detector's file.

    pool5 is flattened; fc7 of a ranking network is its output, of L2 norm 1, that of a detector is
    taken after its ReLU. An image is one patch: for a ranking network it is stretched to the input,
    as patches of pairs are; for a detector it is warped as a window of the whole image, context
    and all, as its windows are. `dim` is the features' length.

    `untrained`: the weights are not the file's but those its training would start from by chance
    alone, drawn from its seed: the control that says what the training gave.

    Raises InputError if the file does not serve, or the device is not there.
    """

    def __init__(
        self,
        weights: Path,
        layer: Layer,
        device: DeviceName = "auto",
        untrained: bool = False,
    ) -> None:
        cuda = torch.cuda.is_available()
        if device == "cuda" and not cuda:
            raise InputError("no CUDA device is at hand; use --device cpu, or auto.")
        self.device = torch.device("cuda" if cuda and device != "cpu" else "cpu")
        self.weights, self.layer = weights, layer
        self.context_px: int | None = None
        metadata = load_weights(weights, RANKING, DETECTOR)[1]
        self.network: nn.Module
        if metadata["format"] == DETECTOR:
            self.network, settings, finetuning = load_detector(weights)
            self.context_px = finetuning.context_px
        else:
            settings = network_settings(weights, metadata)
            self.network = _ranking_network(weights, settings, layer)
        if untrained:
            self.network = _untrained(settings, metadata)
        self.network.to(self.device).eval()
        self.input_px = settings.input_px
        self.dim = self(np.zeros((1, self.input_px, self.input_px, 3), np.uint8)).shape[1]

    def crop(self, image: Image) -> Image:
        """An image (H, W, 3) BGR as the network's input, (input_px, input_px, 3)."""
        if self.context_px is None:
            return fit(image, self.input_px)
        whole = np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32)
        return cut_windows(image, whole, self.input_px, self.context_px, np.zeros(1, bool))[0]

    def __call__(self, crops: Image) -> Features:
        """Features (N, dim) of crops (N, input_px, input_px, 3) uint8 BGR, at full precision."""
        images = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2)
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            if not isinstance(self.network, RankingHead):
                features = self.network.features(images, self.layer)  # type: ignore[operator]
            elif self.layer == "pool5":
                features = self.network.pool5(images).flatten(1)
            else:
                features = self.network(images)
        found: Features = features.float().cpu().numpy()
        if not np.isfinite(found).all():
            raise InputError(
                f"{self.weights}: its features are not finite numbers; the training has diverged."
            )
        return found


def _ranking_network(weights: Path, settings: Network, layer: Layer) -> RankingHead:
    """The network of a file; for pool5, its trunk suffices."""
    network = build_ranking(settings)
    if layer == "pool5":
        load_convolutions(network, weights, (RANKING,))
    else:
        load_network(network, weights, RANKING)
    return network


def _untrained(settings: Network, metadata: Mapping[str, str]) -> nn.Module:
    """A network of the same shape and kind, with drawn weights."""
    text = metadata.get("seed", "")
    seed = int(text) if text.isdecimal() else 0
    if metadata["format"] == RANKING:
        return build_ranking(settings, seed)
    width, side, backbone = settings.width, settings.input_px, settings.backbone
    return build_detector("random", width, side, 1, seed=seed, backbone=backbone)


def encode_files(
    paths: Iterable[Path],
    encoder: Encoder,
    batch_images: int = BATCH_IMAGES,
    on_bad: Callable[[InputError], None] | None = None,
    threads: int = 2,
) -> Iterator[tuple[list[Path], Features]]:
    """Files in batches, with their features (B, dim); images are decoded ahead by threads.

    `on_bad` is told of each file that cannot be decoded, which is then left out; without it, the
    first one raises InputError.
    """
    cv2.setNumThreads(1)

    def crop(path: Path) -> Image | InputError:
        try:
            return encoder.crop(read_image(path))
        except InputError as error:
            return error
        except OSError as error:
            reason = " ".join(str(error).split())[:200]
            return InputError(
                f"{path}: this image cannot be used ({reason}); replace or remove it."
            )

    rest = iter(paths)
    waiting: deque[tuple[Path, Future[Image | InputError]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        while True:
            wanted = 2 * batch_images - len(waiting)
            waiting.extend((path, pool.submit(crop, path)) for path in islice(rest, wanted))
            if not waiting:
                return
            names, crops = [], []
            for _ in range(min(batch_images, len(waiting))):
                path, future = waiting.popleft()
                found = future.result()
                if not isinstance(found, InputError):
                    names.append(path)
                    crops.append(found)
                elif on_bad is not None:
                    on_bad(found)
                else:
                    pool.shutdown(cancel_futures=True)
                    raise found
            if crops:
                yield names, encoder(np.stack(crops))
