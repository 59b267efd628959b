import hashlib
import subprocess
import sys
from itertools import islice, pairwise

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from trackssl.errors import InputError
from trackssl.videos import decode
from trackssl.videos.decode import Frame, VideoError, probe, read_frames

# Black, white, grey, red, green, blue in BGR, and their luma as ITU-R BT.601 weighs it.
COLOURS = ((0, 0, 0), (255, 255, 255), (128, 128, 128), (0, 0, 255), (0, 255, 0), (255, 0, 0))
LUMA = (0, 255, 128, 76, 150, 29)


def chart() -> np.ndarray:
    """The six colours side by side, each 32 px wide (64, 192, 3)."""
    return np.repeat(np.tile(np.array(COLOURS, np.uint8), (64, 1, 1)), 32, 1)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def reason_of(path) -> str:
    with pytest.raises(VideoError) as caught:
        probe(path)
    with pytest.raises(InputError, match=path.name):
        next(read_frames(path, 32, 32))
    assert caught.value.reason in decode.REASONS
    return caught.value.reason


@pytest.mark.real_data
def test_a_real_video_yields_every_frame_stretched_to_the_wanted_size(real_data):
    path = real_data / "videos" / "car-shadow.mp4"
    info = probe(path)
    assert (info.width, info.height, info.fps, info.frames) == (854, 480, 24, 40)
    assert info.seconds == pytest.approx(40 / 24) and info.whole
    found = list(read_frames(path, 448, 600))
    assert len(found) == 40
    for frame in found:
        for view, shape in ((frame.grey, (448, 600)), (frame.bgr, (448, 600, 3))):
            assert view.shape == shape and view.dtype == np.uint8 and view.flags.c_contiguous


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name, sides",
    [("breakdance", (448, 600)), ("05_default_juggle", (448, 600)), ("cat", (113, 151))],
)
def test_both_views_show_what_another_way_of_scaling_shows(real_data, name, sides):
    path = real_data / "videos" / f"{name}.mp4"
    with av.open(str(path)) as container:
        originals = list(islice(container.decode(video=0), 5))
    for original, frame in zip(originals, read_frames(path, *sides), strict=False):
        full = original.to_ndarray(format="bgr24")
        expected = cv2.resize(full, sides[::-1], interpolation=cv2.INTER_AREA)
        assert distance(frame.bgr, expected) < 4
        blue, green, red = (frame.bgr[..., k].astype(float) for k in range(3))
        weights = (0.0722, 0.7152, 0.2126) if original.colorspace == 1 else (0.114, 0.587, 0.299)
        luma = weights[0] * blue + weights[1] * green + weights[2] * red
        assert distance(frame.grey, luma) < 1 and abs((frame.grey - luma).mean()) < 0.2


@pytest.mark.real_data
def test_frames_as_bgr_arrays_are_the_same_pictures(real_data):
    path = real_data / "videos" / "breakdance.mp4"
    with av.open(str(path)) as container:
        pairs = zip(container.decode(video=0), read_frames(path, 448, 600), strict=True)
        for plain, frame in islice(pairs, 0, 40, 8):
            image = plain.to_ndarray(format="bgr24", width=600, height=448)
            assert distance(image, frame.bgr) < 3
            assert distance(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), frame.grey) < 4


@pytest.mark.real_data
def test_frames_that_an_edit_list_cuts_away_are_not_counted(real_data):
    path = real_data / "videos" / "teddy.mp4"
    assert probe(path).frames == sum(1 for _ in read_frames(path, 32, 32)) == 141
    assert probe(path).whole


@pytest.mark.parametrize(
    "name, codec, pix_fmt",
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mp4", "libx264", "yuvj420p"),
        ("a.mp4", "libx264", "yuv422p"),
        ("a.mp4", "libx264", "yuv444p"),
        ("a.mp4", "libx264", "yuv420p10le"),
        ("a.mp4", "libx265", "yuv420p10le"),
        ("a.mkv", "libx264rgb", "rgb24"),
        ("a.mkv", "ffv1", "bgr0"),
        ("a.mov", "prores_ks", "yuv422p10le"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.avi", "rawvideo", "bgr24"),
        ("a.mov", "png", "rgb24"),
    ],
)
def test_colours_and_luma_come_out_of_every_format(encode, name, codec, pix_fmt):
    # Frames out of order: this x265 now and then ends with a packet without a time.
    x265 = {"x265-params": "log-level=none:bframes=0"}
    options = x265 if codec == "libx265" else {}
    image = chart()
    image[:16] = 0  # a band on top shows which side is up
    path = encode(name, [image] * 2, codec, pix_fmt, options)
    first, _ = read_frames(path, 64, 192)
    middles = slice(16, None, 32)
    assert np.abs(first.grey[40, middles].astype(int) - LUMA).max() <= 6
    assert np.abs(first.bgr[40, middles].astype(int) - COLOURS).max() <= 6
    assert first.grey[4].max() <= 6 and first.bgr[4].max() <= 6


