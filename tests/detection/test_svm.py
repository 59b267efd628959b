import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.svm import LinearSVC
from typer.testing import CliRunner

from trackssl.boxes import overlaps
from trackssl.cli import app
from trackssl.config import Svm
from trackssl.datasets.voc import VocIndex, make_index
from trackssl.detection import feature_files
from trackssl.detection import svm as module
from trackssl.detection.detect import detect_windows, select
from trackssl.detection.feature_files import FeatureTable
from trackssl.detection.proposals import SCHEMA
from trackssl.detection.svm import class_overlaps, fit, load_svms, save_svms, train_svms
from trackssl.detection.windows import image_windows
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


@pytest.fixture
def crowd(write_devkit, tmp_path: Path) -> tuple[VocIndex, Boxes, Path]:
    """Forty images of cats and dogs in noise: each image has negatives that are hard to tell."""
    rng = np.random.default_rng(1)
    images = {
        f"i{number:02d}": (
            100,
            50,
            [
                (name, (left + 1, 1, left + 30, 40), bool(rng.random() < 0.2))
                for name, left in (("cat", 0), ("dog", 50))
                if rng.random() < 0.7
            ],
        )
        for number in range(40)
    }
    index = make_index(write_devkit({"train": images}, photographs=True), ["train"])
    proposals, features = [], []
    places = np.float32([[0, 0, 30, 40], [50, 0, 80, 40]])
    for _, annotation in index.annotations("train"):
        corner = rng.integers(0, [70, 20], (80, 2))
        boxes = np.hstack([corner, corner + [30, 30]]).astype(np.float32)
        proposals.append(boxes)
        iou = overlaps(np.concatenate([annotation.boxes, boxes]), places)
        noise = rng.normal(0, 1, (len(iou), 60))
        features.append(np.maximum(np.hstack([2 * iou, noise]), 0))
    path = tmp_path / "crowd.npy"
    np.save(path, np.concatenate(features).astype(np.float16))
    return index, Boxes(proposals), path


def reference(samples: np.ndarray, labels: np.ndarray, tolerance: float = 0.1) -> LinearSVC:
    """scikit-learn's own, with the settings of R-CNN's liblinear call."""
    solver = LinearSVC(
        loss="hinge",
        C=1e-3,
        class_weight={1: 2},
        intercept_scaling=10,
        tol=tolerance,
        random_state=0,
    )
    return solver.fit(samples, labels)


def slow_rcnn(world, name: str, retrain_after: int) -> tuple[LinearSVC, np.ndarray, int]:
    """One class as rcnn_train.m words it -> last SVM, scaled features, number of trainings."""
    index, proposals, path = world
    x = np.load(path).astype(float)
    x *= 20 / np.linalg.norm(x, axis=1).mean()
    positives: list[int] = []
    pools: list[list[int]] = []
    row = 0
    for (_, annotation), boxes in zip(index.annotations("train"), proposals.boxes, strict=True):
        own = annotation.boxes[[label == name for label in annotation.classes]]
        pool = []
        for number, box in enumerate([*annotation.boxes, *boxes]):
            if number < len(annotation.classes) and annotation.classes[number] == name:
                positives.append(row)
            if all(overlaps(box[None], one[None])[0, 0] < 0.3 for one in own):
                pool.append(row)
            row += 1
        pools.append(pool)
    solver, cache = None, set[int]()
    added = trainings = 0
    for number, pool in enumerate(pools):
        new = [
            one for one in pool if solver is None or solver.decision_function(x[[one]]) > -1.0001
        ]
        cache |= set(new)
        added += len(new)
        if number == 0 or added > retrain_after or number == len(pools) - 1:
            negatives = sorted(cache)
            labels = [1] * len(positives) + [-1] * len(negatives)
            solver = reference(x[positives + negatives], np.array(labels))
            added, trainings = 0, trainings + 1
            cache = {one for one in negatives if solver.decision_function(x[[one]]) >= -1.2}
    return solver, x, trainings


def test_decision_values_are_those_of_scikit_learn_in_r_cnns_scheme(crowd, monkeypatch):
    monkeypatch.setattr(module, "RETRAIN_AFTER", 60)
    svms, table = train(crowd)
    found = svms.scores(table[np.arange(crowd[1].windows + crowd[0].splits["train"]["objects"])])
    for number, name in enumerate(svms.classes):
        solver, x, trainings = slow_rcnn(crowd, name, 60)
        assert trainings > 4
        np.testing.assert_allclose(found[:, number], solver.decision_function(x), atol=1e-3)
        assert np.ptp(found[:, number]) > 1


