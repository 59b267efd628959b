import cv2
import numpy as np
import pytest

from trackssl.errors import InputError
from trackssl.mining.kcf import Tracker, correlation
from trackssl.mining.sequence import parse_box, track_images


def moving(step: tuple[int, int], side: int, count: int = 8) -> list[np.ndarray]:
    """Frames in which a textured square wanders from (60, 50) over another texture, BGR."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (2, 300, 400, 3)).astype(np.float32)
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
    tracker = Tracker(first, (60, 50, side, side))
    for index, frame in enumerate(later, 1):
        found = tracker.update(frame)
        assert found is not None
        (x, y, w, h), score = found
        assert (x, y) == pytest.approx((60 + 5 * index, 50 + 3 * index), abs=4)
        assert (w, h) == (side, side)
        assert score > 0.8


def test_a_cut_shows_as_loss_or_low_score():
    frames = moving((2, 0), 80)
    tracker = Tracker(frames[0], (60, 50, 80, 80))
    assert tracker.update(frames[1])[1] > 0.8
    found = tracker.update(cv2.rotate(frames[2], cv2.ROTATE_180))
    assert found is None or found[1] < 0.3


def test_the_box_does_not_stay_at_the_edge_when_its_target_leaves():
    later = moving((0, 0), 64)[0]
    first = np.roll(later, -50, axis=1)  # the target now begins at x = 10
    tracker = Tracker(first, (10, 50, 64, 64))
    for index in range(1, 7):
        frame = np.roll(later, -50 - 4 * index, axis=1)
        assert tracker.update(frame)[0][0] == pytest.approx(10 - 4 * index, abs=4)


def test_correlation_is_one_for_what_differs_in_light_only():
    look = np.random.default_rng(0).uniform(0, 100, (8, 8))
    assert correlation(look, 2 * look + 10) == pytest.approx(1)
    assert correlation(look, -look) == pytest.approx(-1)
    assert correlation(look, np.zeros_like(look)) == 0


@pytest.mark.real_data
def test_a_sequence_gives_a_line_a_frame_even_where_the_target_is_lost(real_data):
    folder = real_data / "tracking" / "Couple"
    boxes = track_images(folder / "img", (51, 47, 25, 62))
    assert len(boxes) == len((folder / "groundtruth_rect.txt").read_text().splitlines())
    assert boxes[0] == (51, 47, 25, 62)
    assert len(set(boxes)) > 1


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


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="no image"):
        track_images(tmp_path, (0, 0, 20, 20))


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "", "1,2,3,4,5"])
def test_a_box_is_four_numbers(text):
    with pytest.raises(InputError, match="x,y,w,h"):
        parse_box(text)
