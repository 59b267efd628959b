from pathlib import Path

import numpy as np
import pytest

from trackssl.boxes import overlaps
from trackssl.config import Svm
from trackssl.datasets.voc import VocIndex, make_index
from trackssl.detection import svm as module
from trackssl.detection.detect import detect_windows, select
from trackssl.detection.feature_files import FeatureTable
from trackssl.detection.svm import fit, load_svms, save_svms, train_svms
from trackssl.errors import InputError

SETTINGS = Svm()


class Boxes:
    """Proposals in memory, as `ProposalFile` shows them."""

    def __init__(self, boxes: list[np.ndarray]) -> None:
        self.boxes = boxes
        self.windows = sum(map(len, boxes))

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, number: int) -> np.ndarray:
        return self.boxes[number]


@pytest.fixture
def world(write_devkit, tmp_path: Path) -> tuple[VocIndex, Boxes, Path]:
    """Twelve images with a cat left and a dog right; a feature tells what a window holds."""
    rng = np.random.default_rng(0)
    cat, dog = ("cat", (1, 1, 30, 40), False), ("dog", (51, 1, 80, 40), True)
    images = {f"i{number:02d}": (100, 50, [cat, dog]) for number in range(12)}
    index = make_index(write_devkit({"train": images}, photographs=True), ["train"])
    proposals, features = [], []
    objects = np.float32([[0, 0, 30, 40], [50, 0, 80, 40]])
    for _ in images:
        corner = rng.integers(0, [70, 20], (60, 2))
        boxes = np.hstack([corner, corner + [30, 30]]).astype(np.float32)
        proposals.append(boxes)
        iou = overlaps(np.concatenate([objects, boxes]), objects)
        noise = rng.normal(0, 0.1, (len(iou), 6))
        features.append(np.hstack([iou, 1 - iou, noise]))
    path = tmp_path / "features.npy"
    np.save(path, np.concatenate(features).astype(np.float16))
    return index, Boxes(proposals), path


def train(world, paths: list[Path] | None = None, settings: Svm = SETTINGS):
    index, proposals, path = world
    windows = index.splits["train"]["objects"] + proposals.windows
    table = FeatureTable(paths or [path], windows, settings.feature_norm)
    return train_svms(index, "train", proposals, table, settings), table


def test_an_svm_is_the_minimum_of_liblinears_objective():
    """L1 hinge, positives twice, the bias a constant feature of 10 that is regularised too."""
    rng = np.random.default_rng(0)
    positives = rng.normal(1, 2, (30, 5)).astype(np.float32)
    negatives = rng.normal(-1, 2, (80, 5)).astype(np.float32)
    weights, bias = fit(positives, negatives, SETTINGS)

    def objective(w: np.ndarray, b: float) -> float:
        loss = 2 * np.maximum(0, 1 - positives @ w - b).sum()
        loss += np.maximum(0, 1 + negatives @ w + b).sum()
        return 0.5 * (w @ w + (b / 10) ** 2) + SETTINGS.c * loss

    best = objective(weights, bias)
    steps = rng.normal(0, 0.02, (300, 6))
    around = [objective(weights + step[:5], bias + step[5]) for step in steps]
    assert min(around) > 0.99 * best
    assert np.array_equal(fit(positives, negatives, SETTINGS)[0], weights)


def test_features_get_a_mean_norm_of_twenty(world):
    index, proposals, path = world
    table = FeatureTable([path, path], index.splits["train"]["objects"] + proposals.windows, 20)
    rows = table[np.arange(744)]
    assert table.dims == (10, 10)
    for part in (rows[:, :10], rows[:, 10:]):
        assert np.linalg.norm(part, axis=1).mean() == pytest.approx(20, rel=1e-3)


def test_svms_tell_the_classes_apart_though_dogs_are_difficult(world):
    svms, table = train(world)
    scores = svms.scores(table[np.arange(62)])
    assert svms.classes == ("cat", "dog")
    assert scores[:2].argmax(axis=1).tolist() == [0, 1]
    assert scores[:2].argmax(axis=0).tolist() == [0, 1]


def test_training_is_the_same_each_time_and_mines_beyond_the_first_image(world, monkeypatch):
    svms, _ = train(world)
    again, _ = train(world)
    assert np.array_equal(svms.weights, again.weights)
    sizes = []

    def spy(positives: np.ndarray, negatives: np.ndarray, settings: Svm):
        sizes.append((len(positives), len(negatives)))
        return fit(positives, negatives, settings)

    monkeypatch.setattr(module, "fit", spy)
    train(world)
    index, proposals, _ = world
    known = index.devkit.annotation("i00").boxes
    windows = np.concatenate([known, proposals[0]])
    easy = [int((overlaps(windows, known[k : k + 1]) < 0.3).sum()) for k in (0, 1)]
    assert sizes[:2] == [(12, easy[0]), (12, easy[1])]  # all negatives of the first image
    assert len(sizes) == 4 and all(size > 60 for _, size in sizes[2:])  # then once, at the end
    monkeypatch.setattr(module, "RETRAIN_AFTER", 5)
    sizes.clear()
    train(world)
    assert len(sizes) > 6


