"""Frames of a video file, the same on every machine: one decoder thread, bit-exact scaling."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import av.container
import av.filter
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from trackssl.errors import InputError
from trackssl.images import Image

# Containers that hold video. FFmpeg would also draw a .txt file as a terminal, read `a%03d.jpg` as
# a sequence and follow a playlist to other files and hosts: files from outside must not do that.
CONTAINERS = (
    "3g2,3gp,asf,avi,dv,flv,gif,h264,hevc,ivf,live_flv,m4v,matroska,mj2,mov,mp4,mpeg,mpegts,"
    "mpegvideo,mxf,nut,ogg,rm,swf,webm,wtv,yuv4mpegpipe"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}

# A damaged header must not make the decoder take gigabytes.
MAX_SIDE_PX = 16_384
MAX_PIXELS = 64_000_000
_LIMIT = {"max_pixels": str(MAX_PIXELS)}

# Without accurate rounding the result depends on the CPU's instructions. The bilinear filter widens
# when it scales down, so that fine patterns fade in place of flickering; the fast one does not.
_SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_TO_BGR = _SCALING | Interpolation.FULL_CHR_H_INT  # else its tables round down: darker by 1 to 2
# FFmpeg's numbers of the colour matrices that swscale takes; it refuses frames of any other.
_MATRICES = (0, 1, 2, 4, 5, 6, 7, 9)
_UNSPECIFIED = 2
# On this pixel format (grey and alpha as floats) swscale aborts the process.
_FATAL_FORMATS = ("yaf32be", "yaf32le")
_STILL = Disposition.attached_pic | Disposition.timed_thumbnails  # cover art is no video

REASONS = (
    "missing file", "empty file", "truncated", "not a video", "no video stream", "no frames",
    "no permission", "unknown codec", "too large",
)  # fmt: skip


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds: sides in pixels as shown, frames a second, seconds, frames.

    `frames` counts what the file stores up to its end or break; `whole` is False at a break.
    `declared_seconds` is what the header says, 0 for nothing; `container` and `codec` are FFmpeg's
    names of the formats.
    """

    width: int
    height: int
    fps: float
    seconds: float
    frames: int
    whole: bool
    declared_seconds: float = 0.0
    container: str = ""
    codec: str = ""


class VideoError(InputError):
    """A file from which no frame can be had; `reason` is one of `REASONS`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: no frame can be read ({reason}); replace or remove the file.")
        self.reason = reason


class Frame:
    """One frame of a video at the wanted size, as planes; its two views are made when asked for.

    A frame keeps about 1.5 bytes a pixel, and each view from the time when it was first asked for.
    """

    def __init__(self, planes: av.VideoFrame, turns: int, scaler: VideoReformatter) -> None:
        """Planar YUV 4:2:0 of full range, and the counter-clockwise quarter turns it still needs.

        `scaler` keeps its tables from frame to frame, so the frames of a video share one.
        """
        self._planes, self._turns, self._scaler = planes, turns, scaler

    @classmethod
    def of(cls, image_bgr: Image) -> "Frame":
        """A frame of an image (H, W, 3) uint8 BGR."""
        frame = cls.__new__(cls)
        frame.bgr = image_bgr
        frame.grey = np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY), np.uint8)
        return frame

    @cached_property
    def grey(self) -> Image:
        """The luma (H, W) uint8, 0 for black and 255 for white, contiguous."""
        plane = self._planes.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        return np.rot90(rows[: plane.height, : plane.width], self._turns).copy()

    @cached_property
    def bgr(self) -> Image:
        """The colours (H, W, 3) uint8 BGR, by the video's own colour matrix, contiguous."""
        scaled = self._scaler.reformat(
            self._planes, format="bgr24", interpolation=_TO_BGR, threads=1
        )
        return np.ascontiguousarray(np.rot90(scaled.to_ndarray(), self._turns))


