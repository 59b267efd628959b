"""Miners of the same structure as ours, put together from what libraries offer.

Each decodes every frame to BGR, looks for interest points and their motion in the frames that are
tried, takes the fullest window by our rule and follows it by OpenCV's KCF.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from mahotas.features import surf as mahotas_surf
from numpy.typing import NDArray

from trackssl.config import Mining
from trackssl.images import Image, encode_jpeg
from trackssl.mining.windows import best_windows
from trackssl.pairs.store import Box

Points = NDArray[np.float32]  # (N, 2) x, y in pixels
Detect = Callable[[Image], Points]
Flow = Callable[[Image, Image], NDArray[np.float32]]


def decoded(path: Path, height: int, width: int) -> Iterator[Image]:
    """Every frame as (height, width, 3) uint8 BGR by one thread, with PyAV's default scaling."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        for frame in container.decode(stream):
            yield frame.to_ndarray(format="bgr24", width=width, height=height, threads=1)


def mahotas_points(grey: Image, **options: int) -> Points:
    """SURF's points by mahotas, at its own threshold."""
    return mahotas_surf.interest_points(grey, **options)[:, 1::-1].astype(np.float32)


def coarse_mahotas_points(grey: Image, step_px: int = 2) -> Points:
    """The same at fewer octaves and layers, and not at each pixel."""
    return mahotas_points(grey, nr_octaves=3, nr_scales=4, initial_step_size=step_px)


def sift_points(grey: Image) -> Points:
    """SIFT's points by OpenCV, at its defaults."""
    return cv2.KeyPoint.convert(_SIFT.detect(grey, None))


def farneback(previous: Image, current: Image) -> NDArray[np.float32]:
    """Farneback's flow at the settings of the IDT release."""
    return cv2.calcOpticalFlowFarneback(
        previous, current, None, 0.5, 5, 10, 2, 7, 1.5, cv2.OPTFLOW_FARNEBACK_GAUSSIAN
    )


def dis(preset: int) -> Flow:
    """Dense inverse search at one of OpenCV's presets."""
    method = cv2.DISOpticalFlow.create(preset)
    return lambda previous, current: method.calc(previous, current, None)


@contextmanager
def opencv_with_ipp(wanted: bool) -> Iterator[None]:
    """OpenCV with or without Intel's library, which many builds and all on ARM go without.

    Its Fourier transform of a prime length, such as 227, takes ten times as long without.
    """
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(wanted and before)
    try:
        yield
    finally:
        cv2.ipp.setUseIPP(before)


_SIFT = cv2.SIFT.create()


@dataclass(frozen=True)
class Chain:
    """A miner made of libraries: points, flow, the homography's estimator, the side it tracks."""

    name: str
    detect: Detect
    flow: Flow
    homography: int
    side_px: int
    ipp: bool = True  # where OpenCV has it

    def examine(
        self, first: Image, second: Image, settings: Mining
    ) -> Sequence[tuple[int, int, int]]:
        """The windows of a tried frame (x, y, count), none where it is rejected."""
        grey, following = (cv2.cvtColor(f, cv2.COLOR_BGR2GRAY) for f in (first, second))
        points = self.detect(grey)
        if len(points) < settings.min_points:
            return ()
        flow = self.flow(grey, following)
        limit = np.subtract(grey.shape[::-1], 1)
        x, y = np.clip(points.round().astype(int), 0, limit).T
        moved = points + flow[y, x]
        camera, _ = cv2.findHomography(points, moved, self.homography, 1.0)
        stays = points if camera is None else _mapped(points, camera)
        moving = points[np.linalg.norm(moved - stays, axis=1) > settings.min_flow_px]
        share = len(moving) / len(points)
        if not len(moving) or not settings.min_moving_share <= share <= settings.max_moving_share:
            return ()
        side, count = settings.patch_px, settings.windows_per_frame
        return best_windows(moving, side, *grey.shape, count, settings.max_window_overlap)

    def follow(self, frames: deque[Image], box: Box, updates: int) -> tuple[Box, int]:
        """Track a box for so many updates, or until it is lost -> the last box, updates made.

        `init` only keeps the box; the first update, on the same frame, learns and is counted.
        """
        margin = (box[2] - self.side_px) / 2
        tracker, last = opencv_tracker(frames[0], centred(box, self.side_px)), box
        for index in range(1, updates + 1):
            found, (x, y, _, _) = tracker.update(frames[index])
            if not found:
                return last, index + 1
            last = (x - margin, y - margin, box[2], box[3])
        return last, updates + 1


def opencv_tracker(frame: Image, box: tuple[int, int, int, int]) -> Any:
    """OpenCV's KCF that has learnt a box (x, y, w, h) of a BGR frame."""
    tracker = cv2.TrackerKCF.create()
    tracker.init(frame, box)
    tracker.update(frame)
    return tracker


def centred(box: Box, side_px: int) -> tuple[int, int, int, int]:
    """The square of another side around the same middle, at whole pixels."""
    x, y, w, h = box
    return int(x + (w - side_px) / 2), int(y + (h - side_px) / 2), side_px, side_px


def encode(first: Image, last: Image, boxes: tuple[Box, Box], settings: Mining) -> int:
    """Both patches of a pair as JPEG -> their bytes."""
    size = 0
    for frame, (x, y, w, h) in zip((first, last), boxes, strict=True):
        top, left = int(np.clip(y, 0, frame.shape[0] - h)), int(np.clip(x, 0, frame.shape[1] - w))
        patch = frame[top : top + int(h), left : left + int(w)]
        size += len(encode_jpeg(patch, settings.jpeg_quality))
    return size


def _mapped(points: Points, homography: NDArray) -> Points:
    return cv2.perspectiveTransform(points[:, None], homography)[:, 0]


LIBRARY = Chain("library", mahotas_points, farneback, cv2.RANSAC, 227)
LIBRARY_WITHOUT_IPP = replace(LIBRARY, name="library_without_ipp", ipp=False)
TUNED = Chain(
    "tuned", coarse_mahotas_points, dis(cv2.DISOPTICAL_FLOW_PRESET_FAST), cv2.USAC_MAGSAC, 224
)
CHAINS = (LIBRARY, LIBRARY_WITHOUT_IPP, TUNED)
