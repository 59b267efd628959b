"""Motion against the truth: the IDT release's tracks, the built-in world's own, real pictures."""

from collections import Counter
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from trackssl.config import Mining
from trackssl.mining.motion import (
    _moved,
    _spread_corners,
    camera_homography,
    dense_flow,
    point_motion,
)
from trackssl.mining.surf import interest_points
from trackssl.miniworld.backgrounds import draw_background
from trackssl.miniworld.motion import project
from trackssl.miniworld.plans import (
    CANVAS_HEIGHT,
    CANVAS_WIDTH,
    HEIGHT,
    WIDTH,
    Plan,
    plan_video,
)
from trackssl.miniworld.scenes import paint
from trackssl.miniworld.videos import _render, _sprite
from trackssl.randomness import generator

CENTRE = (WIDTH / 2, HEIGHT / 2)
CANVAS = (CANVAS_HEIGHT, CANVAS_WIDTH)
TRACK_FRAMES = 15


# The IDT release: the tracks that it found in its test clip, camera taken out by its own code.


def idt_tracks(folder: Path) -> tuple[NDArray, NDArray]:
    """Tracks of the first scale that are 0.75 px a frame or faster: last frame, places (N, 16, 2).

    The release gives each track's mean place, and displacements divided by their sum.
    """
    rows = np.loadtxt(folder / "person01_boxing_d1.trajectories.tsv.gz")
    rows = rows[(rows[:, 6] == 1) & (rows[:, 5] / TRACK_FRAMES >= 0.75)]
    steps = rows[:, 10:].reshape(-1, TRACK_FRAMES, 2) * rows[:, 5, None, None]
    places = np.pad(steps.cumsum(axis=1), ((0, 0), (1, 0), (0, 0)))
    return rows[:, 0].astype(int), places + (rows[:, 1:3] - places.mean(axis=1))[:, None]


def grey_frames(video: Path, most: int = 1_000) -> list[NDArray]:
    capture = cv2.VideoCapture(str(video))
    frames: list[NDArray] = []
    while len(frames) < most and (shown := capture.read())[0]:
        frames.append(cv2.cvtColor(shown[1], cv2.COLOR_BGR2GRAY))
    return frames


@pytest.mark.real_data
@pytest.mark.parametrize("flow", ["dis", "farneback"])
def test_what_idt_tracks_moves_and_what_lies_far_from_it_does_not(real_data: Path, flow):
    last, places = idt_tracks(real_data / "idt")
    frames = grey_frames(real_data / "idt" / "person01_boxing_d1_uncomp.avi")
    assert len(last) > 1_000 and len(frames) == 360
    height, width = frames[0].shape
    far = [np.empty((0, 2))] * len(frames)
    random = np.random.default_rng(0)
    for _ in range(1_000):  # a random time, and a random place then, 10 px off every track
        while True:
            time = int(random.integers(TRACK_FRAMES, len(frames) - 1))
            place = random.uniform(0, [width - 1, height - 1])
            there = (last - TRACK_FRAMES <= time) & (time <= last)
            tracked = places[there, time - last[there] + TRACK_FRAMES]
            if np.linalg.norm(tracked - place, axis=1).min(initial=99) >= 10:
                break
        far[time] = np.vstack([far[time], place])
    moving_frames, moving_far = np.zeros(len(last), int), 0
    for time in range(len(frames) - 1):
        there = np.flatnonzero((last - TRACK_FRAMES <= time) & (time < last))
        tracked = places[there, time - last[there] + TRACK_FRAMES]
        points = np.concatenate([tracked, far[time]]).astype(np.float32)
        moving = point_motion(frames[time], frames[time + 1], points, Mining(flow=flow)) > 0.5
        moving_frames[there] += moving[: len(there)]
        moving_far += int(moving[len(there) :].sum())
    assert np.mean(moving_frames >= 8) > {"dis": 0.9, "farneback": 0.97}[flow]
    assert moving_far / 1_000 < 0.05


# The built-in world: the true displacement of the surface under each interest point.


def true_motion(plan: Plan, number: int, points: NDArray) -> NDArray:
    """Displacement (px) of what is seen at points (N, 2) of a frame, less the camera's."""
    shot, times = plan.shot(number), plan.clock[number : number + 2]
    stays = project(true_camera(plan, number), points)
    moved = stays.copy()
    x, y = points.round().astype(int).T
    black, ramp = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.zeros((1, 256, 3), np.uint8)
    for actor in shot.actors:  # from back to front
        poses = [shot.camera.view(t, CENTRE) @ actor.pose(t).homography() for t in times]
        window, alpha = paint(black, _sprite(actor, times[0]), poses[0], ramp)
        covers = np.zeros((HEIGHT, WIDTH), bool)
        covers[window] = alpha > 127
        on_it = covers[y, x]
        moved[on_it] = project(poses[1] @ np.linalg.inv(poses[0]), points[on_it])
    return np.linalg.norm(moved - stays, axis=1)


