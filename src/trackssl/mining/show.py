"""A film of what the miner does: points, windows, tracks, and why the others were rejected."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from trackssl.config import Mining
from trackssl.errors import InputError
from trackssl.files import whole_file
from trackssl.images import Image
from trackssl.lettering import Colour, shortened, text_width, write_text_on
from trackssl.mining import miner
from trackssl.mining.miner import (
    FRAME_REASONS,
    TRACK_REASONS,
    Clip,
    ClipFrame,
    Examined,
    Track,
    Window,
)
from trackssl.pairs.store import Box
from trackssl.videos.decode import Frame, probe, read_frames

MAIN = ("frames_tried", "windows", "pairs")
FADE_FRAMES = 10
SHOWN_PAIRS = 2
PICTURE_PX = 672  # height that the frames are enlarged to, about
STRIP_PX, PATCH_PX, MARGIN_PX = 140, 90, 16
_ENCODER = {"preset": "veryfast", "crf": "20", "threads": "1"}

NOTHING = np.empty((0, 4), np.float32), np.empty(0, bool)
PAPER, INK, QUIET, RED = (28, 24, 22), (240, 240, 240), (160, 155, 150), (90, 90, 255)
STILL, MOVING = (170, 170, 170), (0, 190, 255)
COLOURS: tuple[Colour, ...] = (
    (255, 229, 60), (180, 105, 255), (110, 255, 130), (255, 150, 175), (120, 170, 255),
)  # fmt: skip


@dataclass(frozen=True)
class _Followed:
    """A window and its track, numbered in the order of the windows."""

    number: int
    window: Window
    track: Track
    patch: Image  # what the window holds, small

    @property
    def last(self) -> int:
        """Frame of the last box."""
        return self.window.first_frame + len(self.track.boxes) - 1

    @property
    def colour(self) -> Colour:
        return COLOURS[(self.number - 1) % len(COLOURS)]

    def text(self, number: int) -> str:
        """What stands at the box in frame `number`."""
        age, track = number - self.window.first_frame, self.track
        if age == 0:
            return f"#{self.number}  window with {self.window.moving_points} moving points"
        if number < self.last:
            return f"#{self.number}  {track.scores[age - 1]:.1f}"
        if track.reason is None:
            return f"#{self.number}  pair, lowest score {track.score:.1f}"
        why = f" at {track.score:.1f}" if track.reason == "lost" else ""
        if track.kept is not None:
            why = f", {track.kept:.0%} of points kept"
        return f"#{self.number}  {_words(track.reason)}{why}"


def show_mining(
    video: Path,
    out: Path,
    settings: Mining,
    max_frames: int | None = None,
    speed: float = 0.5,
) -> Counter[str]:
    """Write an H.264 film (mp4, yuv420p) of a video's mining, frame by frame -> counts by reason.

    It shows what `miner.examine` and `miner.follow` return and holds a clip at a time. `speed` 1 is
    the video's own. Raises InputError for a video without frames, and for another ending than mp4.
    """
    if out.suffix.lower() != ".mp4":
        raise InputError(f"{out}: the film is an mp4; let the name of --out end in .mp4.")
    rate = Fraction(max(probe(video).fps * speed, 1)).limit_denominator(1001)
    shown = read_frames(video, settings.frame_height_px, settings.frame_width_px)
    painter = _Painter(video.name, settings)
    with whole_file(out) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options=_ENCODER)
        stream.pix_fmt = "yuv420p"
        stream.height, stream.width = painter.sides
        for number, clip in _clips(islice(shown, max_frames), settings.track_frames + 1):
            painter.look(number, clip)
            picture = av.VideoFrame.from_ndarray(painter.paint(number, clip), "bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return painter.counts


def _clips(frames: Iterable[Frame], length: int) -> Iterator[tuple[int, Clip]]:
    """Each frame's number and the clip that begins with it; the last clips are shorter."""
    clip: deque[ClipFrame] = deque()
    number = 0
    for frame in frames:
        clip.append(ClipFrame(frame))
        if len(clip) == length:
            yield number, clip
            clip.popleft()
            number += 1
    while clip:
        yield number, clip
        clip.popleft()
        number += 1


