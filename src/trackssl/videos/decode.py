"""Frames of a video file, the same on every machine: one decoder thread, bit-exact scaling."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av
import av.container
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from trackssl.errors import InputError
from trackssl.images import Image

# Containers that hold video. FFmpeg would also draw a .txt file as a terminal, read `a%03d.jpg` as
# a sequence and follow a playlist to other files and hosts: files from outside must not do that.
CONTAINERS = (
    "3g2,3gp,asf,avi,dv,flv,gif,h264,hevc,ivf,live_flv,m4v,matroska,mj2,mov,mp4,mpeg,mpegts,"
    "mpegvideo,mxf,nut,ogg,rm,swf,webm,wtv,yuv4mpegpipe"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
_SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT

REASONS = (
    "missing file", "empty file", "truncated", "not a video", "no video stream", "no frames",
    "no permission", "unknown codec",
)  # fmt: skip


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds: sides in pixels as shown, frames a second, seconds, frames.

    `frames` counts what the file stores up to its end or break; `whole` is False at a break.
    """

    width: int
    height: int
    fps: float
    seconds: float
    frames: int
    whole: bool


class VideoError(InputError):
    """A file from which no frame can be had; `reason` is one of `REASONS`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: no frame can be read ({reason}); replace or remove the file.")
        self.reason = reason


def frames(path: Path, height_px: int, width_px: int) -> Iterator[Image]:
    """Every frame, stretched to (height_px, width_px, 3) uint8 BGR, in order of presentation.

    A file that breaks off in the middle ends there. Raises VideoError, an InputError that names the
    file and the reason, when not even one frame can be had.
    """
    convert = _Converter(height_px, width_px)
    for frame in _decoded(path):
        yield convert(frame)


def frames_at(
    path: Path, height_px: int, width_px: int, wanted: Collection[int]
) -> Iterator[tuple[int, Image]]:
    """The wanted frames as (index, frame), index from 0 as `frames` yields them, ascending.

    All are decoded up to the last wanted one, only the wanted are converted. Those behind the end
    are left out. Errors as in `frames`.
    """
    if not wanted:
        return
    convert, chosen, last = _Converter(height_px, width_px), frozenset(wanted), max(wanted)
    for index, frame in enumerate(_decoded(path)):
        if index in chosen:
            yield index, convert(frame)
        if index >= last:
            return


def probe(path: Path) -> VideoInfo:
    """Decode the first frame and count the others without decoding. Raises VideoError."""
    first = next(_decoded(path))
    stored = shown = end = 0
    whole = True
    with _opened(path) as (container, stream):
        fps = float(stream.average_rate or stream.guessed_rate or 25)
        start = stream.start_time or 0
        try:
            for packet in container.demux(stream):
                whole &= not packet.is_corrupt
                if packet.size and not packet.is_corrupt:
                    stored += 1
                    shown += not packet.is_discard  # cut away by an edit list
                    end = max(end, (packet.pts or 0) + (packet.duration or 0))
        except av.FFmpegError:
            whole = False
        whole &= stored >= stream.frames  # 0 where the header does not say
        seconds = float((end - start) * (stream.time_base or 0))
    upright = _quarter_turns(first) % 2 == 0
    width, height = (first.width, first.height) if upright else (first.height, first.width)
    return VideoInfo(width, height, fps, seconds if seconds > 0 else shown / fps, shown, whole)


def is_video(path: Path) -> bool:
    """Whether at least one frame can be had."""
    try:
        return next(_decoded(path)) is not None
    except VideoError:
        return False


class _Converter:
    """Stretches and turns decoded frames; keeps the scaler's tables from frame to frame."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self.sides = (height_px, width_px)
        self.scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Image:
        turns = _quarter_turns(frame)
        height, width = self.sides if turns % 2 == 0 else self.sides[::-1]
        scaled = self.scaler.reformat(
            frame, width, height, "bgr24", interpolation=_SCALING, threads=1
        )
        return np.ascontiguousarray(np.rot90(scaled.to_ndarray(), turns))


def _quarter_turns(frame: av.VideoFrame) -> int:
    """Counter-clockwise quarter turns that set a frame upright (phones store a display matrix)."""
    return round(frame.rotation / 90) % 4


def _decoded(path: Path) -> Iterator[av.VideoFrame]:
    """Frames as stored. Raises VideoError when there is none; ends where the file breaks off."""
    count = 0
    with _opened(path) as (container, stream):
        for frame in _until_break(container, stream):
            yield frame
            count += 1
    if not count:
        raise VideoError(path, "no frames")


def _until_break(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    with suppress(av.FFmpegError):
        yield from container.decode(stream)
    with suppress(av.FFmpegError):  # at a break the decoder still holds whole frames
        yield from stream.codec_context.decode(None)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The container and its best video stream, one decoder thread. Raises VideoError."""
    if not path.is_file():
        raise VideoError(path, "missing file")
    if not path.stat().st_size:
        raise VideoError(path, "empty file")
    if not os.access(path, os.R_OK):
        raise VideoError(path, "no permission")
    with _container(path) as container:
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream):
            raise VideoError(path, "no video stream")
        if stream.codec_context is None:
            raise VideoError(path, "unknown codec")
        stream.thread_count = 1
        yield container, stream


def _container(path: Path) -> av.container.InputContainer:
    # The second try reads fragments as they come: in a file that breaks off within the head of one,
    # looking ahead for an index fails.
    for more in ({}, {"fflags": "+ignidx"}):
        # The prefix keeps names such as `concat:a` or `take:2.mp4` from being read as protocols.
        with suppress(av.FFmpegError, UnicodeError):
            return av.open(f"file:{path}", options=_OPTIONS | more)
    raise VideoError(path, "truncated" if _begins_as_mp4(path) else "not a video")


def _begins_as_mp4(path: Path) -> bool:
    """Whether a file that does not open begins as an mp4: then it ends before its index."""
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"
