"""What a network looks for: its first layer's filters, and the patches its units answer to most."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.images import Image, decode_image
from trackssl.networks import load_weights, pool5_size
from trackssl.networks.alexnet import Convolutions
from trackssl.pretraining.embed import BATCH_IMAGES, Encoder
from trackssl.randomness import generator
from trackssl.report.page.blocks import Picture, Tile, Tiles
from trackssl.report.page.images import jpeg_uri, picture, shrunk
from trackssl.report.page.pairs import Looked
from trackssl.report.page.run import Run
from trackssl.report.page.words import count, plural

UNITS, ANSWERS = 8, 8
_MOST_PATCHES, _MOST_PATCHES_WIDE = 2_000, 400  # that a small network looks through, a large one
_SMALL_DIM = 1_024  # of pool5's features
_COLUMNS, _FILTER_PX, _GAP_PX = 8, 40, 4
_PAPER = 255
_PATCH_PX = 96


def filter_sheet(weights: NDArray[np.float32]) -> Image:
    """Filters (N, 3, k, k) of the input's BGR, each stretched to its own range -> (H, W, 3) BGR."""
    lines = -(-len(weights) // _COLUMNS)
    step = _FILTER_PX + _GAP_PX
    columns = min(_COLUMNS, len(weights))
    shape = (lines * step + _GAP_PX, columns * step + _GAP_PX, 3)
    sheet = np.full(shape, _PAPER, np.uint8)
    for number, one in enumerate(weights.transpose(0, 2, 3, 1)):
        low, high = float(one.min()), float(one.max())
        grey = (one - low) / (high - low or 1) * 255
        tile = cv2.resize(
            grey.round().astype(np.uint8), (_FILTER_PX, _FILTER_PX),
            interpolation=cv2.INTER_NEAREST,
        )  # fmt: skip
        y, x = (_GAP_PX + place * step for place in divmod(number, _COLUMNS))
        sheet[y : y + _FILTER_PX, x : x + _FILTER_PX] = tile
    return sheet


def filter_pictures(run: Run) -> Iterator[Picture]:
    """conv1 of the main network."""
    network = run.main_network
    if network is None:
        return
    tensors, _ = load_weights(run.weights(network, run.networks[network][0]))
    if "conv1.weight" not in tensors:
        return
    filters = tensors["conv1.weight"].numpy()
    side = filters.shape[-1]
    yield picture(
        filter_sheet(filters),
        run.label,
        alt=f"{len(filters)} small squares, the filters of the first layer of {network}.",
        title=f"First-layer filters of {network}",
        caption=f"{len(filters)} filters of {side} x {side} pixels, each stretched to its own "
        "range. Edges and colour blobs are what networks trained with labels end up with; "
        "noise means that little was learnt at this depth.",
    )


def unit_blocks(run: Run) -> list[object]:
    """For some units of pool5, drawn at random, the mined patches that they answer to most."""
    network = run.main_network
    if network is None or not run.shards:
        return []
    looked = Looked.into(run.shards)
    weights = run.weights(network, run.networks[network][0])
    encoder = Encoder(weights, "pool5", "cpu")
    most = _MOST_PATCHES if encoder.dim <= _SMALL_DIM else _MOST_PATCHES_WIDE
    chosen = looked.drawn(most, "units")
    if len(chosen) < ANSWERS:
        return []
    pairs = [looked.pair(index) for index in chosen]
    patches = [decode_image(pair.first_jpeg, f"a patch of {pair.video}") for pair in pairs]
    answers = _answers(encoder, patches)
    units = choose_units(answers)
    videos = [pair.video for pair in pairs]
    tiles = []
    for unit in units:
        best = strongest(answers[:, unit], videos)
        uris = [jpeg_uri(shrunk(patches[i], _PATCH_PX)) for i in best]
        tiles.append(Tile(uris, f"unit {unit}", ""))
    alt = (
        f"{len(tiles)} rows of patches, a row a unit of {network}; whether a row shows one kind of "
        "thing says what the unit looks for."
    )
    caption = (
        f"{plural(len(units), 'unit')} of {answers.shape[1]} drawn at random, not picked, among "
        f"those that answer to anything; for each the {ANSWERS} patches of {count(len(patches))} "
        "that raise its highest response most, one a video. The paper's figure shows chosen ones."
    )
    title = f"What units of pool5 answer to, {network}"
    return [Tiles(tiles, alt, title, caption, run.label, 0)]


def choose_units(answers: NDArray[np.float32], most: int = UNITS) -> list[int]:
    """Units drawn at random among those that answer to anything, in their order."""
    alive = np.flatnonzero(answers.max(axis=0) > 0)
    drawn = generator("report", "units shown").permutation(alive)[:most]
    return sorted(int(unit) for unit in drawn)


def strongest(
    answers: NDArray[np.float32], videos: Sequence[str], most: int = ANSWERS
) -> list[int]:
    """Patches with the highest answers (N,), at most one of a video."""
    seen: set[str] = set()
    best = []
    for index in np.argsort(-answers, kind="stable"):
        if videos[index] not in seen:
            seen.add(videos[index])
            best.append(int(index))
        if len(best) == most:
            break
    return best


def _answers(encoder: Encoder, patches: Sequence[Image]) -> NDArray[np.float32]:
    """The highest response of each unit of pool5 to each patch -> (patches, units)."""
    crops = [encoder.crop(patch) for patch in patches]
    found = []
    for start in range(0, len(crops), BATCH_IMAGES):
        maps = encoder(np.stack(crops[start : start + BATCH_IMAGES]))
        found.append(maps.reshape(len(maps), -1, _cells(encoder)).max(axis=2))
    return np.concatenate(found)


def _cells(encoder: Encoder) -> int:
    """Places of pool5's map, each with all units."""
    alexnet = isinstance(encoder.network, Convolutions)
    return pool5_size(encoder.input_px) ** 2 if alexnet else 1
