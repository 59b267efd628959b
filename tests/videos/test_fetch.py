import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.files import file_sha256
from trackssl.videos.examine import Examiner
from trackssl.videos.fetch import fetch_videos, shard_items
from trackssl.videos.manifest import read_manifest

QUICK = {"min_seconds_between_requests": 0.0, "backoff_seconds": 0.01, "timeout_seconds": 1.0}


def lasting(rows):
    """Rows without what depends on the clock and the network."""
    return [replace(row, attempts=0, when="") for row in rows]


@pytest.fixture
def run(tmp_path):
    """Fetches a shard below tmp_path and reads its manifest."""

    def run(shard: int = 0, **settings):
        out = tmp_path / "out" / f"{shard}.parquet"
        videos = Videos(**{"count": None, "shards": 1} | QUICK | settings)
        fetch_videos(videos, shard, out, tmp_path / "store", tmp_path / "progress" / str(shard))
        return read_manifest(out)

    return run


@pytest.fixture
def listed(tmp_path, site):
    """A list of pages of the site, as settings."""

    def listed(*pages: str) -> dict[str, str]:
        path = tmp_path / "list.txt"
        path.write_text("".join(f"{site.address}{page}\n" for page in pages))
        return {"source": "youtube", "list": str(path)}

    return listed


@pytest.mark.real_data
def test_a_folder_of_real_videos_is_described_where_it_lies(real_data, run):
    rows = run(source="folder", folder=str(real_data / "videos"), count=3)
    assert [row.video for row in rows] == ["01_dog", "02_cups", "05_default_juggle"]
    for row in rows:
        path = real_data / "videos" / f"{row.video}.mp4"
        assert (row.status, row.reason) == ("ok", "")
        assert row.path == row.source == str(path)
        assert (row.sha256, row.bytes) == (file_sha256(path), path.stat().st_size)
        assert (row.width, row.height) == (1280, 720)
    assert [row.frames for row in rows] == [289, 300, 247]


