from itertools import pairwise

import av
import numpy as np
import pytest

from trackssl.files import file_sha256
from trackssl.miniworld.objects import CLASSES
from trackssl.miniworld.plans import FRAMES, plan_video
from trackssl.miniworld.videos import render_frames, render_video, scene_truth, video_id


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / f"{video_id(0)}.mp4"
    render_video(path, seed=3, index=0)
    return path


@pytest.fixture(scope="module")
def plans():
    return [plan_video(3, index) for index in range(100)]


def decode(path):
    with av.open(path) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def test_a_video_has_120_frames_of_240_by_320_at_24_a_second(video):
    with av.open(video) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 24
    frames = decode(video)
    assert len(frames) == FRAMES == 120
    assert {frame.shape for frame in frames} == {(240, 320, 3)}


def test_the_encoded_frames_are_the_drawn_ones(video):
    for decoded, drawn in zip(decode(video), render_frames(3, 0), strict=True):
        assert np.abs(decoded.astype(int) - drawn).mean() < 8


def test_the_same_seed_gives_the_same_bytes_and_others_do_not(video, tmp_path):
    again, other_seed, other_index = (tmp_path / name for name in "abc")
    render_video(again, 3, 0)
    render_video(other_seed, 4, 0)
    render_video(other_index, 3, 1)
    assert file_sha256(again) == file_sha256(video)
    assert len({file_sha256(path) for path in (video, other_seed, other_index)}) == 3


def test_a_world_has_cuts_stillness_water_and_both_kinds_of_camera(plans):
    shots = [shot for plan in plans for shot in plan.shots]
    moving = np.mean([shot.camera.pan.speed != (0, 0) for shot in shots])
    assert 5 < sum(len(plan.shots) > 1 for plan in plans) < 40
    assert 5 < sum(plan.still.any() for plan in plans) < 40
    assert 1 < sum(shot.under_water for shot in shots) < 20
    assert 0.35 < moving < 0.75
    assert any(actor.name == "post" for shot in shots for actor in shot.actors)


def test_every_class_appears(plans):
    seen = {actor.name for plan in plans for shot in plan.shots for actor in shot.actors}
    assert seen >= set(CLASSES)


def test_nothing_but_the_light_moves_in_stillness(plans):
    index = next(k for k, plan in enumerate(plans) if plan.still.any())
    truth, still = scene_truth(3, index), plans[index].still
    for before, after in pairwise(truth):
        if after.still and before.shot == after.shot:
            assert before.objects == after.objects
            assert (before.camera == after.camera).all()
    assert [frame.still for frame in truth] == list(still)


def test_objects_keep_their_identity_between_cuts_and_none_survives_a_cut(plans):
    index = next(k for k, plan in enumerate(plans) if len(plan.shots) > 1)
    cast = [(frame.shot, {o.id: o.name for o in frame.objects}) for frame in scene_truth(3, index)]
    first, last = cast[0], cast[-1]
    assert (first[0], last[0]) == (0, 1)
    assert all(names == (first if shot == 0 else last)[1] for shot, names in cast)
    assert not first[1].keys() & last[1].keys()


def test_the_true_box_is_where_the_pixels_change():
    # A static camera and a short step: what changes lies in the boxes, but for the light's drift.
    index = next(
        k
        for k in range(100)
        if (shot := plan_video(3, k).shots[0]).camera.pan.speed == (0, 0)
        and not shot.under_water
        and not plan_video(3, k).still[:4].any()
    )
    frames, truth = list(render_frames(3, index)), scene_truth(3, index)
    change = np.abs(frames[3].astype(int) - frames[0]).max(axis=2)
    inside = np.zeros(change.shape, bool)
    for frame in (truth[0], truth[3]):
        for item in frame.objects:
            x0, y0, x1, y1 = np.round(item.box).astype(int)
            inside[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2] = True
    assert 0 < inside.mean() < 0.9
    assert change[inside].max() > 60
    assert change[~inside].max() < 40


def test_boxes_stay_in_the_frame_while_some_objects_leave_it(plans):
    leaves = next(
        index
        for index, plan in enumerate(plans)
        if any(a.name in CLASSES and a.path.area is None for a in plan.shots[0].actors)
        and not plan.still.any()
        and len(plan.shots) == 1
    )
    shares = []
    for frame in scene_truth(3, leaves):
        for item in frame.objects:
            x0, y0, x1, y1 = item.box
            assert 0 <= x0 <= x1 <= 320
            assert 0 <= y0 <= y1 <= 240
            if item.name in CLASSES:
                shares.append(item.inside)
    assert max(shares) == pytest.approx(1)
    assert min(shares) < 0.5