def read_frames(path: Path, height_px: int, width_px: int) -> Iterator[Frame]:
    """Every frame, stretched to height_px x width_px, in order of presentation.

    None is left out, repeated or invented, whatever the times that the file gives them; interlaced
    ones are deinterlaced. A file that breaks off in the middle ends there. Raises VideoError, an
    InputError that names the file and the reason, when not even one frame can be had.
    """
    scale, to_bgr, count = _Scaler(height_px, width_px), VideoReformatter(), 0
    for frame in _decoded(path):
        planes = scale(frame)
        if planes is None:
            break
        yield Frame(planes, _quarter_turns(frame), to_bgr)
        count += 1
    if not count:
        raise VideoError(path, "no frames")


def probe(path: Path) -> VideoInfo:
    """Decode the first frame and count the others without decoding. Raises VideoError."""
    first = next(_decoded(path))
    stored = shown = end = 0
    whole = True
    with _opened(path) as (container, stream):
        fps = float(stream.average_rate or stream.guessed_rate or 25)
        start = stream.start_time or 0
        try:
            for packet in _demuxed(container, stream):
                whole &= not packet.is_corrupt
                if packet.size and not packet.is_corrupt:
                    stored += 1
                    shown += not packet.is_discard  # cut away by an edit list
                    end = max(end, (packet.pts or 0) + (packet.duration or 0))
        except av.FFmpegError:
            whole = False
        whole &= stored >= stream.frames  # 0 where the header does not say
        seconds = float((end - start) * (stream.time_base or 0))
        declared = max(
            (container.duration or 0) / av.time_base,
            float((stream.duration or 0) * (stream.time_base or 0)),
        )
        formats = container.format.name, stream.codec_context.name
    upright = _quarter_turns(first) % 2 == 0
    width, height = (first.width, first.height) if upright else (first.height, first.width)
    seconds = seconds if seconds > 0 else shown / fps
    return VideoInfo(width, height, fps, seconds, shown, whole, max(declared, 0.0), *formats)


def is_video(path: Path) -> bool:
    """Whether at least one frame can be had."""
    try:
        return next(_decoded(path)) is not None
    except VideoError:
        return False


class _Scaler:
    """Decoded frames of any format -> planar YUV 4:2:0 of full range at the wanted size."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self.sides = (height_px, width_px)
        self.scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame | None:
        """The frame, not turned yet; None where swscale does not know its pixel format."""
        height, width = self.sides if _quarter_turns(frame) % 2 == 0 else self.sides[::-1]
        try:
            scaled = self._scaled(_sound(frame), width, height)
            if scaled.planes[0].line_size < 0:  # stored bottom-up, and taken over as it was
                other = VideoReformatter().reformat(
                    frame, format="yuv444p", interpolation=_SCALING, threads=1
                )
                scaled = self._scaled(other, width, height)
        except (av.FFmpegError, ValueError):
            return None
        return scaled

    def _scaled(self, frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        colours = frame.format.is_rgb or frame.format.has_palette
        return self.scaler.reformat(
            frame,
            width,
            height,
            "yuv420p",
            dst_colorspace=Colorspace.ITU601 if colours else None,
            dst_color_range=ColorRange.JPEG,
            interpolation=_SCALING,
            threads=1,
        )


def _sound(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame with colour tags that swscale takes. Raises ValueError for a fatal format."""
    if frame.format.name in _FATAL_FORMATS:
        raise ValueError(f"swscale cannot take {frame.format.name}")
    if frame.colorspace not in _MATRICES:
        frame.colorspace = _UNSPECIFIED
    if frame.color_range > ColorRange.JPEG:
        frame.color_range = ColorRange.UNSPECIFIED
    return frame


def _quarter_turns(frame: av.VideoFrame) -> int:
    """Counter-clockwise quarter turns that set a frame upright (phones store a display matrix)."""
    return round(frame.rotation / 90) % 4


