import weakref
from collections import Counter
from itertools import islice

import av
import cv2
import numpy as np
import pytest

from trackssl.config import Mining
from trackssl.errors import InputError
from trackssl.mining import miner, show
from trackssl.mining.show import COLOURS, STRIP_PX, show_mining
from trackssl.miniworld.videos import render_video
from trackssl.videos.decode import read_frames

SMALL = Mining(frame_height_px=224, frame_width_px=300, patch_px=113)
DRAWN = Mining(frame_height_px=240, frame_width_px=320, patch_px=96)
ZOOM = 3  # from 224 px to what is shown


def film(path) -> tuple[list[np.ndarray], av.VideoStream]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(stream)], stream


def counted(path, settings) -> Counter[str]:
    counts = Counter[str]()
    shown = read_frames(path, settings.frame_height_px, settings.frame_width_px)
    list(miner.mine_pairs(shown, path.stem, settings, counts))
    return +counts


@pytest.fixture(scope="module")
def shown(real_data, tmp_path_factory):
    """A real video, its film and what the film counted."""
    video = real_data / "videos" / "cat.mp4"
    out = tmp_path_factory.mktemp("film") / "cat.mp4"
    return video, out, show_mining(video, out, SMALL)


@pytest.mark.real_data
def test_the_film_counts_what_the_miner_counts(shown):
    video, _, counts = shown
    assert +counts == counted(video, SMALL)
    assert counts["windows"] >= 1 and counts["frames_near_end"] >= 1


@pytest.mark.parametrize("reason", [None, *miner.TRACK_REASONS])
@pytest.mark.parametrize("kept", [None, 0.25])
def test_every_end_of_a_track_has_its_words(reason, kept):
    window = miner.Window(6, 10, 20, 96, 96, 100, 40, ())
    track = miner.Track([window.box] * 3, [9.0, 4.5], kept, reason)
    followed = show._Followed(2, window, track, np.zeros((8, 8, 3), np.uint8))
    assert "40 moving points" in followed.text(6) and "9.0" in followed.text(7)
    assert (reason or "pair").replace("_", " ") in followed.text(8)


@pytest.mark.real_data
def test_browsers_can_play_the_film_and_it_shows_every_frame(shown):
    video, out, _ = shown
    pictures, stream = film(out)
    assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
    assert stream.average_rate == pytest.approx(10, rel=0.01)  # half the video's own
    given = list(read_frames(video, 224, 300))
    assert len(pictures) == len(given)
    for picture, frame in islice(zip(pictures, given, strict=True), 15, 18):
        assert picture.shape == (ZOOM * 224 + STRIP_PX, ZOOM * 300, 3)
        small = cv2.resize(picture[: ZOOM * 224], (300, 224), interpolation=cv2.INTER_AREA)
        assert np.median(cv2.absdiff(small, frame.bgr)) < 6


@pytest.mark.real_data
def test_boxes_are_painted_where_the_miner_has_them(shown):
    video, out, _ = shown
    pictures, _ = film(out)
    clips = miner.clips(read_frames(video, 224, 300), SMALL, Counter())
    first, track = next(
        (first, miner.follow(window, clip, SMALL))
        for first, clip in clips
        for window in miner.examine(clip, first, SMALL).windows
    )
    assert len(track.boxes) > 5
    for age in (0, 5):
        x, y, _, h = (ZOOM * value for value in track.boxes[age])
        left = pictures[first + age][round(y + h / 2) : round(y + h) - 10, round(x)]
        visible = left[np.abs(left.astype(int) - COLOURS[0]).max(axis=1) < 60]
        assert len(visible) > 0.9 * len(left)


def test_a_film_of_the_drawn_world_ends_where_asked(tmp_path):
    video, out = tmp_path / "drawn.mp4", tmp_path / "out.mp4"
    render_video(video, 5, 3)
    counts = show_mining(video, out, DRAWN, max_frames=40, speed=1)
    pictures, stream = film(out)
    assert len(pictures) == 40 and stream.average_rate == 24
    assert counts["frames_tried"] == 3 and counts["frames_near_end"] == 2


def test_frames_in_memory_do_not_grow_with_the_video(tmp_path, monkeypatch):
    video, given, most = tmp_path / "drawn.mp4", [], 0
    render_video(video, 5, 3)

    class Watched(miner.ClipFrame):
        def __init__(self, frame):
            nonlocal most
            super().__init__(frame)
            given.append(weakref.ref(self))
            most = max(most, sum(reference() is not None for reference in given))

    monkeypatch.setattr(show, "ClipFrame", Watched)
    settings = Mining(**DRAWN.model_dump() | {"track_frames": 5})
    show_mining(video, tmp_path / "out.mp4", settings, max_frames=50)
    assert len(given) == 50 and most <= 7


def test_what_fails_leaves_no_film(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(InputError, match=r"text\.mp4"):
        show_mining(text, tmp_path / "out.mp4", DRAWN)
    with pytest.raises(InputError, match=r"end in \.mp4"):
        show_mining(text, tmp_path / "out.avi", DRAWN)
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]
