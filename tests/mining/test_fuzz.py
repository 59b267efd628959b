"""Damaged videos: each is mined as far as it can be read, or named with a reason. None crashes."""

import io
import json
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from trackssl.pairs.store import PairShard
from trackssl.videos.decode import REASONS
from trackssl.videos.manifest import read_manifest

FILES = 200
HEIGHT, WIDTH, PATCH = 112, 150, 57
SETTINGS = {
    "frame_height_px": HEIGHT,
    "frame_width_px": WIDTH,
    "patch_px": PATCH,
    "start_every_frames": 24,
    "min_points": 5,
    "min_moving_share": 0.0,
    "max_moving_share": 1.0,
    "min_track_score": 0.0,
    "min_points_kept": 0.0,
}
# A clip of a real video in several containers and codecs: container, video, codec, its options.
SOURCES = (
    ("mp4", "cat", "libx264", {"crf": "18", "preset": "veryfast"}),
    ("mkv", "apple", "libx264", {"crf": "20", "preset": "veryfast", "g": "8"}),
    ("webm", "cat", "libvpx", {"b": "1000000", "deadline": "realtime", "cpu-used": "8"}),
    ("avi", "apple", "mpeg4", {"b": "1000000"}),
    ("ts", "cat", "mpeg2video", {"b": "1000000"}),
)


def encoded(video: Path, container: str, codec: str, options: dict[str, str]) -> bytes:
    """32 frames of a video, from its frame 18 on, at 320x180."""
    data = io.BytesIO()
    name = {"mkv": "matroska", "ts": "mpegts"}.get(container, container)
    with av.open(str(video)) as source, av.open(data, "w", format=name) as target:
        stream = target.add_stream(codec, rate=24, options=options)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.thread_count = 1
        for k, frame in enumerate(islice(source.decode(video=0), 18, 50)):
            small = frame.reformat(320, 180, "yuv420p")
            small.pts, small.time_base = k, Fraction(1, 24)
            target.mux(stream.encode(small))
        target.mux(stream.encode())
    return data.getvalue()


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with one kind of damage: cut off, flipped, zeroed, or with two blocks swapped."""
    data = np.frombuffer(whole, np.uint8).copy()
    kind = rng.integers(5)
    if kind == 0:
        return whole[: rng.integers(1, len(whole))]
    if kind in (1, 2):  # anywhere, or in the first 2 kB, where the headers are
        reach = len(data) if kind == 1 else 2048
        at = rng.integers(0, reach, rng.integers(1, 201 if kind == 1 else 21))
        data[at] ^= rng.integers(1, 256, len(at)).astype(np.uint8)
    else:
        size = int(rng.integers(1, len(data) // 8))
        a, b = (
            rng.integers(0, len(data) // 2 - size),
            rng.integers(len(data) // 2, len(data) - size),
        )
        first, second = data[a : a + size].copy(), data[b : b + size].copy()
        if kind == 3:
            data[b : b + size] = 0
        else:
            data[a : a + size], data[b : b + size] = second, first
    return data.tobytes()


def trackssl(*arguments: object) -> subprocess.CompletedProcess:
    """The command in a process of its own, so that a crash of native code is seen as one.

    All videos together have 2 minutes (they take half a minute on two idle cores): none hangs.
    """
    command = [sys.executable, "-m", "trackssl.cli", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=120, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def fuzzed(real_data, tmp_path_factory):
    """A folder of damaged videos, what was mined of it, and its manifest."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "videos").mkdir()
    wholes = [
        (kind, encoded(real_data / "videos" / f"{video}.mp4", kind, codec, options))
        for kind, video, codec, options in SOURCES
    ]
    for kind, whole in wholes:
        (folder / "videos" / f"whole_{kind}.{kind}").write_bytes(whole)
    for k in range(FILES):
        kind, whole = wholes[k % len(wholes)]
        path = folder / "videos" / f"v{k:03d}.{kind}"
        path.write_bytes(damaged(whole, np.random.default_rng([2015, k])))
    source = {"source": "folder", "folder": str(folder / "videos"), "count": None, "shards": 1}
    done = trackssl(
        "fetch-videos", "--settings", json.dumps(source), "--out", folder / "m.parquet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = trackssl(
        "mine", *sorted((folder / "videos").iterdir()), "--out", folder / "pairs.arrow",
        "--summary", folder / "mined.json", "--settings", json.dumps(SETTINGS),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.real_data
def test_every_damaged_video_is_read_or_has_a_reason(fuzzed):
    rows = {row.video: row for row in read_manifest(fuzzed / "m.parquet")}
    summary = json.loads((fuzzed / "mined.json").read_text())
    assert len(rows) == summary["videos"] + summary["videos_failed"] == FILES + len(SOURCES)
    for row in rows.values():
        assert row.status == "ok" or row.reason in REASONS
        assert row.status == "failed" or (row.reason in ("", "breaks off") and row.width > 0)
    assert set(summary["failed"]) == {row.video for row in rows.values() if row.status == "failed"}
    for video, sentence in summary["failed"].items():
        assert f"({rows[video].reason})" in sentence and "\n" not in sentence
    for kind, *_ in SOURCES:  # those left whole
        row = rows[f"whole_{kind}"]
        assert (row.status, row.reason, row.frames) == ("ok", "", 32)
    kinds = Counter((row.status, row.reason) for row in rows.values())
    assert len(kinds) >= 5 and kinds["ok", ""] > 20 and kinds["ok", "breaks off"] > 5


@pytest.mark.real_data
def test_counts_add_up_over_damaged_videos(fuzzed):
    summary = json.loads((fuzzed / "mined.json").read_text())
    frames = sum(n for name, n in summary.items() if name.startswith("frames_"))
    assert summary["frames_tried"] == frames - summary["frames_tried"]
    assert summary["windows"] == summary["frames_used"]
    tracks = sum(n for name, n in summary.items() if name.startswith("tracks_"))
    assert summary["windows"] == tracks + summary["pairs"]
    assert summary["pairs"] == len(PairShard(fuzzed / "pairs.arrow")) > 10


@pytest.mark.real_data
def test_pairs_of_damaged_videos_are_whole(fuzzed):
    for pair in PairShard(fuzzed / "pairs.arrow"):
        for (x, y, w, h), jpeg in (
            (pair.first_box, pair.first_jpeg),
            (pair.last_box, pair.last_jpeg),
        ):
            assert 0 <= x <= x + w <= WIDTH and 0 <= y <= y + h <= HEIGHT
            patch = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert patch.shape == (h, w, 3)
        assert pair.last_frame == pair.first_frame + 30 and pair.first_frame % 24 == 0
        assert 0 < pair.moving_points <= pair.points and np.isfinite(pair.track_score)


@pytest.mark.real_data
def test_when_no_video_can_be_read_the_error_is_one_sentence(fuzzed):
    rows = read_manifest(fuzzed / "m.parquet")
    unreadable = [row.source for row in rows if row.status == "failed"][:5]
    out = fuzzed / "none.arrow"
    done = trackssl("mine", *unreadable, "--out", out, "--settings", json.dumps(SETTINGS))
    *skipped, error = done.stderr.splitlines()
    assert done.returncode == 2 and not out.exists()
    assert error.startswith("error: ") and len(skipped) == len(unreadable)
    assert all(line.startswith("skipped: ") for line in skipped)
