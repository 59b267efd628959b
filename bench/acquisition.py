"""Fetching from a site that misbehaves: 300 videos in 3 shards, faults, kills, and a long manifest.

    python bench/acquisition.py                        # some minutes
    python bench/acquisition.py --videos 60 --kills 3 --rows 100000 --json figures.json

The site is bench/unreliable.py, on this machine; shards are jobs of their own, at the same time, as
Snakemake starts them. All figures are seconds of the wall clock.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from unreliable import RULES, UnreliableSite

from trackssl.videos.examine import Examiner
from trackssl.videos.manifest import SCHEMA, Row, read_manifest
from trackssl.videos.status import summed

SHARDS = 3
SETTINGS = {
    "source": "youtube",
    "count": None,
    "shards": SHARDS,
    "min_seconds_between_requests": 0.0,
    "backoff_seconds": 0.1,
    "max_wait_seconds": 5.0,
    "max_attempts": 3,
    "timeout_seconds": 3.0,
    "max_bytes": 5_000_000,
}
app = typer.Typer(add_completion=False)


@app.command()
def main(
    videos: Annotated[int, typer.Option(min=30, help="Videos, of all rules in turn.")] = 300,
    kills: Annotated[int, typer.Option(help="SIGKILLs.")] = 10,
    rows: Annotated[int, typer.Option(help="Rows of the manifest that is summed up.")] = 1_000_000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write them.")] = None,
) -> None:
    """Measure, and stop with an error where a video or a reason is not as it must be."""
    os.environ["no_proxy"] = "127.0.0.1"
    figures: dict[str, Any] = {"videos": videos, "shards": SHARDS}
    with tempfile.TemporaryDirectory() as place, UnreliableSite() as site:
        folder = Path(place)
        names = list(RULES)
        faulty = [f"/{names[k % len(names)]}/{k}.mp4" for k in range(videos)]
        fine = [f"/fine/{k}.mp4" for k in range(videos)]
        figures["seconds_without_faults"] = _timed(folder / "fine", site, fine)
        figures["seconds_with_faults"] = _timed(folder / "faulty", site, faulty)
        figures["outcomes"] = _checked(folder / "faulty", site, faulty)
        figures["milliseconds_to_examine"] = _examined(folder / "fine")
        healing = ("fine", "missing", "fine", "drop", "fine", "redirect")
        mixed = [f"/{healing[k % len(healing)]}/{k}.mp4" for k in range(min(videos, 90))]
        figures |= _killed(folder, site, mixed, kills)
    with tempfile.TemporaryDirectory() as place:
        figures |= _summed(Path(place), rows)
    text = json.dumps(figures, indent=2)
    print(text)
    if json_file:
        json_file.write_text(text + "\n", encoding="utf-8")


def _start(folder: Path, site: UnreliableSite, paths: list[str], shard: int) -> Any:
    folder.mkdir(exist_ok=True)
    given = folder / "list.txt"
    given.write_text("".join(f"{site.address}{path}\n" for path in paths), encoding="utf-8")
    command = [sys.executable, "-m", "trackssl.cli", "fetch-videos", "--shard", str(shard)]
    command += ["--settings", json.dumps(SETTINGS | {"list": str(given)})]
    command += ["--out", str(folder / f"{shard}.parquet"), "--store", str(folder / "store")]
    return subprocess.Popen(
        [*command, "--progress", str(folder / f"progress{shard}")], stdout=subprocess.DEVNULL
    )


def _timed(folder: Path, site: UnreliableSite, paths: list[str]) -> float:
    begun = time.monotonic()
    jobs = [_start(folder, site, paths, shard) for shard in range(SHARDS)]
    if any(job.wait(1800) for job in jobs):
        sys.exit("a shard failed")
    return round(time.monotonic() - begun, 1)


def _rows(folder: Path, site: UnreliableSite) -> dict[str, Row]:
    """The rows by path on the site."""
    found = [r for shard in range(SHARDS) for r in read_manifest(folder / f"{shard}.parquet")]
    return {row.source.removeprefix(site.address): row for row in found}


def _checked(folder: Path, site: UnreliableSite, paths: list[str]) -> dict[str, int]:
    rows = _rows(folder, site)
    wrong = []
    for path in paths:
        row, due = rows[path], RULES[path.split("/")[1]]
        outcome = "ok" if row.status == "ok" else row.reason
        right = due != "ok" or row.sha256 == hashlib.sha256(site.video(path)).hexdigest()
        if outcome != due or not right:
            wrong.append(f"{path}: {outcome} in place of {due}")
    if wrong:
        sys.exit("\n".join(wrong))
    return dict(Counter("ok" if r.status == "ok" else r.reason for r in rows.values()))


def _killed(folder: Path, site: UnreliableSite, paths: list[str], kills: int) -> dict[str, Any]:
    """Kill one of the shards at a random moment, again and again, then let all end."""
    # Large and slow enough that a kill meets a file under way.
    site.size_bytes, site.seconds_a_block = 600_000, 0.01
    _timed(folder / "unbroken", site, paths)
    site.forget()
    moments, done = random.Random(0), 0
    for k in range(kills):
        begun = len(site.asked)
        job = _start(folder / "killed", site, paths, k % SHARDS)
        while len(site.asked) == begun and job.poll() is None:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 1.5))
        if job.poll() is None:
            job.kill()
            done += 1
        job.wait()
    _timed(folder / "killed", site, paths)
    pairs = [_rows(folder / name, site) for name in ("unbroken", "killed")]
    same = all(_lasting(pairs[0][path]) == _lasting(pairs[1][path]) for path in paths)
    # Of what arrives in one piece; other rules send more by themselves.
    single = [path for path in paths if path.split("/")[1] in ("fine", "drop", "redirect")]
    more = [max(0, _sent(site, path) - len(site.video(path))) for path in single]
    if not same:
        sys.exit("after kills the manifest is another one")
    return {
        "kills": done,
        "manifest_equal_after_kills": same,
        "files_sent_in_part_twice": sum(value > 0 for value in more),
        "bytes_sent_twice": sum(more),
        "requests_that_continued": sum(
            bool(wanted) for path, wanted in site.asked if path.startswith("/fine/")
        ),
        "bytes_of_these_files": sum(len(site.video(path)) for path in single),
    }


def _sent(site: UnreliableSite, path: str) -> int:
    other = path.replace("/redirect/", "/fine/")
    return site.sent[other]


def _lasting(row: Row) -> Row:
    path = Path(row.path).name
    return replace(row, path=path, attempts=0, when="")


def _examined(folder: Path) -> float:
    files = sorted(folder.rglob("*.mp4"))[:50]
    with Examiner() as examiner:
        examiner.examine(files[0])
        begun = time.monotonic()
        for path in files:
            examiner.examine(path)
    return round((time.monotonic() - begun) / len(files) * 1000, 1)


def _summed(folder: Path, count: int) -> dict[str, Any]:
    """How long a long manifest takes, in one file and in files of 1,000 rows."""
    columns: dict[str, Any] = {name: [None] * count for name in SCHEMA.names}
    failed = [k % 10 == 0 for k in range(count)]
    columns["video"] = [f"v{k}" for k in range(count)]
    columns["status"] = ["failed" if bad else "ok" for bad in failed]
    columns["reason"] = [
        ("removed", "private")[k % 20 == 0] if bad else "" for k, bad in enumerate(failed)
    ]
    columns["bytes"] = [None if bad else 10_000_000 for bad in failed]
    columns["seconds"] = [None if bad else 240.0 for bad in failed]
    table = pa.table(columns, schema=SCHEMA)
    pq.write_table(table, folder / "all.parquet")
    (folder / "parts").mkdir()
    for k in range(0, count, 1000):
        pq.write_table(table.slice(k, 1000), folder / "parts" / f"{k}.parquet")
    figures = {"rows": count}
    for name, paths in (
        ("one_file", [folder / "all.parquet"]),
        ("files_of_1000_rows", sorted((folder / "parts").iterdir())),
    ):
        begun, cpu = time.monotonic(), time.process_time()
        sums = summed(paths).to_pylist()
        figures[f"seconds_to_sum_{name}"] = round(time.monotonic() - begun, 2)
        figures[f"cpu_seconds_to_sum_{name}"] = round(time.process_time() - cpu, 2)
        assert sum(row["videos"] for row in sums) == count
    return figures


if __name__ == "__main__":
    app()
