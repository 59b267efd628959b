import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trackssl.config import SceneClassifier
from trackssl.datasets.image_index import ImageIndex, ImageList
from trackssl.errors import InputError
from trackssl.scenes.classify import classify_features
from trackssl.scenes.evaluation import accuracy, scene_labels, write_evaluation
from trackssl.scenes.linear import classify, held_out_rows, svm

SETTINGS = SceneClassifier()


def index_of(train: list[int], test: list[int], classes: int = 3) -> ImageIndex:
    """An index of images that nobody opens, with these classes."""
    splits = {
        split: ImageList(
            [Path(f"{split}/{number}.jpg") for number in range(len(labels))],
            np.where(np.eye(classes)[labels] > 0, 1, -1).astype(np.int8),
        )
        for split, labels in (("train", train), ("test", test))
    }
    return ImageIndex("none", ["bar", "gym", "spa"][:classes], splits, "")


def clouds(labels: np.ndarray, spread: float, seed: int) -> np.ndarray:
    """Points (N, 40) about a corner for each class, on an odd scale and far from the origin."""
    rng = np.random.default_rng(seed)
    corners = np.random.default_rng(0).normal(0, 1, (3, 40))
    return 1000 + 0.01 * (corners[labels] + rng.normal(0, spread, (len(labels), 40)))


def test_both_accuracies_are_as_counted_by_hand():
    true = np.array([0, 0, 0, 0, 1, 1])
    found = accuracy(true, np.array([0, 0, 0, 1, 1, 0]), 2)
    assert found.plain == pytest.approx(4 / 6)
    assert found.per_class == pytest.approx((3 / 4 + 1 / 2) / 2)
    np.testing.assert_array_equal(found.confusion, [[3, 1], [1, 1]])


@pytest.mark.parametrize("kind", [None, svm])
def test_clouds_apart_are_told_apart_wherever_they_lie(kind):
    train, test = np.repeat([0, 1, 2], 10), np.repeat([0, 1, 2], 5)
    more = {} if kind is None else {"kind": kind}
    chosen = classify(clouds(train, 0.3, 1), train, clouds(test, 0.3, 2), SETTINGS, **more)
    np.testing.assert_array_equal(chosen.predicted, test)


def test_c_is_chosen_without_the_test_images_and_repeats():
    train, test = np.repeat([0, 1, 2], 20), np.repeat([0, 1, 2], 5)
    known = clouds(train, 3, 1)
    first = classify(known, train, clouds(test, 3, 2), SETTINGS)
    other = classify(known, train, clouds(test[::-1], 9, 3), SETTINGS)
    assert (first.c, first.validation) == (other.c, other.validation)
    assert first.validation[first.c] == max(first.validation.values())
    again = classify(known, train, clouds(test, 3, 2), SETTINGS)
    np.testing.assert_array_equal(first.predicted, again.predicted)


def test_each_class_holds_out_its_share_but_never_all():
    labels = np.array([0] * 10 + [1] * 3 + [2] * 1)
    held_out = held_out_rows(labels, 0.2)
    assert [held_out[labels == number].sum() for number in range(3)] == [2, 1, 0]
    assert held_out_rows(labels, 0.99)[labels == 0].sum() == 9


def test_what_is_written_agrees_with_itself(tmp_path: Path):
    index = index_of([0, 1, 2], [0, 0, 1, 2])
    write_evaluation(tmp_path, index, "test", np.array([0, 1, 1, 2]), {"protocol": "mine"})
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["accuracy"] == 3 / 4
    assert metrics["accuracy_per_class"] == pytest.approx(2.5 / 3)
    assert metrics["classes"] == {"bar": 0.5, "gym": 1.0, "spa": 1.0}
    confusion = pd.read_csv(tmp_path / "confusion.csv", index_col="class")
    assert confusion.loc["bar"].to_dict() == {"bar": 1, "gym": 1, "spa": 0}
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    assert (predictions["class"] == predictions["predicted"]).tolist() == [True, False, True, True]
    png = (tmp_path / "confusion.png").read_bytes()
    write_evaluation(tmp_path / "again", index, "test", np.array([0, 1, 1, 2]), {})
    assert (tmp_path / "again" / "confusion.png").read_bytes() == png


def test_an_image_of_two_classes_is_no_scene():
    index = index_of([0, 1], [0, 1])
    index.splits["test"].labels[1] = 1
    with pytest.raises(InputError, match=r"test/1\.jpg: shows 3 classes"):
        scene_labels(index, "test")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((3, 4)), "of 4 images are needed, those of the split 'test'"),
        (np.full((4, 4), np.nan), "finite numbers"),
        (np.zeros(4), "shape"),
        (np.zeros((4, 5)), "has 5 dimensions, but .* has 4"),
        (None, "cannot be read as features"),
    ],
)
def test_features_of_something_else_are_refused(tmp_path: Path, rows, message: str):
    np.save(tmp_path / "train.npy", np.zeros((3, 4)))
    if rows is None:
        (tmp_path / "test.npy").write_bytes(b"\x93NUMPY")
    else:
        np.save(tmp_path / "test.npy", rows)
    index = index_of([0, 1, 2], [0, 0, 1, 2])
    files = (tmp_path / "train.npy", tmp_path / "test.npy")
    with pytest.raises(InputError, match=message):
        classify_features(index, *files, SETTINGS, tmp_path / "out")
    assert not (tmp_path / "out").exists()