def true_camera(plan: Plan, number: int) -> NDArray:
    """(3, 3): the background in a frame -> in the next one."""
    camera, (now, then) = plan.shot(number).camera, plan.clock[number : number + 2]
    return camera.canvas_to_screen(then, CENTRE) @ np.linalg.inv(
        camera.canvas_to_screen(now, CENTRE)
    )


Case = tuple[str, NDArray, NDArray, NDArray, NDArray, NDArray]


@cache
def world_cases() -> list[Case]:
    """Of 24 videos two pairs of frames: kind, two frames, points, which move, true camera."""
    cases = []
    for index in range(24):
        plan = plan_video(0, index)
        for number in (30, 80):
            shot = plan.shot(number)
            if plan.shot(number + 1) is not shot or shot.under_water:
                continue
            canvas = draw_background(generator("background", shot.key), *CANVAS)
            first, second = (
                cv2.cvtColor(_render(plan, shot, canvas, n, plan.clock[n]), cv2.COLOR_BGR2GRAY)
                for n in (number, number + 1)
            )
            points = interest_points(first)
            if len(points) < 20:
                continue
            camera = true_camera(plan, number)
            kind = "panning" if np.abs(camera - np.eye(3)).max() > 1e-9 else "static"
            if plan.still[number + 1]:
                kind = "still"
            moves = true_motion(plan, number, points[:, :2].astype(float)) > 0.5
            cases.append((kind, first, second, points, moves, camera))
    return cases


def counted(kind: str, settings: Mining) -> Counter[str]:
    count: Counter[str] = Counter()
    for case, first, second, points, moves, _ in world_cases():
        if case == kind:
            found = point_motion(first, second, points, settings) > 0.5
            count += Counter(right=int((found & moves).sum()), found=int(found.sum()))
            count += Counter(moves=int(moves.sum()), points=len(points))
    return count


@pytest.mark.parametrize(
    ("kind", "flow", "precision", "recall"),
    [
        ("static", "dis", 0.72, 0.9),
        ("panning", "dis", 0.62, 0.85),
        ("static", "farneback", 0.72, 0.9),
        ("panning", "farneback", 0.55, 0.85),
    ],
)
def test_points_of_the_world_move_as_they_truly_do(kind, flow, precision, recall):
    count = counted(kind, Mining(flow=flow))
    assert count["moves"] > 1_000 and count["points"] > 2 * count["moves"]
    assert count["right"] / count["found"] > precision
    assert count["right"] / count["moves"] > recall


def test_the_worlds_stillness_is_still():
    count = counted("still", Mining())
    assert count["points"] > 100 and count["found"] < 0.03 * count["points"]


def camera_error(first: NDArray, second: NDArray, truth: NDArray) -> float:
    """Mean distance (px) over the frame between the estimated camera's mapping and the true one."""
    height, width = first.shape
    corners = _spread_corners(first)
    rim = np.abs(corners / [width, height] - 0.5).max(axis=1) > 3 / 8
    camera = camera_homography(corners, _moved(corners, dense_flow(first, second)), rim)
    grid = np.stack(np.meshgrid(np.linspace(0, width, 9), np.linspace(0, height, 7)), -1)
    at = grid.reshape(-1, 2)
    return float(np.linalg.norm(project(camera, at) - project(truth, at), axis=1).mean())


@pytest.mark.parametrize(("kind", "usual_px"), [("static", 0.01), ("panning", 0.25)])
def test_the_worlds_camera_is_found(kind, usual_px):
    errors = np.array([camera_error(c[1], c[2], c[5]) for c in world_cases() if c[0] == kind])
    assert np.median(errors) < usual_px
    assert np.mean(errors < 0.5) > 0.85


# A real video of a static camera, seen through one that turns.


@pytest.mark.real_data
@pytest.mark.parametrize("pan_px", [0, 2, 12])
def test_a_turning_camera_is_found_in_a_real_video(real_data: Path, pan_px):
    frames = grey_frames(real_data / "videos" / "bottle-detection.mp4", 240)
    height, width = frames[0].shape
    larger = np.array([[672 / width, 0, -36], [0, 502 / height, -27], [0, 0, 1]])
    lens = np.array([[600, 0, 300], [0, 600, 224], [0, 0, 1.0]])
    errors = []
    for number in range(0, 240, 24):
        angle = 2 * np.pi * number / 240
        turn = pan_px / 600 * np.array([np.sin(angle), np.cos(angle), 0.2])
        camera = lens @ cv2.Rodrigues(turn)[0] @ np.linalg.inv(lens)
        first = cv2.warpPerspective(frames[number], larger, (600, 448))
        second = cv2.warpPerspective(frames[number + 1], camera @ larger, (600, 448))
        errors.append(camera_error(first, second, camera))
    assert max(errors) < 0.5
