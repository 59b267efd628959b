"""Lists of labelled images."""

import json
from pathlib import Path

import numpy as np
import pytest

from trackssl.datasets.image_index import (
    ImageIndex,
    ImageList,
    make_image_index,
    read_image_index,
    write_image_index,
)
from trackssl.errors import InputError

CLASSES = ["bar", "gym, large", "zoo"]
LABELS = np.array([[1, -1, 0], [-1, -1, -1]], np.int8)


@pytest.fixture
def index(tmp_path: Path) -> ImageIndex:
    paths = [tmp_path / "a b,c.jpg", tmp_path / "ö.jpg"]
    for path in paths:
        path.write_bytes(b"12345")
    return make_image_index("rooms", CLASSES, {"train": ImageList(paths, LABELS)})


def test_an_index_is_read_as_it_was_written(index: ImageIndex, tmp_path: Path) -> None:
    write_image_index(tmp_path / "index.json", index)
    read = read_image_index(tmp_path / "index.json")
    assert (read.name, read.classes, read.sha256) == ("rooms", CLASSES, index.sha256)
    assert read.split("train").paths == index.split("train").paths
    assert read.split("train").labels.dtype == np.int8
    np.testing.assert_array_equal(read.split("train").labels, LABELS)
    with pytest.raises(InputError, match=r"'rooms' has no split 'test' \(it has: train\)"):
        read.split("test")


def test_the_checksum_knows_names_labels_and_sizes(index: ImageIndex) -> None:
    held = index.split("train")

    def made(labels: np.ndarray = LABELS, paths: list[Path] = held.paths) -> str:
        return make_image_index("rooms", CLASSES, {"train": ImageList(paths, labels)}).sha256

    assert made() == index.sha256
    others = {made(labels=-LABELS), made(paths=held.paths[::-1])}
    held.paths[0].write_bytes(b"123456")
    assert len({index.sha256, made(), *others}) == 4
    held.paths[0].unlink()
    with pytest.raises(InputError, match=r"a b,c\.jpg: the image is absent"):
        made()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "other"}, "its format is 'other'"),
        ({"classes": ["bar"]}, "'zoo' is missing or is no class"),
        ({"splits": {"train": 3}}, "has no len"),
        ({"splits": []}, "has no attribute 'items'"),
        ({"sha256": None}, None),
    ],
)
def test_what_is_no_index_is_refused(
    index: ImageIndex, tmp_path: Path, change: dict, reason: str | None
) -> None:
    path = tmp_path / "index.json"
    write_image_index(path, index)
    values = json.loads(path.read_text()) | change
    if reason is None:
        del values["sha256"]
        reason = "'sha256' is missing"
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=f"cannot be read as an image index .*{reason}"):
        read_image_index(path)
    with pytest.raises(InputError, match="cannot be read as an image index"):
        read_image_index(tmp_path / "absent.json")
