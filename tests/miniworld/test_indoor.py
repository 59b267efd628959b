from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from trackssl.miniworld.indoor import KINDS, draw_room, render_indoor

TRAIN, TEST = 8, 5


@pytest.fixture(scope="module")
def rooms() -> dict[str, np.ndarray]:
    """Rooms (kinds, images, 200, 260, 3) by split."""
    return {
        split: np.array([[draw_room(0, kind, split, n) for n in range(count)] for kind in KINDS])
        for split, count in (("train", TRAIN), ("test", TEST))
    }


def test_the_same_seed_gives_the_same_tree_and_more_images_change_none(tmp_path: Path):
    render_indoor(tmp_path / "a", 1, 1, seed=3)
    render_indoor(tmp_path / "b", 2, 1, seed=3)
    small, large = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.jpg")}
        for name in ("a", "b")
    )
    assert len(small) == 2 * len(KINDS)
    assert len(large) == 3 * len(KINDS)
    assert small.items() <= large.items()
    lines = (tmp_path / "b" / "TrainImages.txt").read_text().splitlines()
    assert len(lines) == 2 * len(KINDS)
    assert all((tmp_path / "b" / "Images" / line).is_file() for line in lines)
    assert not np.array_equal(
        draw_room(3, "kitchen", "train", 0), draw_room(4, "kitchen", "train", 0)
    )


def test_there_are_ten_kinds_and_their_rooms_fill_the_frame(rooms):
    assert len(KINDS) == 10
    for images in rooms.values():
        assert images.shape[2:] == (200, 260, 3)
        assert (images.max(axis=-1) == 0).mean(axis=(2, 3)).max() < 0.1  # nothing left unpainted


def test_layout_tells_the_kind_and_colour_does_not(rooms):
    def colours(image: np.ndarray) -> np.ndarray:
        return np.sqrt(cv2.calcHist([image], [0, 1, 2], None, [4] * 3, [0, 256] * 3).ravel())

    def edges(image: np.ndarray) -> np.ndarray:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
        strength = [np.abs(cv2.Sobel(grey, cv2.CV_32F, *axis)) for axis in ((1, 0), (0, 1))]
        cells = [cv2.resize(s, (13, 10), interpolation=cv2.INTER_AREA).ravel() for s in strength]
        return np.log1p(np.concatenate(cells))

    shares = {}
    for feature in (colours, edges):
        x = {split: np.array([feature(i) for i in np.concatenate(v)]) for split, v in rooms.items()}
        centre, spread = x["train"].mean(axis=0), x["train"].std(axis=0) + 1e-6
        classifier = LogisticRegression(C=0.01, max_iter=500)
        classifier.fit((x["train"] - centre) / spread, np.repeat(np.arange(10), TRAIN))
        predicted = classifier.predict((x["test"] - centre) / spread)
        shares[feature.__name__] = np.mean(predicted == np.repeat(np.arange(10), TEST))
    assert shares["edges"] > 0.4  # chance is 0.1
    assert shares["colours"] < 0.5 * shares["edges"]
