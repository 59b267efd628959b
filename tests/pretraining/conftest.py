from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from trackssl.images import Image, encode_jpeg
from trackssl.pairs.store import Pair, write_pairs

MakePairs = Callable[[int, int], Path]


def textured_pair(number: int, side: int) -> list[Image]:
    """Two crops of one random texture that differ in place, light and noise."""
    draws = np.random.default_rng(number)
    large = side + side // 4
    texture = np.zeros((large, large, 3), np.float32)
    for cells in (4, 8, 16, 32):
        noise = draws.normal(0, draws.uniform(0.3, 1.5), (cells, cells, 3)).astype(np.float32)
        texture += cv2.resize(noise, (large, large), interpolation=cv2.INTER_CUBIC)
    texture = (texture - texture.mean()) / texture.std() * 45 + draws.uniform(70, 170)
    crops = []
    for _ in range(2):
        y, x = draws.integers(0, large - side, 2)
        crop = texture[y : y + side, x : x + side] * draws.uniform(0.8, 1.2)
        crop = crop + draws.uniform(-15, 15) + draws.normal(0, 6, crop.shape)
        crops.append(np.clip(crop, 0, 255).astype(np.uint8))
    return crops


@pytest.fixture(scope="session")
def make_pairs(tmp_path_factory: pytest.TempPathFactory) -> MakePairs:
    """Writes so many pairs of patches of a side, each of its own video -> their list."""

    def make(count: int, side: int) -> Path:
        folder = tmp_path_factory.mktemp("pairs")
        box = (0.0, 0.0, float(side), float(side))
        pairs = []
        for i in range(count):
            first, last = map(encode_jpeg, textured_pair(i, side))
            pairs.append(Pair(f"video{i}", 0, 30, box, box, 9, 9, 9.0, 1.0, first, last))
        shard, rows = folder / "0.arrow", range(count)
        write_pairs(shard, pairs, {}, {})
        table = {"shard": str(shard), "row": rows, "video": [p.video for p in pairs]}
        pd.DataFrame(table).assign(first_frame=0).to_parquet(folder / "sets.parquet", index=False)
        return folder / "sets.parquet"

    return make


@pytest.fixture(scope="session")
def few_pairs(make_pairs: MakePairs) -> Path:
    """A list of 20 pairs of 67 px."""
    return make_pairs(20, 67)