def test_a_picture_stored_bottom_up_is_read_within_its_memory(tmp_path):
    path = tmp_path / "flipped.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=10)
        stream.width, stream.height, stream.pix_fmt = 192, 64, "yuv420p"
        stream.codec_context.color_range = 2  # as the result's, so that nothing is to be scaled
        stream.codec_context.extradata = b"BottomUp\0"
        rows = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[:, None], 192, 1)
        planes = np.concatenate([rows, np.full((32, 192), 128, np.uint8)])
        frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
        frame.color_range = 2
        container.mux([*stream.encode(frame), *stream.encode()])
    (found,) = read_frames(path, 64, 192)
    assert np.array_equal(found.grey, rows[::-1])


def test_grey_video_keeps_its_levels(encode):
    path = encode("grey.mkv", [chart()], "ffv1", "gray")
    (frame,) = read_frames(path, 64, 192)
    assert np.abs(frame.grey[32, 16::32].astype(int) - LUMA).max() <= 1
    assert np.array_equal(frame.bgr, np.repeat(frame.grey[..., None], 3, 2))


@pytest.mark.parametrize("matrix", ["bt709", "bt2020nc", "bt2020c", "ycgco", "gbr"])
def test_whatever_colour_matrix_a_file_names_its_frames_can_be_had(encode, matrix):
    path = encode("a.mp4", [chart()], options={"x264-params": f"colormatrix={matrix}"})
    (frame,) = read_frames(path, 64, 192)
    assert (frame.bgr[32, 16::32].argmax(1)[3:] == (2, 1, 0)).all()


@pytest.mark.parametrize("sides", [(113, 151), (112, 150), (241, 323), (240, 320), (1, 1), (3, 2)])
def test_odd_sides_lose_no_row_no_column_and_no_colour(encode, sides):
    image = cv2.resize(chart(), (161, 121), interpolation=cv2.INTER_LINEAR)
    path = encode("odd.mkv", [image], "ffv1", "yuv444p")
    assert (probe(path).width, probe(path).height) == (161, 121)
    (frame,) = read_frames(path, *sides)
    assert frame.grey.shape == sides and frame.bgr.shape == (*sides, 3)
    expected = cv2.resize(image, sides[::-1], interpolation=cv2.INTER_AREA)
    if min(sides) > 100:
        assert distance(frame.bgr, expected) < 3
        assert (
            distance(frame.bgr[-1], expected[-1]) < 3
        )  # the last row, whose chroma is half of one
        assert distance(frame.bgr[:, -1], expected[:, -1]) < 3
    assert distance(frame.grey, cv2.cvtColor(frame.bgr, cv2.COLOR_BGR2GRAY)) < 1


def test_fine_stripes_fade_when_they_are_scaled_down(encode):
    image = np.zeros((720, 1280, 3), np.uint8)
    image[:, ::2] = 255
    (frame,) = read_frames(encode("a.mkv", [image], "ffv1", "gray"), 448, 600)
    assert abs(frame.grey[:, 4:-4].mean() - 128) < 2 and frame.grey[:, 4:-4].std() < 12


@pytest.mark.parametrize(
    "layout, pix_fmt, shape, digests",
    [
        ("yuv420p", "yuv420p", (45, 40), ("174d22a7e1537a7a", "05a674dc9eef91be")),
        ("bgr24", "bgr0", (30, 40, 3), ("f9f6cc11de7d6ab0", "b12625d88da5f640")),
    ],
)
def test_pixels_are_the_same_on_every_machine(encode, layout, pix_fmt, shape, digests):
    """The expected digests hold with all of a CPU's vector instructions and with none."""
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8).repeat(8, 0).repeat(8, 1)
    path = encode("a.mkv", [noise], "ffv1", pix_fmt, layout=layout)
    (frame,) = read_frames(path, 113, 151)
    found = tuple(hashlib.sha256(view).hexdigest()[:16] for view in (frame.grey, frame.bgr))
    assert found == digests


