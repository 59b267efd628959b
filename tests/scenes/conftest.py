import shutil
from pathlib import Path

import pytest

from trackssl.datasets.image_index import ImageIndex
from trackssl.datasets.mit67 import LISTS, read_tree
from trackssl.miniworld.indoor import KINDS, render_indoor

REAL_TRAIN, REAL_TEST = 12, 8  # images of each class


@pytest.fixture(scope="session")
def real_scenes(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ImageIndex:
    """Photographs of four kinds of scenes as MIT Indoor 67 has its tree, lists with CRLF."""
    root = tmp_path_factory.mktemp("scenes")
    for (split, file), count in zip(LISTS.items(), (REAL_TRAIN, REAL_TEST), strict=True):
        lines = []
        for label in ("forest", "highway", "livingroom", "store"):
            folder = root / "Images" / label
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted((real_data / "scenes" / split / label).iterdir())[:count]:
                shutil.copyfile(path, folder / f"{split} {path.name}")
                lines.append(f"{label}/{split} {path.name}")
        (root / file).write_bytes("\r\n".join(lines).encode())
    return read_tree(root, "real")


@pytest.fixture(scope="session")
def drawn_rooms(tmp_path_factory: pytest.TempPathFactory) -> ImageIndex:
    """Three drawn rooms of each kind for training, two for testing."""
    root = tmp_path_factory.mktemp("rooms") / "indoor"
    render_indoor(root, 3, 2, seed=7)
    index = read_tree(root, "drawn")
    assert index.classes == sorted(KINDS)
    return index