def test_a_broken_file_is_a_row_with_its_reason(tmp_path, make_video, make_sound, run):
    make_video("movies/good.mp4")
    make_sound("movies/sound.mp4")
    data = make_video("half.mp4").read_bytes()
    movies = tmp_path / "movies"
    (movies / "half.mp4").write_bytes(data[: len(data) // 2])
    (movies / "text.mp4").write_text("hello\n" * 99)
    (movies / "zero.mp4").write_bytes(b"")
    whole = make_video("long.mp4", frames=60, muxer={"movflags": "faststart"}).read_bytes()
    (movies / "short.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    rows = run(source="folder", folder=str(movies))
    assert {row.video: (row.status, row.reason) for row in rows} == {
        "good": ("ok", ""),
        "half": ("failed", "truncated"),
        "short": ("ok", "breaks off"),
        "sound": ("failed", "no video stream"),
        "text": ("failed", "not a video"),
        "zero": ("failed", "empty file"),
    }
    assert rows[1].sha256 == "" and rows[1].frames is None


def test_every_video_is_in_one_shard_and_the_count_is_in_all(tmp_path):
    for index in range(11):
        (tmp_path / f"{index:02d}.mp4").write_bytes(b"")
    settings = Videos(source="folder", folder=str(tmp_path), count=7, shards=3)
    shards = [[item.index for item in shard_items(settings, shard)] for shard in range(3)]
    assert shards == [[0, 3, 6], [1, 4], [2, 5]]


def test_a_shard_without_videos_is_an_empty_manifest(make_video, run, tmp_path):
    make_video("movies/a.mp4")
    assert run(2, source="folder", folder=str(tmp_path / "movies"), shards=3) == []


def test_a_shard_that_does_not_exist_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="--shard 3: there are 3 shards"):
        run(3, source="folder", folder=str(tmp_path), shards=3)


def test_a_second_run_fetches_nothing(site, listed, make_video, run, tmp_path):
    data = make_video().read_bytes()
    site.pages = {f"/{name}.mp4": (200, "video/mp4", data) for name in "abc"}
    settings = listed("/a.mp4", "/b.mp4", "/c.mp4", "/gone.mp4")
    first = run(**settings)
    assert [row.status for row in first] == ["ok", "ok", "ok", "failed"]
    assert first[3].reason == "not found" and first[3].source.endswith("/gone.mp4")
    for row in first[:3]:
        path = Path(row.path)
        assert path.read_bytes() == data
        assert path == tmp_path / "store" / row.video[:2] / f"{row.video}.mp4"
    site.asked.clear()
    assert lasting(run(**settings)) == lasting(first)
    assert set(site.asked) == {"/gone.mp4"}
    again = [row for shard in range(2) for row in run(shard, **settings, shards=2)]
    assert set(lasting(again)) == set(lasting(first)) and set(site.asked) == {"/gone.mp4"}
    assert not [path for path in (tmp_path / "store").rglob("*") if path.name.endswith(".part")]


def test_a_stream_in_pieces_is_one_video(site, listed, make_video, run, tmp_path):
    muxer = {"hls_time": "1", "hls_list_size": "0"}
    index = make_video("pieces/all.m3u8", muxer=muxer)
    for piece in index.parent.glob("*.ts"):
        site.pages[f"/{piece.name}"] = (200, "video/mp2t", piece.read_bytes())
    site.pages["/all.m3u8"] = (200, "application/vnd.apple.mpegurl", index.read_bytes())
    assert len(site.pages) == 4
    (row,) = run(**listed("/all.m3u8"))
    assert (row.status, row.reason, row.frames, row.container) == ("ok", "", 30, "mpegts")
    del site.pages["/all1.ts"]  # one with a hole is none
    Path(row.path).unlink()
    (row,) = run(**listed("/all.m3u8"))
    assert (row.status, row.reason) == ("failed", "not found")


def test_two_parts_of_a_video_share_its_file(site, make_video, run, tmp_path):
    site.pages["/v.mp4"] = (200, "video/mp4", make_video().read_bytes())
    given = tmp_path / "list.csv"
    lines = [f"{site.address}/v.mp4,{times}" for times in ("0,1,cat", "1,2,dog", "7,8,cow", ",,")]
    given.write_text("\n".join(["address,start,end,query", *lines]))
    rows = run(source="http", list=str(given))
    assert [row.reason or row.status for row in rows] == ["ok", "ok", "begins after its end", "ok"]
    assert len({row.path for row in rows if row.path}) == 1 and len(site.asked) == 1
    assert [(row.start, row.end, row.query) for row in rows[:2]] == [
        (0.0, 1.0, "cat"), (1.0, 2.0, "dog"),
    ]  # fmt: skip
    assert len({row.video for row in rows}) == 4


def test_what_is_no_video_never_enters_the_store(site, listed, run, tmp_path):
    site.pages["/a.mp4"] = (200, "video/mp4", b"<html>log in first</html>" * 99)
    (row,) = run(**listed("/a.mp4"))
    assert (row.status, row.reason) == ("failed", "not a video")
    assert not [path for path in (tmp_path / "store").rglob("*.*") if path.is_file()]


def test_a_damaged_file_in_the_store_is_fetched_again(site, listed, make_video, run):
    site.pages["/a.mp4"] = (200, "video/mp4", make_video().read_bytes())
    (row,) = run(**listed("/a.mp4"))
    Path(row.path).write_bytes(b"")
    assert lasting(run(**listed("/a.mp4"))) == lasting([row])


def test_a_video_longer_than_allowed_is_not_taken(tmp_path, site, listed, make_video, run):
    site.pages["/v.mp4"] = (200, "video/mp4", make_video(frames=30).read_bytes())
    (row,) = run(**listed("/v.mp4"), max_minutes=2.9 / 60)
    assert (row.status, row.reason) == ("failed", "too long")


def test_too_few_successes_fail_and_the_next_run_tries_again(
    site, listed, make_video, run, tmp_path
):
    data = make_video().read_bytes()
    site.pages["/a.mp4"] = (200, "video/mp4", data)
    settings = {**listed("/a.mp4", "/b.mp4"), "min_success_share": 0.6}
    with pytest.raises(InputError, match=r"only 1 of 2 .*1 not found.*min_success_share 0\.6"):
        run(**settings)
    assert not (tmp_path / "out" / "0.parquet").exists()
    site.pages["/b.mp4"] = (200, "video/mp4", data)
    assert [row.status for row in run(**settings)] == ["ok", "ok"]


def test_the_built_in_world_is_drawn_once_a_seed(monkeypatch, make_video, run):
    drawn = []

    def render(path: Path, seed: int, index: int) -> None:
        drawn.append((seed, index))
        shutil.copy(make_video(f"{seed}_{index}.mp4", frames=10 + seed + index), path)

    monkeypatch.setattr("trackssl.miniworld.videos.render_video", render)
    first = run(source="miniworld", count=2, seed=1)
    assert [row.frames for row in first] == [11, 12]
    other = run(source="miniworld", count=2, seed=2)
    assert [row.frames for row in other] == [12, 13]
    assert run(source="miniworld", count=2, seed=1) == first
    assert drawn == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_the_built_in_world_draws_a_video(run):
    (row,) = run(source="miniworld", count=1)
    assert row.status == "ok" and row.frames and row.frames > 30


KILLED = """
import os, signal, sys
from pathlib import Path
from trackssl.config import Videos
from trackssl.videos import fetch
from trackssl.videos.examine import Examiner
examine, examined = Examiner.examine, []

def dying(self, path):
    examined.append(path)
    if len(examined) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return examine(self, path)

Examiner.examine = dying
folder, out, store, progress = sys.argv[1:]
settings = Videos(source="folder", folder=folder, count=None, shards=1)
fetch.fetch_videos(settings, 0, Path(out), Path(store), Path(progress))
"""


def test_a_killed_run_goes_on_where_it_stopped_with_equal_output(
    tmp_path, make_video, run, monkeypatch
):
    clip = make_video().read_bytes()
    movies = tmp_path / "movies"
    movies.mkdir()
    for name in ("a", "b", "c", "d", "settings"):  # the progress folder has a settings.json
        (movies / f"{name}.mp4").write_bytes(clip if name != "b" else b"")
    settings = {"source": "folder", "folder": str(movies)}
    out, progress = tmp_path / "out" / "0.parquet", tmp_path / "progress" / "0"
    run(**settings)
    expected = lasting(read_manifest(out))
    out.unlink()
    assert not progress.exists()
    places = map(str, (movies, out, tmp_path / "store", progress))
    killed = subprocess.run([sys.executable, "-c", KILLED, *places], check=False)
    assert killed.returncode == -signal.SIGKILL and not out.exists()

    probed = []
    examine = Examiner.examine
    monkeypatch.setattr(
        Examiner, "examine", lambda self, path: probed.append(path.stem) or examine(self, path)
    )
    assert lasting(run(**settings)) == expected
    assert probed == ["c", "d", "settings"]
    assert not progress.exists()


def test_progress_of_another_config_is_refused(tmp_path, run, make_video):
    make_video("movies/a.mp4")
    settings = {"source": "folder", "folder": str(tmp_path / "movies")}
    mark = tmp_path / "progress" / "0" / "settings.json"
    mark.parent.mkdir(parents=True)
    mark.write_text('{"shard": 0, "videos": {}}')
    with pytest.raises(InputError, match="another config"):
        run(**settings)


def test_a_name_that_is_no_text_is_a_row(tmp_path, run):
    movies = tmp_path / "movies"
    movies.mkdir()
    try:
        (movies / os.fsdecode(b"\xff.mp4")).write_bytes(b"")
    except OSError:
        pytest.skip("this disk takes only UTF-8 names")
    (row,) = run(source="folder", folder=str(movies))
    assert (row.status, row.reason) == ("failed", "missing file")
