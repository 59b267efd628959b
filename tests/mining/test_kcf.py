import re

import cv2
import numpy as np
import pytest

from trackssl.errors import InputError
from trackssl.mining.hog import CHANNELS, hog
from trackssl.mining.kcf import Features, Tracker
from trackssl.mining.sequence import parse_box, track_images


def moving(step: tuple[int, int], side: int, count: int = 8) -> list[np.ndarray]:
    """Frames in which a textured square wanders from (60, 50) over another texture, grey."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (2, 300, 400)).astype(np.float32)
    background, thing = (
        cv2.normalize(cv2.GaussianBlur(n, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX).astype(
            np.uint8
        )
        for n in noise
    )
    frames = []
    for index in range(count):
        frame = background.copy()
        x, y = 60 + step[0] * index, 50 + step[1] * index
        frame[y : y + side, x : x + side] = thing[:side, :side]
        frames.append(frame)
    return frames


@pytest.mark.parametrize("side", [31, 64, 127])
def test_the_box_follows_its_target_from_the_first_step_on(side):
    first, *later = moving((5, 3), side)
    tracker = Tracker(Features(first), (60, 50, side, side))
    tolerance = 4 if side < 100 else 8  # steps of whole cells, 4 px, at half resolution 8
    for index, frame in enumerate(later, 1):
        (x, y, w, h), peak, psr = tracker.update(Features(frame))
        assert (x, y) == pytest.approx((60 + 5 * index, 50 + 3 * index), abs=tolerance)
        assert (w, h) == (side, side)
        assert peak > 0.3 and psr > 8


def test_two_trackers_that_share_features_see_what_each_alone_would():
    first, *later = moving((5, 3), 64)
    boxes = [(60.0, 50.0, 64.0, 64.0), (150.0, 120.0, 120.0, 80.0)]
    alone = []
    for box in boxes:
        tracker = Tracker(Features(first), box)
        alone.append([tracker.update(Features(frame)) for frame in later])
    shared = Features(first)
    trackers = [Tracker(shared, box) for box in boxes]
    together = [[t.update(f) for t in trackers] for f in map(Features, later)]
    # Beside the edge of what is computed at once, neighbours are the same pixels all the same.
    for index, track in enumerate(alone):
        assert [seen[index] for seen in together] == track


def test_a_cut_shows_in_peak_and_ratio():
    frames = moving((2, 0), 80)
    tracker = Tracker(Features(frames[0]), (60, 50, 80, 80))
    good = tracker.update(Features(frames[1]))
    lost = tracker.update(Features(cv2.rotate(frames[2], cv2.ROTATE_180)))
    assert lost.peak < 0.5 * good.peak and lost.psr < 6 < good.psr


def test_the_box_does_not_stay_at_the_edge_when_its_target_leaves():
    later = moving((0, 0), 64)[0]
    first = np.roll(later, -50, axis=1)  # the target now begins at x = 10
    tracker = Tracker(Features(first), (10, 50, 64, 64))
    for index in range(1, 7):
        frame = np.roll(later, -50 - 4 * index, axis=1)
        assert tracker.update(Features(frame)).box[0] == pytest.approx(10 - 4 * index, abs=4)


def test_a_flat_frame_and_a_box_of_a_pixel_give_finite_numbers():
    flat = Features(np.full((64, 80), 90, np.uint8))
    for box in [(10, 10, 30, 30), (5, 5, 1, 1), (-20, -20, 64, 64), (0, 0, 80, 64)]:
        tracked = Tracker(flat, box).update(flat)
        assert np.isfinite([*tracked.box, tracked.peak, tracked.psr]).all()


def test_a_box_larger_than_the_frame_costs_no_more_than_one_of_400_px():
    """Beyond 200 px at half resolution it is halved again, so the window stays bounded."""
    features = Features(moving((0, 0), 64)[0])
    for side in (227, 399, 900, 2000):
        tracker = Tracker(features, (0, 0, side, side))
        assert tracker._window.size <= 128 * 128


def test_cells_do_not_depend_on_the_rectangle_they_are_computed_in():
    grey = moving((0, 0), 64)[0]
    whole = hog(grey, 0, 0, 75, 100)
    assert whole.shape == (75, 100, CHANNELS)
    for top, left, rows, columns in [(0, 0, 9, 9), (20, 30, 16, 24), (60, 80, 15, 20)]:
        part = hog(grey, top, left, rows, columns)
        assert np.array_equal(part, whole[top : top + rows, left : left + columns])
    with pytest.raises(ValueError, match="do not lie in"):
        hog(grey, 70, 0, 6, 6)


@pytest.mark.parametrize(("turn", "direction"), [(0, 0), (1, 4.5), (2, 9), (3, 13.5)])
def test_an_edge_votes_for_its_direction(turn, direction):
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))  # brighter to the right
    grey = np.ascontiguousarray(np.rot90(ramp, -turn))  # then downwards, left, upwards
    cell = hog(grey, 4, 4, 1, 1)[0, 0]
    signed, unsigned = cell[:18], cell[18:27]
    assert abs((int(signed.argmax()) - direction + 9) % 18 - 9) <= 0.5
    assert abs((int(unsigned.argmax()) - direction % 9 + 4.5) % 9 - 4.5) <= 0.5
    assert np.count_nonzero(signed > 0.01) == 1


def test_light_hardly_changes_the_cells():
    grey = moving((0, 0), 64)[0] // 2
    bright = (grey * 1.7 + 20).astype(np.uint8)
    assert np.abs(hog(grey, 0, 0, 75, 100) - hog(bright, 0, 0, 75, 100)).mean() < 0.02


def rectangles(path):
    lines = path.read_text().split("\n")
    return np.array(
        [[float(v) for v in re.split(r"[,\s]+", x.strip())] for x in lines if x.strip()]
    )


def overlap(a, b):
    """Mean intersection over union of boxes (N, 4) x, y, w, h."""
    w, h = (
        np.minimum(a[:, k] + a[:, k + 2], b[:, k] + b[:, k + 2]) - np.maximum(a[:, k], b[:, k])
        for k in (0, 1)
    )
    both = w.clip(0) * h.clip(0)
    return float((both / (a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - both)).mean())


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "published"), [("Crossing", 0.710), ("Man", 0.831)])
def test_a_sequence_is_tracked_as_by_the_published_tracker(real_data, name, published):
    folder = real_data / "tracking" / name
    truth = rectangles(folder / "groundtruth_rect.txt")
    reference = rectangles(folder / "kcf_reference_rect.txt")
    boxes = np.array(track_images(folder / "img", tuple(truth[0])))
    assert len(boxes) == len(truth)
    assert overlap(boxes, truth) == pytest.approx(published, abs=0.02)
    assert overlap(boxes, reference) >= 0.80


@pytest.mark.real_data
def test_where_the_published_tracker_fails_the_response_says_so(real_data):
    folder = real_data / "tracking" / "Couple"
    truth = rectangles(folder / "groundtruth_rect.txt")
    frames = [cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in sorted((folder / "img").iterdir())]
    tracker = Tracker(Features(frames[0]), tuple(truth[0]))
    tracked = [tracker.update(Features(frame)) for frame in frames[1:]]
    assert min(t.psr for t in tracked) < 6


def test_images_are_tracked_in_order_of_names(tmp_path):
    for index, frame in enumerate(moving((6, 0), 64)):
        cv2.imwrite(str(tmp_path / f"{index:03d}.png"), frame)
    (tmp_path / "notes.txt").write_text("no image")
    assert [x for x, *_ in track_images(tmp_path, (60, 50, 64, 64))] == pytest.approx(
        [60 + 6 * i for i in range(8)], abs=4
    )


def test_a_box_beside_the_image_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), moving((0, 0), 64, 1)[0])
    with pytest.raises(InputError, match="does not lie in"):
        track_images(tmp_path, (500, 10, 20, 20))


def test_an_image_of_a_few_pixels_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((10, 10), np.uint8))
    with pytest.raises(InputError, match="too few"):
        track_images(tmp_path, (0, 0, 5, 5))


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="no image"):
        track_images(tmp_path, (0, 0, 20, 20))


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "", "1,2,3,4,5"])
def test_a_box_is_four_numbers(text):
    with pytest.raises(InputError, match="x,y,w,h"):
        parse_box(text)
