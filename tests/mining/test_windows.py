import numpy as np
import pytest

from trackssl.mining.windows import best_windows


def best_window(points, side, height, width):
    (found,) = best_windows(points, side, height, width)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_the_window_holds_as_many_points_as_any(seed):
    random = np.random.default_rng(seed)
    height, width, side = 30, 41, int(random.integers(1, 31))
    points = random.uniform(0, [width, height], (int(random.integers(1, 60)), 2))
    found_x, found_y, count = best_window(points, side, height, width)
    x, y = points.T

    def held(left: int, top: int) -> int:
        return int(((x >= left) & (x < left + side) & (y >= top) & (y < top + side)).sum())

    most = max(
        held(left, top) for left in range(width - side + 1) for top in range(height - side + 1)
    )
    assert count == held(found_x, found_y) == most
    assert 0 <= found_x <= width - side and 0 <= found_y <= height - side


def test_among_equals_the_window_is_centred_on_its_points():
    points = np.array([[50, 40], [56, 40], [50, 46], [56, 46]], np.float32)
    assert best_window(points, 21, 100, 100) == (43, 33, 4)


def test_among_equally_centred_windows_the_topmost_then_leftmost_is_taken():
    points = np.array([[60.0, 20], [20, 60], [20, 20], [60, 60]])
    assert best_window(points, 11, 100, 100) == (15, 15, 1)


def test_points_outside_of_the_frame_do_not_count():
    points = np.array([[-3.0, 5], [200, 5], [5, -1], [9, 9]])
    assert best_window(points, 5, 20, 20) == (7, 7, 1)


def test_a_window_as_large_as_the_frame_is_the_frame():
    assert best_window(np.array([[1.0, 2]]), 20, 20, 20) == (0, 0, 1)


def test_a_window_larger_than_the_frame_is_refused():
    with pytest.raises(ValueError, match="fits"):
        best_window(np.zeros((1, 2)), 21, 20, 40)


def test_without_points_there_is_no_window():
    assert best_windows(np.empty((0, 2)), 5, 20, 20, 3) == []
    assert best_windows(np.array([[30.0, 5]]), 5, 20, 20, 3) == []


def test_many_points_in_one_pixel_all_count():
    assert best_windows(np.full((70_000, 2), 9.0), 5, 20, 20) == [(7, 7, 70_000)]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("max_overlap", [0, 0.3, 1])
def test_each_further_window_is_the_fullest_that_may_be(seed, max_overlap):
    random = np.random.default_rng(seed)
    height, width, side = 30, 41, 9
    points = random.uniform(0, [width, height], (60, 2))
    x, y = points.T
    found = best_windows(points, side, height, width, 4, max_overlap)
    chosen: list[tuple[int, int]] = []
    for left, top, count in found:
        fullest = max(
            int(((x >= i) & (x < i + side) & (y >= j) & (y < j + side)).sum())
            for i in range(width - side + 1)
            for j in range(height - side + 1)
            if all(overlap(i - a, j - b, side) <= max_overlap for a, b in chosen)
            and (i, j) not in chosen
        )
        assert count == fullest >= found[0][2] / 2
        chosen.append((left, top))
    assert len(set(chosen)) == len(chosen) == 4 or max_overlap < 1
    assert found[:1] == best_windows(points, side, height, width)


def overlap(x: int, y: int, side: int) -> float:
    common = max(0, side - abs(x)) * max(0, side - abs(y))
    return common / (2 * side**2 - common)


def test_a_window_with_less_than_half_of_the_first_ones_points_is_left_out():
    crowd = np.full((10, 2), 10.0)
    for further, count in ((5, 2), (4, 1)):
        points = np.concatenate([crowd, np.full((further, 2), 60.0)])
        assert len(best_windows(points, 11, 80, 80, 3, max_overlap=0)) == count