def test_what_the_pass_leaves_out_does_not_matter(crowd, monkeypatch):
    """No negative of the last cache is evicted wrongly, and few outside of it are violating."""
    monkeypatch.setattr(module, "RETRAIN_AFTER", 60)
    fits = []

    def spy(samples: np.ndarray, positives: int, settings: Svm):
        fits.append((samples.copy(), positives))
        return fit(samples, positives, settings)

    monkeypatch.setattr(module, "fit", spy)
    monkeypatch.setattr(module, "_TOLERANCE", 1e-6)
    svms, table = train(crowd)
    for number, (samples, positives) in enumerate(fits[-2:]):
        labels = np.repeat([1, -1], [positives, len(samples) - positives])
        scores = samples @ svms.weights[number] + svms.bias[number]
        kept = (labels == 1) | (scores >= module.EASY_SCORE)
        assert 0 < (~kept).sum() < len(kept) / 2
        again = reference(samples[kept], labels[kept], 1e-6)
        np.testing.assert_allclose(again.decision_function(samples), scores, atol=1e-3)
    index, proposals, _ = crowd
    start = outside = all_negatives = 0
    for windows in image_windows(index, "train", proposals):
        rows = np.arange(start, start := start + len(windows.boxes))
        negative = class_overlaps(windows, svms.classes) < 0.3
        x = table[rows]
        for number, (samples, _) in enumerate(fits[-2:]):
            cached = (x[:, None] == samples[None].astype(np.float32)).all(axis=2).any(axis=1)
            violating = svms.scores(x)[:, number] > module.HARD_SCORE
            outside += (negative[:, number] & violating & ~cached).sum()
            all_negatives += negative[:, number].sum()
    assert all_negatives > 5000
    assert outside <= 0.005 * all_negatives


def test_an_svm_is_the_minimum_of_liblinears_objective():
    """L1 hinge, positives twice, the bias a constant feature of 10 that is regularised too."""
    rng = np.random.default_rng(0)
    positives = rng.normal(1, 2, (30, 5))
    negatives = rng.normal(-1, 2, (80, 5))
    samples = np.concatenate([positives, negatives])
    weights, bias = fit(samples, 30, SETTINGS)

    def objective(w: np.ndarray, b: float) -> float:
        loss = 2 * np.maximum(0, 1 - positives @ w - b).sum()
        loss += np.maximum(0, 1 + negatives @ w + b).sum()
        return 0.5 * (w @ w + (b / 10) ** 2) + SETTINGS.c * loss

    best = objective(weights, bias)
    steps = rng.normal(0, 0.02, (300, 6))
    around = [objective(weights + step[:5], bias + step[5]) for step in steps]
    assert min(around) > 0.99 * best
    assert np.array_equal(fit(samples, 30, SETTINGS)[0], weights)


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

    def spy(samples: np.ndarray, positives: int, settings: Svm):
        sizes.append((positives, len(samples) - positives))
        return fit(samples, positives, settings)

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


def test_equal_svms_are_equal_bytes_whatever_is_read_at_once(world, tmp_path: Path, monkeypatch):
    written = []
    for chunk in (256, 256, 7):
        monkeypatch.setattr(feature_files, "_CHUNK_ROWS", chunk)
        save_svms(tmp_path / "svms", train(world)[0], SETTINGS)
        written.append((tmp_path / "svms").read_bytes())
    assert written[0] == written[1] == written[2]


def test_a_file_that_contradicts_itself_is_no_svms(world, tmp_path: Path):
    svms, _ = train(world)
    for wrong in (
        svms._replace(dims=(4,)),
        svms._replace(classes=("cat",)),
        svms._replace(bias=svms.bias[:1]),
    ):
        save_svms(tmp_path / "svms", wrong, SETTINGS)
        with pytest.raises(InputError, match="do not fit its classes and dims"):
            load_svms(tmp_path / "svms")


def sparse_world(write_devkit, tmp_path: Path) -> tuple[VocIndex, Boxes, Path]:
    """One training image with a cat; dogs are in the other list only."""
    devkit = write_devkit(
        {
            "train": {"a": (50, 50, [("cat", (1, 1, 9, 9), False)])},
            "val": {"b": (50, 50, [("dog", (1, 1, 9, 9), False)])},
        },
        photographs=True,
    )
    path = tmp_path / "f.npy"
    np.save(path, np.float16([[4, 1, 0], [0, 1, 4]]))
    boxes = Boxes([np.float32([[20, 20, 50, 50]])])
    return make_index(devkit, ["train", "val"]), boxes, path


