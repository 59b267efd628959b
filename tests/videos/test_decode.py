import av
import numpy as np
import pytest

from trackssl.errors import InputError
from trackssl.videos import decode
from trackssl.videos.decode import VideoError, frames, frames_at, probe


def reason_of(path) -> str:
    with pytest.raises(VideoError) as caught:
        probe(path)
    with pytest.raises(InputError, match=path.name):
        next(frames(path, 32, 32))
    assert caught.value.reason in decode.REASONS
    return caught.value.reason


@pytest.mark.real_data
def test_a_real_video_yields_every_frame_stretched_to_the_wanted_size(real_data):
    path = real_data / "videos" / "car-shadow.mp4"
    info = probe(path)
    assert (info.width, info.height, info.fps, info.frames) == (854, 480, 24, 40)
    assert info.seconds == pytest.approx(40 / 24) and info.whole
    images = list(frames(path, 448, 600))
    assert len(images) == 40
    for image in images:
        assert image.shape == (448, 600, 3) and image.dtype == np.uint8
        assert image.flags.c_contiguous


@pytest.mark.real_data
def test_frames_that_an_edit_list_cuts_away_are_not_counted(real_data):
    path = real_data / "videos" / "teddy.mp4"
    assert probe(path).frames == sum(1 for _ in frames(path, 32, 32)) == 141
    assert probe(path).whole


def test_colours_are_in_bgr(tmp_path, make_video):
    path = tmp_path / "blue.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        blue = np.zeros((64, 64, 3), np.uint8)
        blue[..., 0] = 255
        container.mux(stream.encode(av.VideoFrame.from_ndarray(blue, "bgr24")))
        container.mux(stream.encode())
    b, g, r = next(frames(path, 64, 64)).mean((0, 1))
    assert b > 230 and g < 25 and r < 25


def test_frames_at_gives_the_same_images_by_index(make_video):
    path = make_video()
    images = list(frames(path, 40, 56))
    found = list(frames_at(path, 40, 56, [17, 3, 99]))
    assert [index for index, _ in found] == [3, 17]
    for index, image in found:
        assert np.array_equal(image, images[index])
    assert list(frames_at(path, 40, 56, [])) == []


def test_frames_at_stops_behind_the_last_wanted_one(make_video, monkeypatch):
    decoded = []
    original = decode._decoded
    monkeypatch.setattr(
        decode, "_decoded", lambda path: (decoded.append(1) or frame for frame in original(path))
    )
    list(frames_at(make_video(), 32, 32, {4}))
    assert len(decoded) == 5


@pytest.mark.parametrize("pix_fmt, width, height", [("yuv444p", 63, 47), ("yuv420p10le", 64, 48)])
def test_odd_sides_and_ten_bits_decode_to_eight(make_video, pix_fmt, width, height):
    path = make_video(width=width, height=height, pix_fmt=pix_fmt)
    assert (probe(path).width, probe(path).height) == (width, height)
    first = next(frames(path, height, width))
    assert first.shape == (height, width, 3)
    ramp = np.linspace(0, 255, width)
    assert np.abs(first.mean((0, 2)) - ramp).mean() < 4


def test_a_video_of_a_turned_phone_is_set_upright(make_video):
    path = make_video()
    data = bytearray(path.read_bytes())
    # The track header's display matrix: (1, 0, 0, 1) becomes a quarter turn clockwise.
    one, minus, zero = (value.to_bytes(4, "big", signed=True) for value in (1 << 16, -1 << 16, 0))
    matrix = one + zero * 3 + one + zero
    at = data.index(matrix, data.index(b"tkhd"))
    data[at : at + 24] = zero + one + zero + minus + zero * 2
    turned = path.with_name("turned.mp4")
    turned.write_bytes(data)
    assert (probe(turned).width, probe(turned).height) == (48, 64)
    upright = next(frames(turned, 64, 48))
    assert np.abs(upright.astype(int) - np.rot90(next(frames(path, 48, 64)), -1)).max() <= 3


@pytest.mark.parametrize("movflags", ["frag_keyframe+empty_moov", "faststart"])
def test_a_video_that_breaks_off_yields_the_frames_before_the_break(make_video, movflags):
    whole = make_video(frames=60, width=320, height=240, muxer={"movflags": movflags})
    data = whole.read_bytes()
    broken = whole.with_name("broken.mp4")
    broken.write_bytes(data[: len(data) * 2 // 3])
    info = probe(broken)
    kept = list(frames(broken, 48, 64))
    assert 10 < len(kept) == info.frames < 60 and not info.whole
    for a, b in zip(kept, frames(whole, 48, 64), strict=False):
        assert np.array_equal(a, b)


def test_half_a_video_without_its_index_is_truncated(make_video):
    path = make_video()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert reason_of(path) == "truncated"


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty file"),
        (b"plain text\n" * 500, "not a video"),
        (b"<html><body>gone</body></html>", "not a video"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n", "not a video"),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", "not a video"),
    ],
)
def test_what_is_no_video_says_so(tmp_path, content, reason):
    path = tmp_path / "fake.mp4"
    path.write_bytes(content)
    assert reason_of(path) == reason


def test_a_text_file_is_never_drawn_as_a_terminal(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello\n" * 500)
    assert not decode.is_video(path)


def test_a_playlist_does_not_lead_to_another_video(make_video):
    target = make_video()
    playlist = target.with_name("list.mp4")
    playlist.write_text(f"#EXTM3U\n#EXTINF:3,\n{target.name}\n#EXT-X-ENDLIST\n")
    assert not decode.is_video(playlist)


def test_sound_without_picture_has_no_video_stream(make_sound):
    assert reason_of(make_sound()) == "no video stream"


def test_a_missing_file_is_named(tmp_path):
    assert reason_of(tmp_path / "absent.mp4") == "missing file"


def test_a_name_that_looks_like_a_protocol_is_a_file(make_video):
    assert probe(make_video("concat:take|2.mp4")).frames == 30


def test_a_codec_that_nobody_knows_is_named(make_video):
    path = make_video()
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert reason_of(path) == "unknown codec"
