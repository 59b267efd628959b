"""The whole miner beside two chains of libraries and beside bare decoding, on the same videos."""

import subprocess
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chains
import numpy as np
from chains import CHAINS, Chain, decoded, opencv_with_ipp
from loops import write_loop
from timing import Spread, Stopwatch

from trackssl.config import Mining
from trackssl.errors import InputError
from trackssl.images import Image
from trackssl.mining import shards, stages
from trackssl.mining.miner import clips, examine, follow
from trackssl.pairs.store import Box, PairShard
from trackssl.videos.decode import probe, read_frames

PAPER_PAIRS = 8_000_000


@dataclass(frozen=True)
class Job:
    """A window that ours accepted, and the updates that its tracker made until it was done."""

    first: int
    box: Box
    updates: int
    kept: bool  # whether it became a pair


@dataclass
class Plan:
    """What is to be done in one video: as ours found it, without the clock running."""

    path: Path
    frames: int
    seconds: float
    tried: list[int]
    jobs: list[Job]

    @property
    def pairs(self) -> int:
        """The windows that became pairs."""
        return sum(job.kept for job in self.jobs)


@dataclass
class Cost:
    """What a chain takes: seconds of CPU for a tried frame, an update and the JPEGs of a pair."""

    examine: Stopwatch = field(default_factory=Stopwatch)
    update: Stopwatch = field(default_factory=Stopwatch)
    encode: Stopwatch = field(default_factory=Stopwatch)

    def of(self, plans: Sequence[Plan]) -> float:
        """Seconds for all videos, decoding left out: as many updates as ours, and the learning."""
        updates = sum(job.updates + 1 for plan in plans for job in plan.jobs)
        return (
            sum(len(plan.tried) for plan in plans) * self.examine.mean
            + updates * self.update.mean
            + sum(plan.pairs for plan in plans) * self.encode.mean
        )


Work = tuple[set[int], set[Job], Cost]  # tried frames and windows of a video, and what they cost


def plan(path: Path, settings: Mining) -> Plan:
    """Mine a video by our own parts, and note each tried frame and each window."""
    counts = Counter[str]()
    tried, jobs = list[int](), list[Job]()
    frames = read_frames(path, settings.frame_height_px, settings.frame_width_px)
    for first, clip in clips(frames, settings, counts):
        tried.append(first)
        for window in examine(clip, first, settings).windows:
            track = follow(window, clip, settings)
            jobs.append(Job(first, window.box, len(track.boxes) - 1, track.reason is None))
    info = probe(path)
    return Plan(path, info.frames, info.seconds, tried, jobs)


def compare(
    plans: Sequence[Plan], settings: Mining, rounds: int, samples: dict[str, tuple[int, int]]
) -> dict[str, Any]:
    """Rounds over all videos; in each one, a video is done by all sides before the next begins.

    `samples` (tried frames, windows) a chain and round: so many are measured, spread evenly, others
    in each round, and stand for all. Raises InputError when the videos give no pair.
    """
    pairs = sum(p.pairs for p in plans)
    if not pairs:
        raise InputError("The videos gave no pair to compare costs by; name others by --videos.")
    rows: list[dict[str, float]] = []
    sizes: list[int] = []
    at_defaults = Stopwatch()
    for number in range(rounds):
        bare, ours = Stopwatch(), Stopwatch()
        costs = {chain: Cost() for chain in CHAINS if chain.name in samples}
        picked = {c: _sample(plans, samples[c.name], number / rounds) for c in costs}
        for index, each in enumerate(plans):
            with bare.block():
                for _ in decoded(each.path, settings.frame_height_px, settings.frame_width_px):
                    pass
            sizes += (found := _ours(each.path, settings, ours))
            if len(found) != each.pairs:
                raise RuntimeError(f"{each.path}: {len(found)} pairs, {each.pairs} were planned.")
            if not number:
                _ours(each.path, Mining(), at_defaults)
            _run(each.path, {c: (*picked[c][index], cost) for c, cost in costs.items()}, settings)
        row = {"ours_s": ours.seconds, "bare_decode_s": bare.seconds}
        for chain, cost in costs.items():
            row[f"{chain.name}_s"] = row["bare_decode_s"] + cost.of(plans)
            row[f"{chain.name}_examine_ms"] = 1e3 * cost.examine.mean
            row[f"{chain.name}_update_ms"] = 1e3 * cost.update.mean
        rows.append(row)
    return _summary(plans, pairs, rows, float(np.mean(sizes))) | {
        "times_bare_decode_at_defaults": at_defaults.seconds / rows[0]["bare_decode_s"]
    }


