import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from trackssl.config import Mining
from trackssl.errors import InputError
from trackssl.mining import commands, shards, stages
from trackssl.pairs.store import PairShard

SMALL = Mining(frame_height_px=224, frame_width_px=300, patch_px=113)
VIDEOS = ("car-shadow", "camel", "libby")

app = typer.Typer()
commands.register(app)


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_manifest(path, files):
    rows = [
        {"video": f.stem, "status": "ok", "path": str(f), "sha256": shards.file_sha256(f)}
        for f in files
    ]
    pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def mined(real_data, tmp_path_factory):
    """The manifest, windows and pairs of three real videos at half the paper's size."""
    folder = tmp_path_factory.mktemp("mined")
    files = [real_data / "videos" / f"{name}.mp4" for name in VIDEOS]
    manifest = write_manifest(folder / "m.parquet", files)
    settings = ("--settings", SMALL.model_dump_json())
    first = call(
        "mine-patches", "--manifest", manifest, "--out", folder / "p.parquet",
        "--summary", folder / "p.json", "--progress", folder / "kept", *settings,
    )  # fmt: skip
    assert first.exit_code == 0, first.output
    second = call(
        "track-patches", "--patches", folder / "p.parquet", "--manifest", manifest,
        "--out", folder / "pairs.arrow", "--summary", folder / "pairs.json",
        "--progress", folder / "kept", *settings,
    )  # fmt: skip
    assert second.exit_code == 0, second.output
    assert not (folder / "kept").exists()
    return folder


@pytest.mark.real_data
def test_one_command_gives_the_file_of_the_two(mined, real_data, tmp_path):
    out = tmp_path / "pairs.arrow"
    files = [real_data / "videos" / f"{name}.mp4" for name in VIDEOS]
    run = call("mine", *files, "--out", out, "--settings", SMALL.model_dump_json())
    assert run.exit_code == 0, run.output
    assert out.read_bytes() == (mined / "pairs.arrow").read_bytes()
    shard = PairShard(out)
    assert len(shard) >= 1 and set(shard.videos) == {pair.video for pair in shard}
    assert shard.mining == SMALL.model_dump()
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.arrow"]


@pytest.mark.real_data
def test_the_windows_and_counts_are_plain_tables(mined):
    windows = pd.read_parquet(mined / "p.parquet")
    assert list(windows) == [
        "video", "path", "first_frame", "x", "y", "w", "h", "points", "moving_points", "followed",
    ]  # fmt: skip
    counts = json.loads((mined / "p.json").read_text())
    assert counts["windows"] == len(windows) and counts["videos"] == 3
    assert json.loads((mined / "pairs.json").read_text())["pairs"] == len(
        PairShard(mined / "pairs.arrow")
    )


@pytest.mark.real_data
@pytest.mark.parametrize("stage", ["patches", "pairs"])
def test_killed_work_goes_on_to_the_same_bytes(mined, tmp_path, stage, monkeypatch):
    videos = shards.read_manifest(mined / "m.parquet")
    out, kept = tmp_path / "out", tmp_path / "kept"

    def work():
        with shards.resumable(kept, out, SMALL, stage) as progress:
            if stage == "patches":
                stages.mine_patches(videos, SMALL, out, progress)
            else:
                stages.track_patches(mined / "p.parquet", videos, SMALL, out, progress)

    def notes():
        return {p: p.stat().st_mtime_ns for p in kept.glob("*.json") if p.stem != "settings"}

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    while not notes() and process.is_alive():
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    done = notes()
    assert 1 <= len(done) < 3 and not out.exists()

    with pytest.raises(InputError, match="another config"):
        shards.resumable(kept, out, Mining(), stage).__enter__()
    after = {}
    finish = shards.Progress.finish
    monkeypatch.setattr(
        shards.Progress, "finish", lambda self: (after.update(notes()), finish(self))
    )
    work()
    assert {path: after[path] for path in done} == done  # not done again
    expected = mined / {"patches": "p.parquet", "pairs": "pairs.arrow"}[stage]
    assert out.read_bytes() == expected.read_bytes()
    assert not kept.exists()


@pytest.mark.real_data
def test_windows_of_another_size_are_refused(mined, tmp_path):
    run = call(
        "track-patches", "--patches", mined / "p.parquet", "--manifest", mined / "m.parquet",
        "--out", tmp_path / "o", "--summary", tmp_path / "s", "--progress", tmp_path / "k",
    )  # fmt: skip
    assert isinstance(run.exception, InputError) and "113 px" in str(run.exception)