def _decoded(path: Path) -> Iterator[av.VideoFrame]:
    """Frames as stored. Raises VideoError when there is none; ends where the file breaks off."""
    count = 0
    with _opened(path) as (container, stream):
        for frame in _deinterlaced(_until_break(container, stream)):
            yield frame
            count += 1
    if not count:
        raise VideoError(path, "no frames")


def _until_break(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    with suppress(av.FFmpegError):
        for packet in _demuxed(container, stream):
            yield from packet.decode()
    with suppress(av.FFmpegError):  # at a break the decoder still holds whole frames
        yield from stream.codec_context.decode(None)


def _demuxed(
    container: av.container.InputContainer, stream: av.VideoStream
) -> "Iterator[av.Packet[av.VideoStream]]":
    """The stream's packets; the last is empty and makes the decoder hand out what it still holds.

    Where damage makes further streams appear in mid-file, PyAV 18 raises IndexError at the end.
    """
    with suppress(IndexError):
        yield from container.demux(stream)


def _deinterlaced(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """As many frames in the same order; those flagged as interlaced are made of one moment each."""
    graph: av.filter.Graph | None = None
    kind: tuple[Any, ...] = ()
    for frame in frames:
        new = (frame.width, frame.height, frame.format.name)
        if graph and new != kind:
            yield from _filtered(graph, None)
            graph = None
        if graph is None and frame.interlaced_frame and min(frame.width, frame.height) >= 4:
            graph, kind = _deinterlacer(frame), new
        yield from _filtered(graph, frame) if graph else (frame,)
    if graph:
        yield from _filtered(graph, None)


def _deinterlacer(frame: av.VideoFrame) -> av.filter.Graph:
    """A filter that lets frames pass which are not flagged; it holds one frame back."""
    graph = av.filter.Graph()
    graph.threads = 1
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
        ),
        graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _filtered(graph: av.filter.Graph, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
    """What the filter gives for a frame, and at the end (None) the frames that it still holds."""
    graph.vpush(frame)
    with suppress(av.FFmpegError):
        while True:
            yield graph.vpull()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The container and its best video stream, one decoder thread. Raises VideoError."""
    if not path.is_file():
        raise VideoError(path, "missing file")
    if not path.stat().st_size:
        raise VideoError(path, "empty file")
    if not os.access(path, os.R_OK):
        raise VideoError(path, "no permission")
    with _container(path, _LIMIT) as container:
        stream = container.streams.best("video")
        if stream and stream.disposition & _STILL:
            stream = next((s for s in container.streams.video if not s.disposition & _STILL), None)
        if not isinstance(stream, av.VideoStream):
            raise VideoError(path, "no video stream")
        codec = stream.codec_context
        if codec is None:
            raise VideoError(path, "unknown codec")
        if _too_large(codec.width, codec.height) or (not codec.width and _declared_too_large(path)):
            raise VideoError(path, "too large")
        codec.options = _LIMIT
        codec.thread_count = 1
        yield container, stream


def _too_large(width: int, height: int) -> bool:
    return max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS


def _declared_too_large(path: Path) -> bool:
    """Whether the header names sides over the limit, in place of which FFmpeg gives 0."""
    with _container(path, {"skip_frame": "all"}) as container:
        stream = container.streams.best("video")
        return isinstance(stream, av.VideoStream) and _too_large(stream.width, stream.height)


def _container(path: Path, options: dict[str, str]) -> av.container.InputContainer:
    # The second try reads fragments as they come: in a file that breaks off within the head of one,
    # looking ahead for an index fails.
    for more in ({}, {"fflags": "+ignidx"}):
        # The prefix keeps names such as `concat:a` or `take:2.mp4` from being read as protocols.
        with suppress(av.FFmpegError, UnicodeError):
            return av.open(f"file:{path}", options=_OPTIONS | options | more)
    raise VideoError(path, "truncated" if _begins_as_mp4(path) else "not a video")


def _begins_as_mp4(path: Path) -> bool:
    """Whether a file that does not open begins as an mp4: then it ends before its index."""
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"