def peak_mib(source: Path, seconds: float) -> float:
    """Peak memory of `trackssl mine` in a process of its own, on a video looped to a length."""
    with tempfile.TemporaryDirectory() as folder:
        video = write_loop(source, Path(folder, "loop.mp4"), seconds)
        mine = ["mine", str(video), "--out", str(Path(folder, "pairs.arrow"))]
        # A process counts the memory of the one it was forked from: a small one stands between.
        code = (
            "import resource, subprocess, sys\n"
            "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        command = [sys.executable, "-c", code, sys.executable, "-m", "trackssl.cli", *mine]
        said = subprocess.run(command, check=True, capture_output=True, text=True)
        return int(said.stdout) / 1024


def _ours(path: Path, settings: Mining, watch: Stopwatch) -> list[int]:
    """Mine a video as `trackssl mine` does -> bytes of the JPEGs of each pair."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "pairs.arrow")
        with watch.block():
            videos = shards.given_videos([path])
            with shards.resumable(None, out, settings, "mining") as kept:
                stages.mine(videos, settings, out, kept)
        return [len(pair.first_jpeg) + len(pair.last_jpeg) for pair in PairShard(out)]


def _run(path: Path, work: dict[Chain, Work], settings: Mining) -> None:
    """Do the chosen frames and windows of a video by each chain; only its own work is measured."""
    length = settings.track_frames + 1
    firsts = {
        first for tried, jobs, _ in work.values() for first in (*tried, *(j.first for j in jobs))
    }
    ring: deque[Image] = deque(maxlen=length)
    frames = decoded(path, settings.frame_height_px, settings.frame_width_px)
    for first in range(1 - length, max(firsts, default=-length) + 1):
        ring.append(next(frames))
        if first not in firsts:
            continue
        for chain, (tried, jobs, cost) in work.items():
            with opencv_with_ipp(chain.ipp):
                if first in tried:
                    with cost.examine.block():
                        chain.examine(ring[0], ring[1], settings)
                for job in (job for job in jobs if job.first == first):
                    with cost.update.block(0):
                        box, updates = chain.follow(ring, job.box, job.updates)
                    cost.update.count += updates
                    with cost.encode.block():
                        chains.encode(ring[0], ring[-1], (job.box, box), settings)


def _sample(
    plans: Sequence[Plan], counts: tuple[int, int], phase: float
) -> list[tuple[set[int], set[Job]]]:
    """So many tried frames and windows over all videos, evenly spread -> those of each video.

    `phase` 0..1 moves the choice, so that each round takes others.
    """
    chosen: list[tuple[set[int], set[Job]]] = [(set(), set()) for _ in plans]
    both = ([p.tried for p in plans], [p.jobs for p in plans])
    for kind, (count, lists) in enumerate(zip(counts, both, strict=True)):
        items = [(index, item) for index, found in enumerate(lists) for item in found]
        every = max(1, len(items) // count)
        for index, item in items[int(phase * every) :: every]:
            chosen[index][kind].add(item)
    return chosen


def _summary(
    plans: Sequence[Plan], pairs: int, rows: Sequence[dict[str, float]], pair_bytes: float
) -> dict[str, Any]:
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    ours = columns["ours_s"]
    result: dict[str, Any] = {
        "videos": len(plans),
        "frames": sum(p.frames for p in plans),
        "video_minutes": sum(p.seconds for p in plans) / 60,
        "tried_frames": sum(len(p.tried) for p in plans),
        "windows": sum(len(p.jobs) for p in plans),
        "pairs": pairs,
        "rounds": len(rows),
    }
    result["pairs_per_video_minute"] = pairs / result["video_minutes"]
    for key, values in columns.items():
        result |= Spread.of(values).entries(key)
    result |= Spread.of(3600 * pairs / ours).entries("pairs_per_core_hour")
    for name in (chain.name for chain in CHAINS if f"{chain.name}_s" in columns):
        seconds = columns[f"{name}_s"]
        result |= Spread.of(3600 * pairs / seconds).entries(f"{name}_pairs_per_core_hour")
        result |= Spread.of(seconds / ours).entries(f"speedup_over_{name}_chain")
    bare = columns["bare_decode_s"]
    result |= Spread.of(ours / bare).entries("times_bare_decode")
    core_hours = PAPER_PAIRS / result["pairs_per_core_hour"]
    return result | {
        "pair_bytes": pair_bytes,
        "paper_core_hours": core_hours,
        "paper_days_on_16_cores": core_hours / 16 / 24,
        "paper_gigabytes": PAPER_PAIRS * pair_bytes / 1e9,
        "paper_video_hours": PAPER_PAIRS / result["pairs_per_video_minute"] / 60,
    }
