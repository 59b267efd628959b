"""Features of windows: of fine-tuned networks and of networks as they are, also after a kill."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from trackssl.config import Network, Proposals
from trackssl.datasets.voc import VocIndex, make_index
from trackssl.detection import features
from trackssl.detection.crops import cut_windows
from trackssl.detection.features import Source, extract_features, layer_features
from trackssl.detection.proposals import ProposalFile, propose_split
from trackssl.errors import InputError
from trackssl.networks import (
    DETECTOR,
    RANKING,
    DetectorNetwork,
    RankingNetwork,
    build_detector,
    save_weights,
)

NETWORK = Network(width=0.1, input_px=67)
SETTINGS = json.dumps({"network": NETWORK.model_dump()})
Split = tuple[VocIndex, str, ProposalFile]


@pytest.fixture
def photographs(write_devkit, tmp_path: Path) -> Split:
    """Eight images of noise, an object in each, and 30 proposals of each at most."""
    images = {
        f"a{'b' * number}": (90, 60 + number, [("cat", (20, 10, 50, 40), False)])
        for number in range(8)
    }
    index = make_index(write_devkit({"train": images}, photographs=True), ["train"])
    path = tmp_path / "train.arrow"
    propose_split(index, "train", Proposals(max_windows=30), 1, path, tmp_path / "searching")
    return index, "train", ProposalFile(path, index.images("train"))


@pytest.fixture
def ranking(tmp_path: Path) -> Path:
    path = tmp_path / "ranking.safetensors"
    network = RankingNetwork(NETWORK.width, NETWORK.input_px, 5)
    save_weights(path, network, {"format": RANKING, "settings": SETTINGS})
    return path


def row_of_first_object(split: Split, network: torch.nn.Module, layer: str) -> np.ndarray:
    """Features of the first object by the slow way: decode, cut, forward, one window."""
    import cv2

    index, name, _ = split
    image, annotation = next(iter(index.annotations(name)))
    pixels = cv2.imread(str(index.devkit.image_path(image))).astype(np.float32)
    crop = cut_windows(pixels, annotation.boxes[:1], 67, 16, np.zeros(1, bool))
    with torch.inference_mode():
        return layer_features(network.eval(), torch.from_numpy(crop).permute(0, 3, 1, 2), layer)[0]


@pytest.mark.parametrize("layer", ["pool5", "fc6", "fc7"])
def test_a_ranking_network_gives_features_as_it_is(
    photographs: Split, ranking: Path, tmp_path: Path, layer: str
) -> None:
    out = tmp_path / "f.npy"
    rows, dim = extract_features(Source(ranking), *photographs, layer, out)
    found = np.load(out)
    assert found.shape == (rows, dim)
    assert dim == {"pool5": 24, "fc6": 408, "fc7": 104}[layer]
    wanted = row_of_first_object(photographs, RankingNetwork(0.1, 67, 5), layer)
    np.testing.assert_allclose(found[0], wanted, rtol=2e-3, atol=1e-3)
    assert not np.allclose(found[0], found[1], atol=1e-3)


def test_random_networks_are_those_that_scratch_starts_from(
    photographs: Split, tmp_path: Path
) -> None:
    found = []
    for seed in (3, 4):
        out = tmp_path / f"{seed}.npy"
        extract_features(Source(None, "random", NETWORK, seed), *photographs, "pool5", out)
        found.append(np.load(out))
    scratch = build_detector("random", 0.1, 67, 21, seed=3)
    wanted = row_of_first_object(photographs, scratch, "pool5")
    np.testing.assert_allclose(found[0][0], wanted, rtol=2e-3, atol=1e-3)
    assert not np.allclose(*found, atol=1e-2)


def test_an_imported_classifier_keeps_its_fc7(photographs: Split, tmp_path: Path) -> None:
    path, out = tmp_path / "imported.safetensors", tmp_path / "f.npy"
    detector = DetectorNetwork(2, 0.1, 67, 8)
    save_weights(path, detector, {"format": DETECTOR, "settings": SETTINGS})
    extract_features(Source(path, network=NETWORK), *photographs, "fc7", out)
    wanted = row_of_first_object(photographs, detector, "fc7")
    np.testing.assert_allclose(np.load(out)[0], wanted, rtol=2e-3, atol=1e-3)
    carried = build_detector("weights", 0.1, 67, 5, seed=1, weights=path, carry="all")
    plain = build_detector("weights", 0.1, 67, 5, seed=1, weights=path)
    assert torch.equal(carried.fc7.weight, detector.fc7.weight)
    assert not torch.equal(plain.fc7.weight, detector.fc7.weight)
    assert carried.classifier.out_features == 5


def test_what_does_not_fit_is_refused_and_leaves_nothing(
    photographs: Split, ranking: Path, tmp_path: Path
) -> None:
    out = tmp_path / "f.npy"
    wide = Network(width=0.25, input_px=67)
    with pytest.raises(InputError, match=r"give weights of the same network\.width"):
        extract_features(Source(ranking, network=wide), *photographs, "pool5", out)
    with pytest.raises(InputError, match="init 'weights' needs a weights file"):
        extract_features(Source(None), *photographs, "pool5", out)
    with pytest.raises(InputError, match=r"fc7\.weight has the shape"):
        build_detector("weights", 0.1, 67, 3, weights=ranking, carry="all")
    assert not list(tmp_path.glob("*f.npy*"))
    assert not list(tmp_path.glob(".f.npy*"))


def test_features_of_an_image_do_not_depend_on_the_others(
    photographs: Split, ranking: Path, write_devkit, tmp_path: Path
) -> None:
    index, split, proposals = photographs
    extract_features(Source(ranking), index, split, proposals, "fc7", tmp_path / "all.npy")
    last = index.images(split)[-1]
    index.devkit.list_path("one").write_text(f"{last}\n")
    one = make_index(index.devkit, ["one"])
    path = tmp_path / "one.arrow"
    propose_split(one, "one", Proposals(max_windows=30), 1, path, tmp_path / "searching")
    alone = ProposalFile(path, [last])
    extract_features(Source(ranking), one, "one", alone, "fc7", tmp_path / "one.npy")
    found = np.load(tmp_path / "one.npy")
    assert np.array_equal(found, np.load(tmp_path / "all.npy")[-len(found) :])


def test_a_broken_off_extraction_goes_on_where_it_stopped(
    photographs: Split, ranking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, split, _ = photographs
    monkeypatch.setattr(features, "_SAVE_SECONDS", 0.0)
    extract_features(Source(ranking), *photographs, "fc7", tmp_path / "straight.npy")
    bad = index.devkit.image_path(index.images(split)[5])
    content = bad.read_bytes()
    bad.write_bytes(b"no image")
    out, kept = tmp_path / "f.npy", tmp_path / "kept"
    with pytest.raises(InputError, match=f"{bad.name}: this is not an image"):
        extract_features(Source(ranking), *photographs, "fc7", out, kept)
    gc.collect()  # the traceback held the folder's lock
    assert not out.exists()
    done = json.loads((kept / "done.json").read_text())
    assert 3 <= done <= 5  # the last image computed may not have been fetched
    bad.write_bytes(content)
    with pytest.raises(InputError, match=r"unfinished extraction of another config .*layer"):
        extract_features(Source(ranking), *photographs, "fc6", out, kept)
    gc.collect()
    read: list[str] = []
    real = features.read_image
    monkeypatch.setattr(features, "read_image", lambda path: read.append(path.stem) or real(path))
    extract_features(Source(ranking), *photographs, "fc7", out, kept)
    assert read == index.images(split)[done:]
    assert out.read_bytes() == (tmp_path / "straight.npy").read_bytes()
    assert not kept.exists()


def test_a_killed_command_ends_with_the_same_bytes(
    photographs: Split, ranking: Path, tmp_path: Path
) -> None:
    index, split, proposals = photographs
    (tmp_path / "index.json").write_text(json.dumps(index.to_json()))
    out, kept = tmp_path / "f.npy", tmp_path / "kept"
    command = [
        *(sys.executable, "-m", "trackssl.cli", "extract-features", "--weights", str(ranking)),
        *("--voc", str(tmp_path / "index.json"), "--split", split, "--threads", "1"),
        *("--proposals", str(proposals.path), "--out", str(out), "--progress", str(kept)),
    ]
    with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        while process.poll() is None:
            if (kept / "rows.npy").exists():
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.001)
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    torch.set_num_threads(1)
    extract_features(Source(ranking), *photographs, "fc7", tmp_path / "straight.npy")
    extract_features(Source(ranking), *photographs, "fc7", out, kept)
    assert out.read_bytes() == (tmp_path / "straight.npy").read_bytes()
    assert not kept.exists()