def test_a_class_without_objects_is_never_detected(write_devkit, tmp_path: Path):
    world = sparse_world(write_devkit, tmp_path)
    svms, table = train(world)
    assert svms.untrained == ["dog"]
    save_svms(tmp_path / "svms", svms, SETTINGS)
    svms = load_svms(tmp_path / "svms")
    assert svms.untrained == ["dog"]
    scores = svms.scores(table[np.arange(2)])
    assert scores[0, 0] > scores[1, 0] and (scores[:, 1] == -np.inf).all()
    lenient = SETTINGS.model_copy(update={"min_score": -100.0})
    detect_windows(svms, world[0], "train", world[1], table, lenient, tmp_path / "out")
    assert (tmp_path / "out" / "comp3_det_train_dog.txt").read_text() == ""
    assert (tmp_path / "out" / "comp3_det_train_cat.txt").read_text() != ""


def test_a_split_that_shows_nothing_to_learn_is_refused(write_devkit, tmp_path: Path):
    index, _, path = sparse_world(write_devkit, tmp_path)
    np.save(path, np.ones((2, 3), np.float16))
    full = Boxes([np.float32([[0, 0, 9, 9]])])  # the cat's own box: no negative
    with pytest.raises(InputError, match="'train' gives no class an object and windows away"):
        train((index, full, path))


def test_features_that_are_not_finite_are_refused_by_row(world):
    path = world[2]
    features = np.load(path)
    with np.errstate(over="ignore"):
        for value in (np.nan, np.inf, -np.inf, np.float32(70_000)):
            features[100, 3] = np.float16(value)
            np.save(path, features)
            with pytest.raises(InputError, match=r"features\.npy: row 100 is not finite"):
                train(world)


def test_a_wrong_row_leaves_no_detections_behind(world, tmp_path: Path):
    index, proposals, path = world
    svms, _ = train(world)
    features = np.load(path)
    features[-1] = np.nan
    np.save(path, features)
    table = FeatureTable([path], len(features), 20, svms.scales)
    with pytest.raises(InputError, match="row 743 is not finite"):
        detect_windows(svms, index, "train", proposals, table, SETTINGS, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_names_classes_that_it_could_not_train(write_devkit, tmp_path: Path):
    index, boxes, path = sparse_world(write_devkit, tmp_path)
    voc, proposals = tmp_path / "index.json", tmp_path / "train.arrow"
    voc.write_text(json.dumps(index.to_json()))
    row = {"image": "a", "width": 50, "height": 50, "boxes": boxes[0].tolist()}
    with pa.ipc.new_file(str(proposals), SCHEMA) as writer:
        writer.write_table(pa.Table.from_pylist([row], schema=SCHEMA))
    options = {"voc": voc, "split": "train", "proposals": proposals, "features": path}
    options["out"] = tmp_path / "svms.safetensors"
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    ran = CliRunner().invoke(app, ["train-svms", *arguments])
    assert ran.exit_code == 0, ran.output
    assert ran.stderr.startswith("dog: no object in 'train'")
    assert "2 classes x 3 features" in ran.stdout
    assert load_svms(options["out"]).untrained == ["dog"]


def test_rows_are_read_in_any_order_and_exactly(tmp_path: Path):
    """All finite halves, subnormals and both zeros among them."""
    halves = np.arange(65_536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)][:63_000].reshape(-1, 9)
    np.save(tmp_path / "f.npy", halves)
    table = FeatureTable([tmp_path / "f.npy"], 7_000, 20, (1.0,))
    rows = np.random.default_rng(0).permutation(7_000)
    rows[10:20] = np.arange(10)
    assert np.array_equal(table[rows], halves[rows].astype(np.float32))
    assert table[rows[:0]].shape == (0, 9)
    with (tmp_path / "f.npy").open("r+b") as file:
        file.truncate(5_000)
    with pytest.raises(InputError, match="became shorter"):
        table[np.array([6_000])]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones((5, 3), np.float32), "holds float32"),
        (np.ones((4, 3), np.float16), "not float16 features of 5 windows"),
        (np.zeros((5, 3), np.float16), "mean norm is 0;"),
        (np.full((5, 3), np.nan, np.float16), "row 0 is not finite"),
        (np.asfortranarray(np.ones((5, 3), np.float16)), "not float16 features"),
        (np.ones(5, np.float16), "holds float16 (5,)"),
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