class _Painter:
    """Follows the miner through a video and paints its frames; keeps only what is still shown."""

    def __init__(self, video: str, settings: Mining) -> None:
        self.video, self.settings = video, settings
        self.counts: Counter[str] = Counter()
        height, width = settings.frame_height_px, settings.frame_width_px
        self._zoom = max(1.0, round(2 * PICTURE_PX / height) / 2)
        self._height = round(height * self._zoom) // 2 * 2
        self._width = round(width * self._zoom) // 2 * 2
        self._followed: list[_Followed] = []
        self._pairs: deque[tuple[_Followed, Image]] = deque(maxlen=SHOWN_PAIRS)
        self._examined: tuple[int, Examined] | None = None

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the pictures, both even."""
        return self._height + STRIP_PX, self._width

    def look(self, number: int, clip: Clip) -> None:
        """Let the miner try frame `number`, if it does, and follow what it finds."""
        if number % self.settings.start_every_frames:
            return
        self.counts["frames_tried"] += 1
        found = Examined(*NOTHING, reason="near_end")
        if len(clip) > self.settings.track_frames:
            found = miner.examine(clip, number, self.settings)
        self._examined = (number, found)
        self.counts[f"frames_{found.reason or 'used'}"] += 1
        for window in found.windows:
            self.counts["windows"] += 1
            track = miner.follow(window, clip, self.settings)
            patch = _patch(clip[0].bgr, window.box)
            self._followed.append(_Followed(self.counts["windows"], window, track, patch))

    def paint(self, number: int, clip: Clip) -> Image:
        """The picture of frame `number`, the clip's first."""
        image = clip[0].bgr
        for item in self._followed:
            if item.last == number and item.track.reason is not None:
                self.counts[f"tracks_{item.track.reason}"] += 1
            elif item.last == number:
                self.counts["pairs"] += 1
                self._pairs.append((item, _patch(image, item.track.boxes[-1])))
        sides = (self._width, self._height)
        picture = np.asarray(cv2.resize(image, sides, interpolation=cv2.INTER_CUBIC), np.uint8)
        if self._examined is not None and number - self._examined[0] < FADE_FRAMES:
            self._paint_examined(picture, number, *self._examined)
        for item in self._followed:
            self._paint_followed(picture, item, number)
        self._followed = [f for f in self._followed if number < f.last + FADE_FRAMES]
        return np.concatenate([picture, self._strip(number)])

    def _paint_examined(self, picture: Image, number: int, first: int, found: Examined) -> None:
        painted, strength = picture.copy(), _fading(number - first)
        for moves, colour, radius in ((False, STILL, 2.5), (True, MOVING, 3.5)):
            for x, y in found.points[found.moving == moves][:, :2]:
                centre = _fixed((x + 0.5) * self._zoom, (y + 0.5) * self._zoom)
                cv2.circle(painted, centre, int(16 * radius), colour, -1, cv2.LINE_AA, 4)
                if moves:
                    cv2.circle(painted, centre, int(16 * radius), PAPER, 1, cv2.LINE_AA, 4)
        cv2.addWeighted(painted, strength, picture, 1 - strength, 0, picture)
        if found.reason is not None:
            ahead = f" within {self.settings.track_frames} frames" if found.reason == "cut" else ""
            why = f"{_words(found.reason)}{ahead}{_share(found.moving)}"
            text = f"frame {first} rejected: {why}"
            _tag(picture, (MARGIN_PX, MARGIN_PX), text, RED, strength, 18)

    def _paint_followed(self, picture: Image, item: _Followed, number: int) -> None:
        seen = item.track.boxes[: number - item.window.first_frame + 1]
        boxes = [[v * self._zoom for v in box] for box in seen]
        x, y, w, h = boxes[-1]
        over = number - item.last
        colour = RED if over >= 0 and item.track.reason is not None else item.colour
        painted, strength = picture.copy(), _fading(over)
        middles = np.array([_fixed(bx + bw / 2, by + bh / 2) for bx, by, bw, bh in boxes])
        for thickness, ink in ((5, PAPER), (2, colour)):
            cv2.polylines(painted, [middles], False, ink, thickness, cv2.LINE_AA, 4)
            cv2.rectangle(
                painted, _fixed(x, y), _fixed(x + w, y + h), ink, thickness, cv2.LINE_AA, 4
            )
        cv2.addWeighted(painted, strength, picture, 1 - strength, 0, picture)
        _tag(picture, (x, y), item.text(min(number, item.last)), colour, strength)

    def _strip(self, number: int) -> Image:
        """What stands below the frame: counts, legend and the last pairs."""
        strip = np.full((STRIP_PX, self._width, 3), PAPER, np.uint8)
        left = self._width - SHOWN_PAIRS * (2 * PATCH_PX + MARGIN_PX + 2)
        room = left - 2 * MARGIN_PX
        write_text_on(strip, (MARGIN_PX, 32), f"frame {number}", INK, 20, bold=True)
        name_at = MARGIN_PX + text_width("frame 00000 ", 20, bold=True)
        name = shortened(self.video, room - name_at + MARGIN_PX, 14)
        write_text_on(strip, (name_at, 32), name, QUIET, 14)
        main = [f"{_words(key)} {self.counts[key]}" for key in MAIN]
        write_text_on(strip, (MARGIN_PX, 58), "  ·  ".join(main), INK, 15)
        for y, what, reasons in ((80, "frames", FRAME_REASONS), (99, "tracks", TRACK_REASONS)):
            counted = [(r, self.counts[f"{what}_{r}"]) for r in reasons]
            listed = "  ·  ".join(f"{_words(r)} {n}" for r, n in counted if n)
            text = shortened(f"{what} rejected:  {listed or 'none'}", room, 12)
            write_text_on(strip, (MARGIN_PX, y), text, RED if listed else QUIET, 12)
        x = float(MARGIN_PX)
        for colour, radius, text in ((STILL, 3, "still point"), (MOVING, 5, "moving point")):
            cv2.circle(strip, _fixed(x + 5, 121), 16 * radius, colour, -1, cv2.LINE_AA, 4)
            write_text_on(strip, (x + 16, 126), text, QUIET, 13)
            x += 34 + text_width(text, 13)
        cv2.rectangle(strip, _fixed(x, 114), _fixed(x + 14, 128), COLOURS[0], 2, cv2.LINE_AA, 4)
        write_text_on(strip, (x + 22, 126), "track and score", QUIET, 13)
        for place, (item, last) in enumerate(self._pairs):
            x0 = left + place * (2 * PATCH_PX + MARGIN_PX + 2)
            text = f"#{item.number}  {item.track.score:.1f}"
            write_text_on(strip, (x0, 24), text, item.colour, 14, bold=True)
            for patch in (item.patch, last):
                strip[34 : 34 + PATCH_PX, x0 : x0 + PATCH_PX] = patch
                x0 += PATCH_PX + 2
        return strip


