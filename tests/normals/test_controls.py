"""What simple features learn of normals; the figures are of its long run."""

import importlib.util
from pathlib import Path

import numpy as np

from trackssl.normals.prepared import Prepared

REPOSITORY = Path(__file__).parents[2]


def test_controls_predict_unit_normals_and_are_scored_as_networks_are(prepared: Prepared) -> None:
    spec = importlib.util.spec_from_file_location("rooms", REPOSITORY / "bench/rooms.py")
    rooms = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rooms)
    for describe in (rooms.pixels, rooms.gradients):
        found, weight = rooms.predict(describe, prepared)
        assert found.shape == (2, 4, 4, 3)
        np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-5)
        assert weight in rooms.WEIGHTS
        assert rooms.scores(found, prepared).pixels > 2 * 100_000