def test_a_frame_of_an_image_has_its_pixels():
    image = chart()
    frame = Frame.of(image)
    assert np.array_equal(frame.bgr, image)
    assert np.array_equal(frame.grey, cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def test_a_view_is_made_once(make_video):
    frame = next(read_frames(make_video(), 32, 32))
    assert frame.grey is frame.grey and frame.bgr is frame.bgr


def test_frames_stay_as_they_are_when_later_ones_are_decoded(make_video):
    path = make_video()
    kept = list(read_frames(path, 48, 64))  # of the video's own size: nothing to be scaled
    for old, new in zip(kept, read_frames(path, 48, 64), strict=True):
        assert np.array_equal(old.grey, new.grey) and np.array_equal(old.bgr, new.bgr)
    assert distance(kept[0].grey, kept[1].grey) > 10


@pytest.mark.parametrize("at", [[0, 1, 2, 500, 501, 502, 4000, 4040], [0, 900, 910, 1000, 9000]])
def test_irregular_times_neither_add_nor_drop_frames(encode, at):
    images = [np.full((48, 64, 3), 30 * k, np.uint8) for k in range(len(at))]
    path = encode("uneven.mkv", images, options={"crf": "10"}, at=at)
    levels = [frame.grey.mean() for frame in read_frames(path, 48, 64)]
    assert np.allclose(levels, [30 * k for k in range(len(at))], atol=3)
    assert probe(path).frames == len(at)


def combed(frames: int = 8) -> list[np.ndarray]:
    """A bar that moves by 6 px a field, the fields of two moments woven into each frame."""
    images = [np.full((96, 128, 3), 40, np.uint8) for _ in range(frames)]
    for moment in range(2 * frames):
        x = 10 + 6 * moment
        images[moment // 2][moment % 2 :: 2, x : x + 24] = 210
    return images


def combing(grey: np.ndarray) -> float:
    rows = grey.astype(int)
    return float(np.abs(2 * rows[1:-1] - rows[:-2] - rows[2:]).mean())


@pytest.mark.parametrize(
    "name, codec, options",
    [
        ("a.mp4", "libx264", {"crf": "8", "x264-params": "tff=1"}),
        ("a.ts", "mpeg2video", {"flags": "+ildct+ilme", "b": "4000000"}),
    ],
)
def test_interlaced_frames_are_deinterlaced_and_as_many(encode, name, codec, options):
    path = encode(name, combed(), codec, options=options)
    with av.open(str(path)) as container:
        stored = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    found = list(read_frames(path, 96, 128))
    assert len(found) == len(stored) == 8
    for grey, frame in zip(stored, found, strict=True):
        assert combing(grey) > 20 and combing(frame.grey) < 3
    bars = [frame.grey[48].argmax() for frame in found]
    assert all(10 <= b - a <= 14 for a, b in pairwise(bars))


def test_frames_not_flagged_as_interlaced_are_left_alone(encode):
    path = encode("a.mp4", combed(), options={"crf": "8"})
    assert min(combing(frame.grey) for frame in read_frames(path, 96, 128)) > 20


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_video_of_a_turned_phone_is_set_upright(make_video, encode, rotation):
    path = make_video()
    image = next(read_frames(path, 48, 64))
    turned = encode("turned.mp4", [image.bgr] * 3, options={"crf": "4"}, rotation=rotation)
    expected = np.rot90(image.grey, rotation // 90)
    assert (probe(turned).height, probe(turned).width) == expected.shape
    for frame in read_frames(turned, *expected.shape):
        assert distance(frame.grey, expected) < 2
        assert distance(frame.bgr, np.rot90(image.bgr, rotation // 90)) < 3
        assert frame.grey.flags.c_contiguous and frame.bgr.flags.c_contiguous


def test_a_change_of_resolution_in_mid_stream_changes_nothing(make_video):
    small, large = make_video("a.ts"), make_video("b.ts", width=160, height=120)
    small.write_bytes(small.read_bytes() + large.read_bytes())
    found = list(read_frames(small, 48, 64))
    assert len(found) == 60 and {frame.bgr.shape for frame in found} == {(48, 64, 3)}
    assert distance(found[0].grey, found[30].grey) < 6


def test_a_change_of_resolution_in_interlaced_video_loses_no_frame(encode):
    options = {"x264-params": "tff=1"}
    path = encode("a.ts", combed(), options=options)
    doubled = [cv2.resize(image, (256, 192)) for image in combed()]
    path.write_bytes(path.read_bytes() + encode("b.ts", doubled, options=options).read_bytes())
    assert len(list(read_frames(path, 48, 64))) == 16


@pytest.mark.parametrize("movflags", ["frag_keyframe+empty_moov", "faststart"])
def test_a_video_that_breaks_off_yields_the_frames_before_the_break(make_video, movflags):
    whole = make_video(frames=60, width=320, height=240, muxer={"movflags": movflags})
    data = whole.read_bytes()
    broken = whole.with_name("broken.mp4")
    broken.write_bytes(data[: len(data) * 2 // 3])
    info = probe(broken)
    kept = list(read_frames(broken, 48, 64))
    assert 10 < len(kept) == info.frames < 60 and not info.whole
    for a, b in zip(kept, read_frames(whole, 48, 64), strict=False):
        assert np.array_equal(a.grey, b.grey)


def test_a_video_of_one_frame_has_one(make_video):
    path = make_video(frames=1)
    assert len(list(read_frames(path, 48, 64))) == probe(path).frames == 1


def test_a_video_without_any_frame_says_so(make_video):
    path = make_video(muxer={"movflags": "frag_keyframe+empty_moov"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moof") - 4])
    assert reason_of(path) == "no frames"


def test_a_frame_larger_than_any_real_one_is_refused(encode):
    path = encode("a.avi", [chart()], "ffvhuff", "yuv420p")
    data = path.read_bytes()
    at = data.index(b"strf") + 8 + 4  # width and height of the stream's bitmap header
    for width, height in ((40_000, 64), (9_000, 9_000)):
        sides = width.to_bytes(4, "little") + height.to_bytes(4, "little")
        path.write_bytes(data[:at] + sides + data[at + 8 :])
        assert reason_of(path) == "too large"


def test_a_damaged_frame_header_takes_no_gigabytes(encode):
    path = encode("a.webm", [chart()], "libvpx")
    data = path.read_bytes()
    at = data.index(b"\x9d\x01\x2a") + 3  # a VP8 key frame's sides, 14 bits each
    path.write_bytes(data[:at] + b"\xff\x3f\xff\x3f" + data[at + 4 :])
    assert reason_of(path) == "no frames"
    script = (
        "import resource, sys; from pathlib import Path; from trackssl.videos import decode\n"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before = used(); decode.is_video(Path(sys.argv[1])); print(used() - before)"
    )
    command = [sys.executable, "-c", script, str(path)]
    grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(grown) < 100  # MiB; the frame would take 400


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


@pytest.mark.parametrize(
    "name, codec, reason",
    [("a.mp4", "aac", "no video stream"), ("a.mp3", "libmp3lame", "not a video")],
)
def test_cover_art_is_no_video(tmp_path, name, codec, reason):
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        sound = container.add_stream(codec, rate=44100)
        art = container.add_stream("mjpeg")
        art.width, art.height, art.pix_fmt = 192, 64, "yuvj420p"
        art.disposition = Disposition.attached_pic
        image = av.VideoFrame.from_ndarray(chart(), "bgr24").reformat(format="yuvj420p")
        container.mux([*art.encode(image), *art.encode()])
        for k in range(20):
            silence = np.zeros((1, 1152), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.rate, frame.pts = 44100, 1152 * k
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    assert reason_of(path) == reason and not decode.is_video(path)


def test_a_missing_file_is_named(tmp_path):
    assert reason_of(tmp_path / "absent.mp4") == "missing file"


def test_a_name_that_looks_like_a_protocol_is_a_file(make_video):
    assert probe(make_video("concat:take|2.mp4")).frames == 30


def test_a_codec_that_nobody_knows_is_named(make_video):
    path = make_video()
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert reason_of(path) == "unknown codec"
