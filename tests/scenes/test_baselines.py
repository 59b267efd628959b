from pathlib import Path

import cv2
import numpy as np
import pytest

from trackssl.config import Network, SceneClassifier
from trackssl.datasets.image_index import ImageIndex
from trackssl.detection.features import Source, extract_image_features
from trackssl.errors import InputError
from trackssl.scenes.baselines import baseline_features, descriptors, gist
from trackssl.scenes.classify import classify_baseline, classify_features

SETTINGS = SceneClassifier(words=60, descriptors=6_000, c=[1e-3, 1e-1])


@pytest.mark.real_data
def test_real_scenes_are_told_apart_by_each_kind_of_feature(
    real_scenes: ImageIndex, tmp_path: Path
):
    found = {
        name: classify_baseline(real_scenes, name, SETTINGS, 0, tmp_path / name).per_class
        for name in ("sift", "gist")
    }
    source = Source(None, "random", Network(width=0.25, input_px=99), 0)
    files = {split: tmp_path / f"{split}.npy" for split in ("train", "test")}
    for split, path in files.items():
        extract_image_features(source, real_scenes, split, "pool5", path)
    settings = SceneClassifier(c=[1e-2, 1e-1])
    found["random"] = classify_features(
        real_scenes, files["train"], files["test"], settings, tmp_path / "random"
    ).per_class
    assert found["gist"] > 0.6
    assert min(found.values()) > 0.4  # of four classes


def test_the_codebook_is_a_function_of_the_seed(drawn_rooms: ImageIndex):
    first, again, other = (
        baseline_features("sift", drawn_rooms, SETTINGS, s)[1] for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (20, 60)
    np.testing.assert_allclose((first**2).sum(axis=1), 1)


def test_too_few_descriptors_for_the_words_are_told(drawn_rooms: ImageIndex):
    settings = SceneClassifier(words=60, descriptors=50)
    with pytest.raises(InputError, match="give 30 SIFT descriptors, too few for 60 words"):
        baseline_features("sift", drawn_rooms, settings, 0)


def test_a_plain_image_has_no_descriptor(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "plain.png"), np.full((50, 60, 3), 90, np.uint8))
    assert descriptors(tmp_path / "plain.png").shape == (0, 128)


def test_gist_sees_direction_and_place_but_not_brightness():
    stripes = np.zeros((128, 128), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = 200
    upright, lying = (
        gist(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2BGR))
        for image in (stripes, stripes.T)
    )
    assert upright.shape == (320,)
    near = gist(cv2.cvtColor(stripes // 2, cv2.COLOR_GRAY2BGR))
    assert np.linalg.norm(upright - near) < 0.2 * np.linalg.norm(upright - lying)
    half = stripes.copy()
    half[64:] = 100
    cells = gist(cv2.cvtColor(half, cv2.COLOR_GRAY2BGR)).reshape(20, 4, 4)
    assert cells[:, 0].sum() > 3 * cells[:, 3].sum()
