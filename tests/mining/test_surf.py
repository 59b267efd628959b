import cv2
import numpy as np
import pandas as pd
import pytest

from trackssl.mining.surf import interest_points

REFERENCE = [
    *("2007_000027", "2007_000129", "2007_000332", "2007_000491", "2007_000636", "2007_000733"),
    *("2007_000830", "2007_001073", "2007_001299", "2007_001430", "car-roundabout", "dog"),
]


def texture(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    blurred = [cv2.GaussianBlur(noise, (0, 0), sigma).astype(float) for sigma in (2, 5, 12)]
    levels = sum((b - b.mean()) / b.std() for b in blurred)
    return np.clip(64 + 16 * levels, 0, 127).astype(np.uint8)


@pytest.mark.real_data
@pytest.mark.parametrize("name", REFERENCE)
def test_the_strongest_points_of_opencvs_surf_are_found_again(real_data, name):
    folder = real_data / "surf_reference"
    points = interest_points(cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_GRAYSCALE), 200)
    reference = pd.read_csv(folder / f"{name}.csv")
    strongest = reference.head(300)
    x, y = (points[:, i] - strongest[c].to_numpy()[:, None] for i, c in enumerate("xy"))
    scale = points[:, 2] / (1.2 * strongest["size"].to_numpy()[:, None] / 9)
    found = ((np.hypot(x, y) <= 1) & (abs(scale - 1) <= 0.1)).any(axis=1)
    assert found.mean() >= 0.95
    assert len(points) == pytest.approx(len(reference), rel=0.01)  # so the threshold means the same
    np.testing.assert_allclose(points[:300, 3], strongest["response"], rtol=1e-3)


@pytest.mark.real_data
def test_points_come_strongest_first_and_above_the_threshold(real_data):
    grey = cv2.imread(str(real_data / "surf_reference" / "dog.png"), cv2.IMREAD_GRAYSCALE)
    response = interest_points(grey, 1000)[:, 3]
    assert (np.diff(response) <= 0).all() and response.min() > 1000
    assert len(response) < len(interest_points(grey, 200))


@pytest.mark.parametrize("side", [1, 9, 22, 200])
def test_a_flat_or_tiny_image_has_no_points(side):
    assert interest_points(np.full((side, side), 130, np.uint8)).shape == (0, 4)


def test_a_blob_is_found_at_its_middle_and_size():
    grey = np.full((120, 160), 60, np.uint8)
    cv2.circle(grey, (90, 50), 8, 220, -1)
    x, y, scale, _ = interest_points(grey)[0]
    assert (x, y) == pytest.approx((90, 50), abs=0.5)
    assert 3 < scale < 8  # a disc answers strongest at about radius / sqrt 2


def test_rows_and_columns_are_treated_alike():
    grey = texture(301, 418)
    points, turned = interest_points(grey, 50), interest_points(grey.T, 50)
    assert points[:, 2].max() > 20  # all octaves take part
    np.testing.assert_array_equal(turned[:, 3], points[:, 3])
    np.testing.assert_allclose(turned[:, [1, 0, 2]], points[:, :3], atol=1e-3)


def test_a_shift_by_whole_steps_shifts_the_points():
    stays, moves = np.full((2, 800, 800), 60, np.uint8)
    stays[320:460, 320:460] = moves[336:476, 352:492] = texture(140, 140)
    points, moved = interest_points(stays), interest_points(moves)
    assert len(points) > 100
    np.testing.assert_array_equal(moved[:, 2:], points[:, 2:])
    np.testing.assert_allclose(moved[:, :2], points[:, :2] + [32, 16], atol=1e-3)


def test_brightness_changes_nothing_and_contrast_the_responses_by_its_square():
    grey = texture(200, 300)
    points, bright = interest_points(grey, 50), interest_points(2 * grey + 1, 200)
    assert len(points) > 100
    np.testing.assert_array_equal(bright, points * np.float32([1, 1, 1, 4]))


def test_sums_that_leave_32_bits_do_no_harm():
    grey = np.full((3000, 3000), 255, np.uint8)  # sums to 2.3e9
    corner = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    grey[-300:, -300:] = cv2.GaussianBlur(corner, (0, 0), 3)
    large, small = (
        interest_points(grey)[:, :3] - [2600, 2600, 0],
        interest_points(grey[2600:, 2600:]),
    )
    for point in small[:50, :3]:
        assert abs(large - point).max(axis=1).min() < 0.01


def test_a_colour_image_is_refused():
    with pytest.raises(ValueError, match="grey"):
        interest_points(np.zeros((50, 50, 3), np.uint8))