def test_svms_are_read_as_written_and_know_their_features(world, tmp_path: Path):
    svms, table = train(world)
    path = tmp_path / "svms.safetensors"
    save_svms(path, svms, SETTINGS)
    read = load_svms(path)
    assert np.array_equal(read.weights, svms.weights) and np.array_equal(read.bias, svms.bias)
    assert (read.classes, read.dims) == (svms.classes, svms.dims)
    assert read.scales == pytest.approx(svms.scales, abs=0)
    read.check(table, path)
    other = tmp_path / "other.npy"
    np.save(other, np.ones((744, 3), np.float16))
    with pytest.raises(InputError, match="same networks in the same order"):
        read.check(FeatureTable([other], 744, 20, read.scales), path)
    with pytest.raises(InputError, match="1 feature files, 2 are given"):
        FeatureTable([other, other], 744, 20, read.scales)
    path.write_bytes(b"x")
    with pytest.raises(InputError, match="cannot be read as SVMs"):
        load_svms(path)


def test_a_class_without_objects_has_no_detector(write_devkit, tmp_path: Path):
    devkit = write_devkit(
        {
            "train": {"a": (50, 50, [("cat", (1, 1, 9, 9), False)])},
            "val": {"b": (50, 50, [("dog", (1, 1, 9, 9), False)])},
        },
        photographs=True,
    )
    np.save(tmp_path / "f.npy", np.ones((2, 3), np.float16))
    table = FeatureTable([tmp_path / "f.npy"], 2, 20)
    boxes = Boxes([np.float32([[0, 0, 50, 50]])])
    with pytest.raises(InputError, match="no image of 'train' shows a 'dog'"):
        train_svms(make_index(devkit, ["train", "val"]), "train", boxes, table, SETTINGS)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones((5, 3), np.float32), "holds float32"),
        (np.ones((4, 3), np.float16), "not float16 features of 5 windows"),
        (np.zeros((5, 3), np.float16), "mean norm is 0.0"),
        (np.full((5, 3), np.nan, np.float16), "mean norm is nan"),
        (np.array([{}] * 5), "cannot be read as features"),
    ],
)
def test_other_files_are_no_features(tmp_path: Path, array: np.ndarray, words: str):
    path = tmp_path / "f.npy"
    np.save(path, array)
    with pytest.raises(InputError) as error:
        FeatureTable([path], 5, 20)
    assert words in str(error.value)


def test_suppression_keeps_the_best_of_overlapping_windows():
    boxes = np.float32([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [40, 0, 50, 10]])
    scores = np.float32([0.5, 0.9, -1.1, -1.2])
    covers = overlaps(boxes, boxes) > SETTINGS.nms_overlap
    assert select(scores, covers, SETTINGS).tolist() == [1, 2]
    one = SETTINGS.model_copy(update={"max_detections_per_image": 1})
    assert select(scores, covers, one).tolist() == [1]
    assert select(scores - 5, covers, SETTINGS).tolist() == []


def test_detections_are_proposals_in_the_devkits_pixels(world, tmp_path: Path):
    index, proposals, _ = world
    svms, table = train(world)
    found = detect_windows(svms, index, "train", proposals, table, SETTINGS, tmp_path / "out")
    lines = (tmp_path / "out" / "comp3_det_train_cat.txt").read_text().splitlines()
    other = (tmp_path / "out" / "comp3_det_train_dog.txt").read_text().splitlines()
    assert found == len(lines) + len(other) > 24
    image, score, *box = lines[0].split()
    row = np.flatnonzero((proposals[0] + [1, 1, 0, 0] == np.array(box, float)).all(axis=1))
    scores = svms.scores(table[np.arange(2, 62)])[:, 0]
    assert image == "i00"
    assert np.float32(score) == scores.max() == scores[row].max()


def test_a_class_that_is_never_seen_has_an_empty_file(world, tmp_path: Path):
    index, proposals, _ = world
    svms, table = train(world)
    strict = SETTINGS.model_copy(update={"min_score": 1e6})
    assert detect_windows(svms, index, "train", proposals, table, strict, tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "comp3_det_train_cat.txt",
        "comp3_det_train_dog.txt",
    ]
