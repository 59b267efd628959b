"""The miner's parts beside what libraries offer for each."""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import chains
import cv2
import numpy as np
from timing import Spread, Stopwatch, Times, in_turn

from trackssl.config import Mining
from trackssl.errors import InputError
from trackssl.mining.kcf import PADDING, Features, Tracker
from trackssl.mining.motion import point_motion
from trackssl.mining.surf import interest_points
from trackssl.videos.decode import Frame, probe, read_frames


def clips(paths: Sequence[Path], settings: Mining, length: int) -> list[list[Frame]]:
    """Consecutive frames from the middle of each video that has so many.

    Raises InputError when none has.
    """
    sides = (settings.frame_height_px, settings.frame_width_px)
    found = []
    for path in paths:
        start = max(0, (probe(path).frames - length) // 2)
        frames = list(islice(read_frames(path, *sides), start, start + length))
        for frame in frames:
            _ = frame.grey, frame.bgr  # made here, where no clock is running
        if len(frames) == length:
            found.append(frames)
    if not found:
        raise InputError(f"No video has {length} frames; name longer ones by --videos.")
    return found


def surf(given: Sequence[list[Frame]], settings: Mining, repeats: int) -> dict[str, Any]:
    """Interest points of a grey frame: ours, mahotas' and SIFT's."""
    threshold = settings.hessian_threshold
    sides = {
        "surf": lambda grey: interest_points(grey, threshold),
        "mahotas": chains.mahotas_points,
        "mahotas_coarse": chains.coarse_mahotas_points,
        "mahotas_coarser": lambda grey: chains.coarse_mahotas_points(grey, step_px=4),
        "sift": chains.sift_points,
    }
    greys = [frames[0].grey for frames in given]
    times = in_turn(sides, greys, repeats)
    points = {
        f"{name}_points": float(np.median([len(side(grey)) for grey in greys]))
        for name, side in sides.items()
    }
    return _entries(times, "surf") | points


def motion(given: Sequence[list[Frame]], settings: Mining, repeats: int) -> dict[str, Any]:
    """Motion of a frame's interest points, homography included, beside dense flows alone."""

    def ours(pair: tuple[Any, ...]) -> object:
        return point_motion(pair[0], pair[1], pair[2], settings)

    presets = {
        "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
        "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
        "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
    }
    flows = {"farneback": chains.farneback}
    flows |= {f"dis_{name}": chains.dis(preset) for name, preset in presets.items()}
    sides = {"motion": ours}
    sides |= {name: lambda pair, flow=flow: flow(*pair[:2]) for name, flow in flows.items()}
    pairs = [
        (a.grey, b.grey, interest_points(a.grey, settings.hessian_threshold)) for a, b, *_ in given
    ]
    return _entries(in_turn(sides, pairs, repeats), "motion")


def kcf(given: Sequence[list[Frame]], settings: Mining, without_ipp: bool) -> dict[str, Any]:
    """One update of a tracker of its own frame features, ours beside OpenCV's on the same frames.

    The box lies in the middle of the frame. Ours sees as much around it as the mining's settings
    say, and as published (`_published`, and the box of 50 px); OpenCV's lies between. The first
    clip is followed once before it counts.
    """
    rows = [_kcf_clip(frames, settings, without_ipp) for frames in (given[0], *given)][1:]
    times = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    small = {name: times.pop(name) for name in ("kcf_update_50", "opencv_kcf_50")}
    return _entries(times, "kcf_update") | _entries(small, "kcf_update_50")


def _kcf_clip(frames: Sequence[Frame], settings: Mining, without_ipp: bool) -> dict[str, float]:
    """Median ms of an update of each tracker on a clip; all take their turns on a frame."""
    updates = {
        "kcf_update": _ours(frames[0], 227, settings.track_padding),
        "kcf_update_published": _ours(frames[0], 227, PADDING),
        "kcf_update_50": _ours(frames[0], 50, PADDING),
        "opencv_kcf_227": _opencv(frames[0], 227),
        "opencv_kcf_224": _opencv(frames[0], 224),
        "opencv_kcf_50": _opencv(frames[0], 50),
    }
    if without_ipp:
        updates["opencv_kcf_227_without_ipp"] = _opencv(frames[0], 227, ipp=False)
    taken: dict[str, list[float]] = {name: [] for name in updates}
    for frame in frames[1:]:
        for name, update in updates.items():
            watch = Stopwatch()
            with watch.block():
                update(frame)
            taken[name].append(watch.seconds)
    return {name: 1e3 * float(np.median(values)) for name, values in taken.items()}


def _ours(frame: Frame, side: int, padding: float) -> Callable[[Frame], object]:
    tracker = Tracker(Features(frame.grey), tuple(map(float, _middle(frame, side))), padding)
    return lambda later: tracker.update(Features(later.grey))


def _opencv(frame: Frame, side: int, ipp: bool = True) -> Callable[[Frame], object]:
    def update(later: Frame) -> None:
        with chains.opencv_with_ipp(ipp):
            tracker.update(later.bgr)

    with chains.opencv_with_ipp(ipp):
        tracker = chains.opencv_tracker(frame.bgr, _middle(frame, side))
    return update


def _middle(frame: Frame, side: int) -> tuple[int, int, int, int]:
    height, width = frame.grey.shape
    return chains.centred((width / 2, height / 2, 0.0, 0.0), side)


def _entries(times: Times, ours: str) -> dict[str, Any]:
    """Times in ms, and by how much each other side is slower than ours on the same input."""
    result: dict[str, Any] = {}
    for name, values in times.items():
        result |= Spread.of(values).entries(f"{name}_ms")
        if name != ours:
            result |= Spread.of(values / times[ours]).entries(f"{name}_over_{ours}")
    return result
