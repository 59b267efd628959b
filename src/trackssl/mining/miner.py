"""From the frames of a video to windows and pairs (paper, sec. 4), in one pass and constant memory.

All that happens to a window happens within `track_frames + 1` consecutive frames, a clip; a ring
buffer holds the clip of the moment. Why frames and tracks are rejected is counted.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from trackssl.config import Mining
from trackssl.images import Image, encode_jpeg
from trackssl.mining.kcf import Tracker
from trackssl.mining.motion import point_motion
from trackssl.mining.surf import interest_points
from trackssl.mining.windows import best_window
from trackssl.pairs.store import Box, Pair

LEAVE_SHARE = 0.1  # of its side that a box may lie outside; its patch is then cut at the edge

FRAME_COUNTS = (
    "frames_tried",
    "frames_near_end",
    "frames_few_points",
    "frames_still",
    "frames_camera",
    "windows",
)
TRACK_COUNTS = ("tracks_lost", "tracks_left_frame", "tracks_low_score", "pairs")


@dataclass(frozen=True)
class Window:
    """The first patch: where it lies, in pixels of the resized frame, and why."""

    first_frame: int
    x: int
    y: int
    w: int
    h: int
    points: int  # interest points of the frame
    moving_points: int  # those in the window that move


def find_windows(
    frames: Iterable[Image], settings: Mining, counts: Counter[str]
) -> Iterator[Window]:
    """Windows of a video's frames (H, W, 3) uint8 BGR, and in `counts` why others were rejected."""
    for first, clip in _clips(frames, settings, counts):
        if window := _window(first, clip, settings, counts):
            yield window


def track_windows(
    frames: Iterable[Image],
    windows: Collection[Window],
    video: str,
    settings: Mining,
    counts: Counter[str],
) -> Iterator[Pair]:
    """Pairs of the windows that `find_windows` found in the same frames; reads no more of them."""
    todo = {window.first_frame: window for window in windows}
    if not todo:
        return
    for first, clip in _clips(frames, settings, Counter()):
        if window := todo.pop(first, None):
            if pair := _pair(window, clip, video, settings, counts):
                yield pair
            if not todo:
                return


def mine_pairs(
    frames: Iterable[Image], video: str, settings: Mining, counts: Counter[str]
) -> Iterator[Pair]:
    """What `find_windows` and then `track_windows` give, in one pass over the frames."""
    for first, clip in _clips(frames, settings, counts):
        if (window := _window(first, clip, settings, counts)) and (
            pair := _pair(window, clip, video, settings, counts)
        ):
            yield pair


def _clips(
    frames: Iterable[Image], settings: Mining, counts: Counter[str]
) -> Iterator[tuple[int, Sequence[Image]]]:
    """Each frame that is tried, as its number and the clip that begins with it."""
    ring: deque[Image] = deque(maxlen=settings.track_frames + 1)
    seen = 0
    for frame in frames:
        ring.append(frame)
        seen += 1
        first = seen - ring.maxlen if ring.maxlen else 0
        if first >= 0 and first % settings.start_every_frames == 0:
            counts["frames_tried"] += 1
            yield first, ring
    starts = -(-seen // settings.start_every_frames)
    whole = max(0, seen - settings.track_frames)
    near_end = starts - -(-whole // settings.start_every_frames)
    counts["frames_tried"] += near_end
    counts["frames_near_end"] += near_end


def _window(
    first: int, clip: Sequence[Image], settings: Mining, counts: Counter[str]
) -> Window | None:
    grey, following = _grey(clip[0]), _grey(clip[1])
    points = interest_points(grey, settings.hessian_threshold)
    if len(points) < settings.min_points:
        counts["frames_few_points"] += 1
        return None
    moving = points[point_motion(grey, following, points, settings) > settings.min_flow_px]
    share = len(moving) / len(points)
    if share < settings.min_moving_share or not len(moving):
        counts["frames_still"] += 1
        return None
    if share > settings.max_moving_share:
        counts["frames_camera"] += 1
        return None
    counts["windows"] += 1
    x, y, inside = best_window(moving, settings.patch_px, *grey.shape)
    return Window(first, x, y, settings.patch_px, settings.patch_px, len(points), inside)


def _pair(
    window: Window, clip: Sequence[Image], video: str, settings: Mining, counts: Counter[str]
) -> Pair | None:
    first_box = cast(Box, tuple(float(v) for v in (window.x, window.y, window.w, window.h)))
    tracker, score, last_box = Tracker(clip[0], first_box), 1.0, first_box
    height, width = clip[0].shape[:2]
    for index in range(1, settings.track_frames + 1):
        found = tracker.update(clip[index])
        if found is None:
            counts["tracks_lost"] += 1
            return None
        last_box, score = found[0], min(score, found[1])
        if _outside(last_box, height, width) > LEAVE_SHARE:
            counts["tracks_left_frame"] += 1
            return None
        if score < settings.min_track_score:
            counts["tracks_low_score"] += 1
            return None
    counts["pairs"] += 1
    last_box = _clipped(last_box, height, width)
    return Pair(
        video=video,
        first_frame=window.first_frame,
        last_frame=window.first_frame + settings.track_frames,
        first_box=first_box,
        last_box=last_box,
        points=window.points,
        moving_points=window.moving_points,
        track_score=score,
        first_jpeg=encode_jpeg(_crop(clip[0], first_box), settings.jpeg_quality),
        last_jpeg=encode_jpeg(_crop(clip[settings.track_frames], last_box), settings.jpeg_quality),
    )


def _grey(frame: Image) -> Image:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)


def _outside(box: Box, height: int, width: int) -> float:
    """The largest share of a side by which a box reaches out of the frame."""
    x, y, w, h = box
    return max(-x / w, (x + w - width) / w, -y / h, (y + h - height) / h, 0.0)


def _clipped(box: Box, height: int, width: int) -> Box:
    """The box at whole pixels, moved into the frame, of the same size."""
    x, y, w, h = box
    return float(min(max(round(x), 0), width - w)), float(min(max(round(y), 0), height - h)), w, h


def _crop(frame: Image, box: Box) -> Image:
    x, y, w, h = (int(value) for value in box)
    return frame[y : y + h, x : x + w]
