"""Features of whole images, listed in an index."""

import gc
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.config import Network
from trackssl.datasets.image_index import (
    ImageIndex,
    ImageList,
    make_image_index,
    read_image_index,
    write_image_index,
)
from trackssl.datasets.voc import VocIndex, make_index
from trackssl.datasets.voc_images import voc_images
from trackssl.detection import features
from trackssl.detection.features import Source, extract_image_features, layer_features
from trackssl.errors import InputError
from trackssl.networks import RankingNetwork

NETWORK = Network(width=0.1, input_px=67)
SOURCE = Source(None, "random", NETWORK, seed=3)


@pytest.fixture
def photographs(tmp_path: Path) -> ImageIndex:
    """Seven images of noise in several sizes; the last is the first again."""
    paths = []
    for number in range(6):
        size = (40 + 30 * number, 300 - 20 * number)
        noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        paths.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(paths[-1]), cv2.resize(noise, size))
    paths.append(paths[0])
    return make_image_index("noise", ["a"], {"all": ImageList(paths, np.ones((7, 1), np.int8))})


def test_an_image_is_squashed_and_its_centre_taken(photographs: ImageIndex, tmp_path: Path) -> None:
    shape = extract_image_features(SOURCE, photographs, "all", "pool5", tmp_path / "f.npy")
    found = np.load(tmp_path / "f.npy")
    assert found.shape == shape == (7, 24)
    assert found.dtype == np.float16
    network = RankingNetwork(0.1, 67, 3).eval()
    for path, row in zip(photographs.split("all").paths, found, strict=True):
        # Caffe's way, at an input so fine that resizing in one step or in two is the same.
        square = cv2.resize(cv2.imread(str(path)), (1024, 1024))
        crop = cv2.resize(square[58:966, 58:966], (67, 67))
        with torch.inference_mode():
            image = torch.from_numpy(crop).permute(2, 0, 1)[None]
            wanted = layer_features(network, image, "pool5")[0].numpy()
        assert np.linalg.norm(row - wanted) < 0.05 * np.linalg.norm(wanted)
    assert np.linalg.norm(found[1] - found[0]) > 0.1 * np.linalg.norm(found[0])


def test_images_together_have_the_features_of_images_alone(
    photographs: ImageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract_image_features(SOURCE, photographs, "all", "fc7", tmp_path / "together.npy")
    monkeypatch.setattr(features, "_BATCH_IMAGES", 1)
    extract_image_features(SOURCE, photographs, "all", "fc7", tmp_path / "alone.npy")
    together, alone = np.load(tmp_path / "together.npy"), np.load(tmp_path / "alone.npy")
    np.testing.assert_allclose(together, alone, rtol=2e-3, atol=1e-3)
    assert np.array_equal(alone[0], alone[6])


def test_a_broken_off_extraction_ends_with_the_same_bytes(
    photographs: ImageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(features, "_BATCH_IMAGES", 2)
    straight, out, kept = (tmp_path / name for name in ("straight.npy", "f.npy", "kept"))
    extract_image_features(SOURCE, photographs, "all", "pool5", straight)
    bad = photographs.split("all").paths[5]
    content = bad.read_bytes()
    bad.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"5\.png: this is not an image"):
        extract_image_features(SOURCE, photographs, "all", "pool5", out, kept)
    gc.collect()  # the traceback held the folder's lock
    assert not out.exists()
    bad.write_bytes(content)
    read: list[str] = []
    real = features.read_image
    monkeypatch.setattr(features, "read_image", lambda path: read.append(path.stem) or real(path))
    extract_image_features(SOURCE, photographs, "all", "pool5", out, kept)
    assert read[0] in ("2", "4")  # the last ones computed may not have been fetched
    assert out.read_bytes() == straight.read_bytes()


def test_the_command_takes_windows_or_images(photographs: ImageIndex, tmp_path: Path) -> None:
    write_image_index(tmp_path / "index.json", photographs)
    common = [
        *("extract-features", "--init", "random", "--network", NETWORK.model_dump_json()),
        *("--split", "all", "--layer", "pool5", "--threads", "1"),
        *("--out", str(tmp_path / "f.npy"), "--images", str(tmp_path / "index.json")),
    ]
    done = CliRunner().invoke(app, common)
    assert done.exit_code == 0, done.output
    assert "f.npy: 7 images x 24" in done.output
    both = CliRunner().invoke(app, [*common, "--voc", "index.json"])
    assert "either --voc and --proposals" in str(both.exception)
    absent = CliRunner().invoke(app, [*common[:5], "--split", "val", *common[7:]])
    assert "no split 'val' (it has: all)" in str(absent.exception)


def test_an_image_with_difficult_objects_alone_is_ignored(write_devkit, tmp_path: Path) -> None:
    box = (2, 2, 30, 30)
    images = {
        "both": (40, 40, [("cat", box, True), ("cat", box, False), ("dog", box, True)]),
        "none": (40, 40, []),
        "zebra": (40, 40, [("zebra", box, False)]),
    }
    index = make_index(write_devkit({"train": images}, photographs=True), ["train"])
    (tmp_path / "voc.json").write_text(json.dumps(index.to_json()))
    given = ["--voc", str(tmp_path / "voc.json"), "--out", str(tmp_path / "images.json")]
    done = CliRunner().invoke(app, ["voc-images", *given])
    assert done.exit_code == 0, done.output
    made = read_image_index(tmp_path / "images.json")
    assert made.classes == ["cat", "dog", "zebra"]
    assert made.split("train").labels.tolist() == [[1, 0, -1], [-1, -1, -1], [-1, -1, 1]]
    assert made.split("train").paths[2] == index.devkit.image_path("zebra")


@pytest.mark.real_data
def test_labels_of_real_images_agree_with_their_objects(small_voc: VocIndex) -> None:
    made = voc_images(small_voc)
    labels = dict(zip(small_voc.images("val"), made.split("val").labels.tolist(), strict=True))
    for image, annotation in small_voc.annotations("val"):
        shown = {made.classes[i] for i, label in enumerate(labels[image]) if label == 1}
        pairs = zip(annotation.classes, annotation.difficult, strict=True)
        assert shown == {name for name, difficult in pairs if not difficult}
