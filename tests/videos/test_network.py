"""Fetching from a site that misbehaves by rule (bench/unreliable.py)."""

import hashlib
import importlib.util
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.videos.fetch import fetch_videos
from trackssl.videos.manifest import read_manifest


def _unreliable():
    path = Path(__file__).parents[2] / "bench" / "unreliable.py"
    spec = importlib.util.spec_from_file_location("unreliable", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


unreliable = _unreliable()

SETTINGS = {
    "count": None,
    "shards": 1,
    "min_seconds_between_requests": 0.0,
    "backoff_seconds": 0.05,
    "max_wait_seconds": 5.0,
    "max_attempts": 3,
    "timeout_seconds": 2.0,
    "max_bytes": 3_000_000,
}


@pytest.fixture
def unreliable_site(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with unreliable.UnreliableSite() as site:
        yield site


def listed(tmp_path, site, paths, source="youtube"):
    path = tmp_path / "list.txt"
    path.write_text("".join(f"{site.address}{page}\n" for page in paths))
    return {"source": source, "list": str(path), **SETTINGS}


def fetched(tmp_path, settings, shard=0):
    out = tmp_path / f"{shard}.parquet"
    fetch_videos(Videos(**settings), shard, out, tmp_path / "store", tmp_path / f"p{shard}")
    return read_manifest(out)


def outcome(row):
    return "ok" if row.status == "ok" else row.reason


def lasting(rows):
    return [replace(row, attempts=0, when="") for row in rows]


@pytest.mark.parametrize("source", ["youtube", "http"])
def test_healthy_videos_arrive_whole_and_broken_ones_have_their_reason(
    tmp_path, unreliable_site, source
):
    paths = [f"/{rule}/0.mp4" for rule in unreliable.RULES]
    if source == "youtube":
        paths += [f"/fine/{k}.mp4" for k in range(1, 11)]
    rules = dict(unreliable.RULES)
    if source == "http":
        rules["playlist"] = "not a video page"  # no page is looked into
    begun = time.monotonic()
    rows = fetched(tmp_path, listed(tmp_path, unreliable_site, paths, source))
    assert time.monotonic() - begun < 240
    found = {path: outcome(row) for path, row in zip(paths, rows, strict=True)}
    assert found == {path: rules[path.split("/")[1]] for path in paths}
    for path, row in zip(paths, rows, strict=True):
        if row.status == "ok":
            video = unreliable_site.video(path)
            assert row.sha256 == hashlib.sha256(video).hexdigest() and row.bytes == len(video)
            assert (row.container, row.codec) == ("mov,mp4,m4a,3gp,3g2,mj2", "h264")
    tries = {path.split("/")[1]: row.attempts for path, row in zip(paths, rows, strict=True)}
    assert tries["fine"] == tries["missing"] == 1
    assert tries["error_once"] == tries["drop"] == 2 and tries["error"] == 3
    # What cannot heal is asked for once, what is whole is never asked for again.
    asked = Counter(path.split("/")[1] for path, _ in unreliable_site.asked)
    paths_of = Counter(path.split("/")[1] for path in paths) + Counter(fine=1)  # a redirect's end
    for rule in ("fine", "missing", "gone", "forbidden", "throttled"):
        assert asked[rule] == paths_of[rule]
    left = sorted(path.name for path in (tmp_path / "store").rglob(".*.part"))
    kept = {row.video for row in rows if outcome(row) in ("timeout", "connection dropped")}
    assert {name[1:-5] for name in left} >= kept


def test_a_drop_is_continued_and_no_byte_comes_twice(tmp_path, unreliable_site):
    settings = listed(tmp_path, unreliable_site, ["/drop/a.mp4", "/drop_twice/b.mp4"])
    assert [outcome(row) for row in fetched(tmp_path, settings)] == ["ok", "ok"]
    for path, sent in unreliable_site.sent.items():
        assert sent == len(unreliable_site.video(path))


COMMAND = """
import sys, json
from pathlib import Path
from trackssl.config import Videos
from trackssl.videos.fetch import fetch_videos
settings, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
fetch_videos(Videos(**settings), 0, folder / "0.parquet", folder / "store", folder / "p0")
"""


def test_killed_again_and_again_it_ends_with_the_same_manifest(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    rules = ["fine", "drop", "missing", "fine", "without_ranges", "fine"]
    paths = [f"/{rules[k % len(rules)]}/{k}.mp4" for k in range(12)]
    with unreliable.UnreliableSite(size_bytes=600_000, seconds_a_block=0.005) as site:
        for name in ("unbroken", "killed"):
            (tmp_path / name).mkdir()
        settings = listed(tmp_path, site, paths)
        expected = fetched(tmp_path / "unbroken", settings)
        site.forget()
        moments, kills = random.Random(1), 0
        command = [sys.executable, "-c", COMMAND, json.dumps(settings), str(tmp_path / "killed")]
        while kills < 5:
            begun = len(site.asked)
            job = subprocess.Popen(command)
            while len(site.asked) == begun and job.poll() is None:
                time.sleep(0.01)  # as long as it starts
            time.sleep(moments.uniform(0, 0.25))
            if job.poll() is not None:
                break
            job.kill()
            assert job.wait() == -signal.SIGKILL
            kills += 1
        assert kills >= 3
        subprocess.run(command, check=True, timeout=240)
        found = read_manifest(tmp_path / "killed" / "0.parquet")
        same = [replace(row, path=row.path.replace("/killed/", "/unbroken/")) for row in found]
        assert lasting(same) == lasting(expected)
        # Only what was on its way at a kill, and what a server without ranges sends anew.
        whole = {path: len(site.video(path)) for path in paths}
        twice = {path: site.sent[path] - whole[path] for path in paths
                 if site.sent[path] > whole[path]}  # fmt: skip
        assert len(twice) <= kills
        assert all(more <= whole[path] * kills for path, more in twice.items())
        assert any(wanted for path, wanted in site.asked if path.startswith("/fine/"))


def test_a_full_disk_is_one_sentence_and_it_goes_on_when_there_is_room(tmp_path, unreliable_site):
    store = tmp_path / "store"
    store.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(store)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        paths = [f"/{rule}/{k}.mp4" for k, rule in enumerate(["fine", "without_length"] * 5)]
        settings = listed(tmp_path, unreliable_site, paths)
        with pytest.raises(InputError, match=r"the disk is full .*make room and start again"):
            fetched(tmp_path, settings)
        whole = {len(unreliable_site.video(path)) for path in paths}
        assert {path.stat().st_size for path in store.rglob("*.mp4")} == whole
        unreliable_site.forget()
        resize = ["mount", "-o", "remount,size=20m", str(store)]
        subprocess.run(resize, check=True)
        rows = fetched(tmp_path, settings)
        assert [outcome(row) for row in rows] == ["ok"] * len(paths)
        assert len({path for path, _ in unreliable_site.asked}) < len(paths)
    finally:
        subprocess.run(["umount", str(store)], check=True)