def _words(reason: str) -> str:
    """A count's name as words: `frames_few_points` as "few points"."""
    return reason.removeprefix("frames_").removeprefix("tracks_").replace("_", " ")


def _share(moving: NDArray[np.bool_]) -> str:
    """How many of a frame's points move, in brackets, if that is known."""
    count, points = int(np.count_nonzero(moving)), len(moving)
    return f" ({count} of {points} points move, {count / points:.0%})" if points else ""


def _fading(age: int) -> float:
    """Opacity of what happened `age` frames ago."""
    return min(1.0, max(0.0, 1 - age / FADE_FRAMES))


def _fixed(x: float, y: float) -> tuple[int, int]:
    """A place for OpenCV's drawing, in sixteenths of a pixel."""
    return round(16 * float(x)), round(16 * float(y))


def _patch(image: Image, box: Box) -> Image:
    """What lies in a box, as a small square; beyond the frame its edge is repeated."""
    x, y, w, h = box
    scale = np.array([[w / PATCH_PX, 0, x], [0, h / PATCH_PX, y]], np.float32)
    flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    soft = cv2.GaussianBlur(image, (0, 0), max(0.3, w / PATCH_PX / 2.5))
    small = cv2.warpAffine(
        soft, scale, (PATCH_PX, PATCH_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(small, np.uint8)


def _tag(
    picture: Image,
    place: tuple[float, float],
    text: str,
    colour: Colour,
    strength: float,
    size_px: int = 15,
) -> None:
    """Dark text on a coloured label, its top left at `place` or as near as fits."""
    height, width = size_px + 10, text_width(text, size_px, bold=True) + 14
    x = max(min(round(place[0]), picture.shape[1] - width), 0)
    y = max(min(round(place[1]), picture.shape[0] - height), 0)
    label = picture[y : y + height, x : x + width]
    label[:] = np.rint(label * (1 - strength) + strength * np.array(colour, np.float32))
    write_text_on(picture, (x + 7, y + size_px + 3), text, PAPER, size_px, True, strength)
