import json
from pathlib import Path

import pytest
import torch
from textures import PX

from trackssl.networks import RANKING, RankingNetwork, save_weights

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ranking network whose seed is not the one that its weights were drawn from, so that
    it differs from itself before its training."""
    path = tmp_path_factory.mktemp("weights") / "ranking.safetensors"
    settings = json.dumps({"network": {"width": 0.1, "input_px": PX}})
    metadata = {"format": RANKING, "settings": settings, "seed": "0"}
    save_weights(path, RankingNetwork(0.1, PX, seed=3), metadata)
    return path
