"""From the frames of a video to windows and pairs (paper, sec. 4), in one pass and constant memory.

All that happens to a window happens within `track_frames + 1` consecutive frames, a clip; a ring
buffer holds the clip of the moment. Why frames and tracks are rejected is counted.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackssl.config import Mining
from trackssl.images import Image, encode_jpeg
from trackssl.mining.cuts import cuts, first_new, thumbnail
from trackssl.mining.drift import points_kept
from trackssl.mining.kcf import Features, Tracker
from trackssl.mining.motion import point_motion
from trackssl.mining.people import people
from trackssl.mining.surf import interest_points
from trackssl.mining.windows import best_windows
from trackssl.pairs.store import Box, Pair
from trackssl.videos.decode import Frame

LEAVE_SHARE = 0.1  # of its side that a box may lie outside; its patch is then cut at the edge
FOLLOWED_POINTS = 50  # the strongest moving ones of a window, on which the check for drift rests

FRAME_REASONS = ("near_end", "cut", "few_points", "still", "camera")
TRACK_REASONS = ("left_frame", "lost", "drifted", "unconfirmed")
FRAME_COUNTS = ("frames_tried", *(f"frames_{r}" for r in FRAME_REASONS), "frames_used", "windows")
TRACK_COUNTS = (*(f"tracks_{reason}" for reason in TRACK_REASONS), "pairs")


class ClipFrame:
    """A frame in the ring, with what the work on several clips and windows shares."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    @property
    def grey(self) -> Image:
        """(H, W) uint8."""
        return self._frame.grey

    @property
    def bgr(self) -> Image:
        """(H, W, 3) uint8."""
        return self._frame.bgr

    @cached_property
    def thumbnail(self) -> Image:
        """A small grey image, in which cuts are sought."""
        return thumbnail(self.grey)

    @cached_property
    def features(self) -> Features:
        """What trackers see."""
        return Features(self.grey)


Clip = Sequence[ClipFrame]


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
    followed: tuple[tuple[float, float], ...]  # the strongest of these, x, y

    @property
    def box(self) -> Box:
        """x, y, w, h."""
        return float(self.x), float(self.y), float(self.w), float(self.h)


@dataclass(frozen=True)
class Examined:
    """What the first frame of a clip shows, and why it was rejected if it was."""

    points: NDArray[np.float32]  # (N, 4), as `interest_points` gives them
    moving: NDArray[np.bool_]  # (N,)
    windows: Sequence[Window] = ()
    reason: str | None = None  # of FRAME_REASONS


@dataclass(frozen=True)
class Track:
    """The boxes of a window, one a frame from the first on, and why it was dropped if it was."""

    boxes: Sequence[Box]
    scores: Sequence[float]  # peak to sidelobe ratio of each later frame
    kept: float | None = None  # share of the followed points that end in the last box
    reason: str | None = None  # of TRACK_REASONS

    @property
    def score(self) -> float:
        """The lowest of the scores."""
        return min(self.scores)


def find_windows(
    frames: Iterable[Frame], settings: Mining, counts: Counter[str]
) -> Iterator[Window]:
    """Windows of a video's frames, and in `counts` why others were rejected."""
    for first, clip in clips(frames, settings, counts):
        yield from _examined(clip, first, settings, counts)


def track_windows(
    frames: Iterable[Frame],
    windows: Collection[Window],
    video: str,
    settings: Mining,
    counts: Counter[str],
) -> Iterator[Pair]:
    """Pairs of the windows that `find_windows` found in the same frames; reads no more of them."""
    todo: dict[int, list[Window]] = {}
    for window in windows:
        todo.setdefault(window.first_frame, []).append(window)
    if not todo:
        return
    for first, clip in clips(frames, settings, Counter()):
        yield from _pairs(todo.pop(first, []), clip, video, settings, counts)
        if not todo:
            return


def mine_pairs(
    frames: Iterable[Frame], video: str, settings: Mining, counts: Counter[str]
) -> Iterator[Pair]:
    """What `find_windows` and then `track_windows` give, in one pass over the frames."""
    for first, clip in clips(frames, settings, counts):
        windows = _examined(clip, first, settings, counts)
        yield from _pairs(windows, clip, video, settings, counts)


