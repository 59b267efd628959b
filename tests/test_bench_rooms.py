"""What simple features learn of normals; the figures are of its long run."""

import importlib.util
from pathlib import Path

import numpy as np

from trackssl.config import Nyuv2
from trackssl.datasets.fetch_nyuv2 import fetch_nyuv2
from trackssl.normals.prepared import Prepared, prepare

REPOSITORY = Path(__file__).parents[1]


def test_controls_predict_unit_normals_and_are_scored_as_networks_are(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("rooms", REPOSITORY / "bench/rooms.py")
    rooms = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rooms)
    folder = tmp_path / "rooms"
    data = Nyuv2(
        source="miniworld",
        mat=str(folder / "nyu_depth_v2_labeled.mat"),
        splits=str(folder / "splits.mat"),
        normals=str(folder / "normals"),
        words=12,
        grid=4,
        train_images=6,
        test_images=2,
    )
    made = prepare(fetch_nyuv2(data), data, tmp_path / "prepared", tmp_path / "progress")
    prepared = Prepared.open(made.folder)
    for describe in (rooms.pixels, rooms.gradients):
        found, weight = rooms.predict(describe, prepared)
        assert found.shape == (2, 4, 4, 3)
        np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-5)
        assert weight in rooms.WEIGHTS
        assert rooms.scores(found, prepared).pixels > 2 * 100_000