@pytest.mark.real_data
def test_an_unreadable_video_among_several_is_named_and_the_others_go_on(real_data, tmp_path):
    whole = real_data / "videos" / "motocross-jump.mp4"
    text, cut = tmp_path / "text.mp4", tmp_path / "cut.mp4"
    text.write_text("no video")
    cut.write_bytes(whole.read_bytes()[:200_000])
    run = call(
        "mine", text, cut, whole, tmp_path / "absent.mp4", "--out", tmp_path / "pairs.arrow",
        "--summary", tmp_path / "s.json", "--settings", SMALL.model_dump_json(),
    )  # fmt: skip
    assert run.exit_code == 0
    counts = json.loads((tmp_path / "s.json").read_text())
    assert (counts["videos"], counts["videos_failed"]) == (1, 3)
    assert set(counts["failed"]) == {"text", "cut", "absent"}
    assert run.stderr.count("skipped: ") == 3 and str(text) in run.stderr


def test_bad_input_is_a_sentence_without_traceback(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    run = subprocess.run(
        [sys.executable, "-m", "trackssl.cli", "mine", text, "--out", tmp_path / "pairs.arrow"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    assert "Traceback" not in run.stderr and str(text) in run.stderr
    assert not (tmp_path / "pairs.arrow").exists()


def test_two_videos_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="two of the videos bear this name"):
        shards.given_videos([tmp_path / "a" / "v.mp4", tmp_path / "b" / "v.mp4"])


def test_a_manifest_that_is_none_is_refused(tmp_path):
    (tmp_path / "m.parquet").write_text("video,status")
    with pytest.raises(InputError, match="parquet"):
        shards.read_manifest(tmp_path / "m.parquet")
    pd.DataFrame({"video": ["a"]}).to_parquet(tmp_path / "n.parquet")
    with pytest.raises(InputError, match="columns"):
        shards.read_manifest(tmp_path / "n.parquet")


@pytest.mark.real_data
def test_only_the_frames_between_start_and_end_are_mined(real_data, tmp_path):
    path = str(real_data / "videos" / "car-shadow.mp4")  # 40 frames, 24 a second
    common = {"status": "ok", "path": path, "sha256": "", "fps": 24.0}
    rows = [
        {"video": "all", **common, "start": None, "end": None},
        {"video": "part", **common, "start": 0.25, "end": 1.5},
        {"video": "none", **common, "start": 9.0, "end": None},
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "m.parquet")
    videos = shards.read_manifest(tmp_path / "m.parquet")
    assert [(video.first, video.end) for video in videos] == [(0, None), (6, 36), (216, None)]
    assert [sum(1 for _ in stages._frames(video, SMALL)) for video in videos[:2]] == [40, 30]


def test_a_shard_without_videos_gives_empty_tables(tmp_path):
    empty = pd.DataFrame({"video": ["a"], "status": ["failed"], "path": [""], "sha256": [""]})
    empty.to_parquet(tmp_path / "m.parquet")
    common = ("--manifest", tmp_path / "m.parquet", "--progress", tmp_path / "kept")
    out = ("--out", tmp_path / "p.parquet", "--summary", tmp_path / "p.json")
    assert call("mine-patches", *common, *out).exit_code == 0
    assert len(pd.read_parquet(tmp_path / "p.parquet")) == 0
    out = ("--out", tmp_path / "pairs.arrow", "--summary", tmp_path / "pairs.json")
    assert call("track-patches", "--patches", tmp_path / "p.parquet", *common, *out).exit_code == 0
    assert len(PairShard(tmp_path / "pairs.arrow")) == 0


@pytest.mark.real_data
def test_points_and_boxes_are_written_as_text(real_data, tmp_path):
    image = real_data / "surf_reference" / "2007_000830.png"
    assert call("interest-points", image, "--out", tmp_path / "points.csv").exit_code == 0
    points = pd.read_csv(tmp_path / "points.csv")
    assert list(points) == ["x", "y", "scale", "response"] and len(points) == 858

    folder = real_data / "tracking" / "Crossing" / "img"
    box = ("--box", "205,151,17,50")
    assert call("track", "--frames", folder, *box, "--out", tmp_path / "b.txt").exit_code == 0
    lines = (tmp_path / "b.txt").read_text().splitlines()
    assert lines[0] == "205,151,17,50" and len(lines) == len(list(folder.iterdir()))