def clips(
    frames: Iterable[Frame], settings: Mining, counts: Counter[str]
) -> Iterator[tuple[int, Clip]]:
    """Each frame that is tried, as its number and the clip that begins with it."""
    ring: deque[ClipFrame] = deque(maxlen=settings.track_frames + 1)
    seen = 0
    for frame in frames:
        ring.append(ClipFrame(frame))
        seen += 1
        first = seen - settings.track_frames - 1
        if first >= 0 and first % settings.start_every_frames == 0:
            counts["frames_tried"] += 1
            yield first, ring
    starts = -(-seen // settings.start_every_frames)
    whole = max(0, seen - settings.track_frames)
    near_end = starts - -(-whole // settings.start_every_frames)
    counts["frames_tried"] += near_end
    counts["frames_near_end"] += near_end


def examine(clip: Clip, first: int, settings: Mining) -> Examined:
    """Points, motion and windows of the frame number `first`, with which the clip begins."""
    nothing = np.empty((0, 4), np.float32), np.empty(0, bool)
    if cuts([frame.thumbnail for frame in clip]):
        return Examined(*nothing, reason="cut")
    grey = clip[0].grey
    following = clip[first_new([frame.grey for frame in clip])].grey
    points = interest_points(grey, settings.hessian_threshold)
    if len(points) < settings.min_points:
        return Examined(points, np.zeros(len(points), bool), reason="few_points")
    shown = people(grey) if settings.mask_people else None
    moving = point_motion(grey, following, points, settings, shown) > settings.min_flow_px
    share = moving.mean()
    if share < settings.min_moving_share or not moving.any():
        return Examined(points, moving, reason="still")
    if share > settings.max_moving_share:
        return Examined(points, moving, reason="camera")
    side = settings.patch_px
    height, width = grey.shape
    found = best_windows(
        points[moving],
        side,
        height,
        width,
        most=settings.windows_per_frame,
        max_overlap=settings.max_window_overlap,
    )
    windows = [
        Window(first, x, y, side, side, len(points), count, _within(points[moving], x, y, side))
        for x, y, count in found
    ]
    return Examined(points, moving, windows)


def follow(window: Window, clip: Clip, settings: Mining) -> Track:
    """Track a window through the clip that begins with its frame, as far as it is not dropped."""
    height, width = clip[0].grey.shape
    tracker = Tracker(clip[0].features, window.box, settings.track_padding)
    boxes, scores = [window.box], list[float]()
    for index in range(1, settings.track_frames + 1):
        found = tracker.update(clip[index].features)
        boxes.append(found.box)
        scores.append(found.psr)
        if _outside(found.box, height, width) > LEAVE_SHARE:
            return Track(boxes, scores, reason="left_frame")
        if found.psr < settings.min_track_score:
            return Track(boxes, scores, reason="lost")
    kept = points_kept([frame.features for frame in clip], window.followed, boxes[-1])
    if settings.min_points_kept == 0 or (kept or 0) >= settings.min_points_kept:
        return Track(boxes, scores, kept)
    return Track(boxes, scores, kept, "unconfirmed" if kept is None else "drifted")


def _examined(clip: Clip, first: int, settings: Mining, counts: Counter[str]) -> Sequence[Window]:
    seen = examine(clip, first, settings)
    counts[f"frames_{seen.reason or 'used'}"] += 1
    counts["windows"] += len(seen.windows)
    return seen.windows


def _pairs(
    windows: Sequence[Window], clip: Clip, video: str, settings: Mining, counts: Counter[str]
) -> Iterator[Pair]:
    for window in windows:
        track = follow(window, clip, settings)
        counts[f"tracks_{track.reason}" if track.reason else "pairs"] += 1
        if not track.reason:
            yield _pair(window, track, clip, video, settings)


def _pair(window: Window, track: Track, clip: Clip, video: str, settings: Mining) -> Pair:
    last = clip[settings.track_frames]
    last_box = _clipped(track.boxes[-1], *last.grey.shape)
    return Pair(
        video=video,
        first_frame=window.first_frame,
        last_frame=window.first_frame + settings.track_frames,
        first_box=window.box,
        last_box=last_box,
        points=window.points,
        moving_points=window.moving_points,
        track_score=track.score,
        points_kept=track.kept,
        first_jpeg=encode_jpeg(_crop(clip[0].bgr, window.box), settings.jpeg_quality),
        last_jpeg=encode_jpeg(_crop(last.bgr, last_box), settings.jpeg_quality),
    )


def _within(points: NDArray[np.float32], x: int, y: int, side: int) -> Any:
    """The strongest points of a window, as plain numbers."""
    place = np.floor(points[:, :2]) - (x, y)
    inside = points[((place >= 0) & (place < side)).all(axis=1), :2]
    return tuple(map(tuple, inside[:FOLLOWED_POINTS].tolist()))


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
