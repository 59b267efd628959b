"""Exact search, and the precisions of what it finds."""

from pathlib import Path

import numpy as np
import pytest

from trackssl.detection.feature_files import FeatureTable
from trackssl.retrieval.precision import class_precision, overall
from trackssl.retrieval.search import blocks, nearest


def split(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def test_a_case_small_enough_to_check_by_hand() -> None:
    gallery = np.array([[0, 2], [3, 3], [5, 0], [-1, 0], [0, 0]], np.float32)
    queries = np.array([[1, 0], [1, 2]], np.float32)
    rows, cosines = nearest(queries, split(gallery, 2), 3)
    assert rows.tolist() == [[2, 1, 0], [1, 0, 2]]
    np.testing.assert_allclose(cosines[0], [1, 0.5**0.5, 0], atol=1e-6)
    np.testing.assert_allclose(cosines[1], [3 / 10**0.5, 2 / 5**0.5, 1 / 5**0.5], atol=1e-6)
    every, cosines = nearest(queries, [gallery], 20)
    assert every.tolist() == [[2, 1, 0, 4, 3], [1, 0, 2, 4, 3]]
    np.testing.assert_allclose(cosines[0, 3:], [0, -1], atol=1e-6)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_blocks_find_what_a_full_sort_finds(size: int) -> None:
    draws = np.random.default_rng(0)
    gallery = draws.normal(size=(300, 16)).astype(np.float32)
    queries = draws.normal(size=(40, 16)).astype(np.float32)
    rows, cosines = nearest(queries, split(gallery, size), 20)
    lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(gallery, axis=1)
    every = queries.astype(np.float64) @ gallery.T.astype(np.float64) / lengths
    wanted = np.argsort(-every, axis=1)[:, :20]
    np.testing.assert_array_equal(rows, wanted)
    np.testing.assert_allclose(cosines, np.take_along_axis(every, wanted, axis=1), atol=1e-6)


@pytest.mark.parametrize("size", [3, 50])
def test_of_equal_cosines_the_lower_row_comes_first(size: int) -> None:
    """Rows of one axis each: whatever the block, a cosine is exactly 1, 0 or -1."""
    draws = np.random.default_rng(1)
    gallery = np.zeros((50, 4), np.float32)
    gallery[np.arange(50), draws.integers(0, 4, 50)] = draws.choice([-1, 1], 50)
    gallery[[3, 30]] = 0
    queries = np.eye(4, dtype=np.float32)
    rows, _ = nearest(queries, split(gallery, size), 20)
    for query, found in zip(queries, rows, strict=True):
        order = sorted(range(50), key=lambda row: (-float(gallery[row] @ query), row))
        assert found.tolist() == order[:20]
    again, _ = nearest(-0.0 * queries, split(gallery, size), 20)
    assert again.tolist() == [list(range(20))] * 4


def test_a_gallery_is_read_from_some_rows_of_a_feature_file(tmp_path: Path) -> None:
    features = np.random.default_rng(2).normal(size=(90, 8)).astype(np.float16)
    np.save(tmp_path / "f.npy", features)
    table = FeatureTable([tmp_path / "f.npy"], 90, 1.0, (1.0,))
    chosen = np.arange(1, 90, 3)
    rows, cosines = nearest(features[chosen[:5]].astype(np.float32), blocks(table, chosen, 7), 1)
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(cosines, 1, atol=1e-6)


def test_precisions_of_a_case_by_hand() -> None:
    wanted = np.array([0, 0, 2])
    found = np.ones((3, 20), int)
    found[0, [0, 3]] = 0  # right at places 1 and 4
    found[2, :10] = 2
    table = class_precision(found, wanted, ["cat", "dog", "ox"])
    assert table["class"].tolist() == ["cat", "ox"]
    assert table["queries"].tolist() == [2, 1]
    cat, ox = table[["p1", "p5", "p10", "p20"]].to_numpy().tolist()
    assert cat == pytest.approx([1 / 2, 2 / 10, 2 / 20, 2 / 40])
    assert ox == pytest.approx([1, 1, 1, 0.5])
    means = overall(table)
    assert means["top20_by_class"] == pytest.approx(100 * (0.05 + 0.5) / 2)
    assert means["top20_by_query"] == pytest.approx(100 * 12 / 60)
    assert (means["p1"], means["p5"]) == pytest.approx((200 / 3, 100 * 7 / 15))
