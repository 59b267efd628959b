"""Videos of the built-in world: one mp4 each, the same bytes for the same seed and index."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.files import whole_file
from trackssl.images import Image
from trackssl.miniworld.backgrounds import draw_background
from trackssl.miniworld.motion import Homography
from trackssl.miniworld.objects import FOREGROUND, draw_object
from trackssl.miniworld.plans import (
    CANVAS_HEIGHT,
    CANVAS_WIDTH,
    FPS,
    FRAMES,
    HEIGHT,
    WIDTH,
    Plan,
    Shot,
    plan_video,
)
from trackssl.miniworld.scenes import Actor, paint, visible_box
from trackssl.miniworld.sketch import Sprite
from trackssl.randomness import generator

_PHASES = 12  # drawings of an individual's moving parts
_CENTRE = (WIDTH / 2, HEIGHT / 2)
_ENCODER = {"preset": "veryfast", "crf": "20", "threads": "1"}


@dataclass(frozen=True)
class ObjectTruth:
    """One object in one frame: box x0, y0, x1, y1 (pixels, cut at the frame), share inside.

    What passes in front of the classes is listed too, named `leaf` and `post`.
    """

    id: str
    name: str
    box: tuple[float, float, float, float]
    inside: float


@dataclass(frozen=True)
class FrameTruth:
    """What is so in one frame: shot's number, camera (canvas -> screen), stillness, objects from
    back to front."""

    shot: int
    camera: Homography
    still: bool
    under_water: bool
    objects: tuple[ObjectTruth, ...]


def video_id(index: int) -> str:
    """The id, and the file's stem, of video `index`."""
    return f"mini{index:05d}"


def render_video(path: Path, seed: int, index: int) -> None:
    """Write video `index` of a world, H.264 in mp4: 120 frames of 240 x 320 (h x w), 24 fps."""
    with whole_file(path) as part, av.open(part, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options=_ENCODER)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for image in render_frames(seed, index):
            planes = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def render_frames(seed: int, index: int) -> Iterator[Image]:
    """The frames of a video before encoding, (240, 320, 3) uint8 BGR."""
    plan = plan_video(seed, index)
    canvas: Image = np.empty(0, np.uint8)
    shown: Shot | None = None
    for number in range(FRAMES):
        shot, time = plan.shot(number), float(plan.clock[number])
        if shot is not shown:
            rng = generator("background", shot.key)
            canvas, shown = draw_background(rng, CANVAS_HEIGHT, CANVAS_WIDTH), shot
        yield _render(plan, shot, canvas, number, time)


def scene_truth(seed: int, index: int) -> list[FrameTruth]:
    """What each frame of a video shows, (120,)."""
    plan = plan_video(seed, index)
    return [_frame_truth(plan, number) for number in range(FRAMES)]


def _render(plan: Plan, shot: Shot, canvas: Image, number: int, time: float) -> Image:
    camera = shot.camera.canvas_to_screen(time, _CENTRE)
    frame = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    cv2.warpPerspective(canvas, camera, (WIDTH, HEIGHT), frame, borderMode=cv2.BORDER_REFLECT)
    if shot.under_water:
        _ripple(frame, time)
    view = shot.camera.view(time, _CENTRE)
    for actor in shot.actors:
        homography = view @ actor.pose(time).homography()
        paint(frame, _sprite(actor, time), homography, actor.light.ramp(number))
    cv2.LUT(frame, plan.ambient.ramp(number), frame)
    return frame


def _frame_truth(plan: Plan, number: int) -> FrameTruth:
    shot, time = plan.shot(number), plan.clock[number]
    view = shot.camera.view(time, _CENTRE)
    objects = []
    for actor in shot.actors:
        homography = view @ actor.pose(time).homography()
        box, inside = visible_box(homography, _sprite(actor, time), HEIGHT, WIDTH)
        objects.append(ObjectTruth(actor.individual, actor.name, box, inside))
    return FrameTruth(
        plan.shots.index(shot),
        shot.camera.canvas_to_screen(time, _CENTRE),
        bool(plan.still[number]),
        shot.under_water,
        tuple(objects),
    )


def _sprite(actor: Actor, time: float) -> Sprite:
    step = 0 if actor.name in FOREGROUND else round(time / actor.beat * _PHASES) % _PHASES
    return _drawn(actor.name, actor.individual, step)


@lru_cache(maxsize=8 * _PHASES)
def _drawn(name: str, individual: str, step: int) -> Sprite:
    return draw_object(name, individual, 2 * np.pi * step / _PHASES)


def _ripple(frame: Image, time: float) -> None:
    """Turn a frame, in place, into one seen through moving water."""
    x, y = _pixels()
    shift_x = 5 * np.sin(y / 14 + 0.55 * time) + 3 * np.sin(x / 23 - 0.4 * time)
    shift_y = 5 * np.sin(x / 17 - 0.5 * time)
    frame[:] = cv2.remap(
        frame, x + shift_x, y + shift_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


@lru_cache(maxsize=1)
def _pixels() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return x, y
