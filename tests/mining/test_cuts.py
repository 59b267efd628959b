from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from trackssl.mining.cuts import change, cuts, first_new, thumbnail
from trackssl.miniworld.plans import plan_video
from trackssl.miniworld.videos import render_frames
from trackssl.videos.decode import read_frames


def greys(path: Path, count: int, first: int = 0) -> list[np.ndarray]:
    return [frame.grey for frame in islice(read_frames(path, 448, 600), first, first + count)]


@pytest.fixture(scope="module")
def scenes(real_data):
    """Ten frames each of real videos with a moving camera or objects."""
    names = ("camel", "soapbox", "cat", "02_cups", "motocross-jump")
    return [greys(real_data / "videos" / f"{name}.mp4", 10) for name in names]


def found(frames) -> list[int]:
    return cuts([thumbnail(frame) for frame in frames])


@pytest.mark.parametrize(
    ("sides", "small"), [((448, 600), (28, 37)), ((240, 320), (30, 40)), ((65, 91), (32, 45))]
)
def test_a_thumbnail_keeps_the_frames_shape_and_light(sides, small):
    ramp = np.linspace(0, 200, sides[0] * sides[1]).reshape(sides).astype(np.uint8)
    assert thumbnail(ramp).shape == small
    assert thumbnail(ramp).mean() == pytest.approx(ramp.mean(), abs=2)


@pytest.mark.real_data
def test_each_change_of_scene_is_a_cut_and_motion_is_none(scenes):
    assert found([frame for scene in scenes for frame in scene]) == [10, 20, 30, 40]


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["breakdance", "dance-twirl", "horsejump-high", "car-detection"])
def test_fast_motion_is_no_cut(real_data, name):
    assert found(greys(real_data / "videos" / f"{name}.mp4", 90)) == []


@pytest.mark.real_data
def test_a_flash_and_a_lamp_that_is_switched_on_are_no_cuts(scenes):
    brighter = [cv2.convertScaleAbs(frame, alpha=1.5) for frame in scenes[0]]
    assert found(scenes[0][:5] + brighter[5:]) == []
    for odd in (np.full((448, 600), 250, np.uint8), brighter[5], scenes[1][0]):
        assert found([*scenes[0][:5], odd, *scenes[0][6:]]) == []


@pytest.mark.real_data
def test_a_flash_does_not_hide_a_cut_near_it(scenes):
    white = np.full((448, 600), 250, np.uint8)
    assert 5 in found([*scenes[0][:5], *scenes[1][:2], white, *scenes[1][3:]])


def test_the_drawn_worlds_cuts_are_found():
    plans = ((index, plan_video(0, index)) for index in range(100))
    index, plan = next((i, p) for i, p in plans if len(p.shots) > 1)
    first = plan.shots[1].first
    shown = islice(render_frames(0, index), first - 5, first + 5)
    assert found([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in shown]) == [5]


def test_nothing_changes_between_flat_frames_or_in_one():
    black, grey = np.zeros((28, 37), np.uint8), np.full((28, 37), 90, np.uint8)
    assert change(black, black) == change(black, grey) == 0
    assert cuts([black, grey, black]) == cuts([black]) == cuts([]) == []


def encoded(path: Path, frames: list[np.ndarray], crf: int) -> list[np.ndarray]:
    """The frames as H.264 gives them back."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": str(crf)})
        stream.height, stream.width = frames[0].shape
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "gray")))
        container.mux(stream.encode())
    return greys(path, len(frames))


@pytest.mark.real_data
@pytest.mark.parametrize("crf", [18, 28])
def test_drawings_held_for_several_frames_are_told_although_coding_alters_them(
    scenes, tmp_path, crf
):
    held = [frame for frame in scenes[0][:6] for _ in range(3)]
    shown = encoded(tmp_path / "v.mp4", held, crf)
    assert [first_new(shown[k:]) for k in range(12)] == [3, 2, 1] * 4
    shown = encoded(tmp_path / "v.mp4", scenes[0], crf)
    assert {first_new(shown[k:]) for k in range(6)} == {1}


@pytest.mark.real_data
@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_what_moves_small_and_slow_does_not_repeat(scenes, tmp_path, speed):
    patch = scenes[1][0][100:132, 200:232]

    def at(k: int) -> np.ndarray:
        x = 150 + speed * k
        shift = np.array([[1, 0, x], [0, 1, 200]], np.float32)
        there = cv2.warpAffine(np.ones((32, 32), np.float32), shift, (600, 448))
        moved = cv2.warpAffine(patch, shift, (600, 448))
        noise = np.random.default_rng(k).normal(0, 1, (448, 600))
        return np.clip(scenes[0][0] * (1 - there) + moved + noise, 0, 255).astype(np.uint8)

    shown = encoded(tmp_path / "v.mp4", [at(k) for k in range(12)], 23)
    assert {first_new(shown[k:]) for k in range(8)} == {1}


def test_what_cannot_be_told_from_stillness_goes_on_at_the_next_frame():
    still = np.full((448, 600), 90, np.uint8)
    assert first_new([still] * 31) == first_new([still] * 2) == 1
