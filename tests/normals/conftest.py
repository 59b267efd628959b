from pathlib import Path

import pytest

from trackssl.config import Nyuv2
from trackssl.datasets.fetch_nyuv2 import fetch_nyuv2
from trackssl.datasets.nyuv2 import NyuIndex
from trackssl.normals.prepared import Prepared, prepare


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Nyuv2:
    """Six drawn rooms with exact normals, coded by few words on a coarse grid."""
    folder = tmp_path_factory.mktemp("nyuv2") / "rooms"
    return Nyuv2(
        source="miniworld",
        mat=str(folder / "nyu_depth_v2_labeled.mat"),
        splits=str(folder / "splits.mat"),
        normals=str(folder / "normals"),
        words=12,
        grid=4,
        train_images=4,
        test_images=2,
    )


@pytest.fixture(scope="session")
def index(data: Nyuv2) -> NyuIndex:
    return fetch_nyuv2(data)


@pytest.fixture(scope="session")
def prepared(data: Nyuv2, index: NyuIndex, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder: Path = tmp_path_factory.mktemp("prepared")
    return prepare(index, data, folder / "prepared", folder / "progress")
