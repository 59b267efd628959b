"""How fast the mining is: its parts and the whole of it beside libraries, in one run and thread.

    python bench/mining.py                     # all real videos, some 8 minutes
    python bench/mining.py --quick             # a sample of them, a minute
    python bench/mining.py --videos holiday.mp4 --json figures.json

All sides take turns on the same inputs; times are this process's CPU time. Figures are medians,
with quartiles in brackets. What the chains of libraries are stands in bench/chains.py.
"""

import os
import platform
import sys
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

# Before numerical libraries are imported, which happens in the functions below.
THREADED = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")
os.environ |= {f"{name}_NUM_THREADS": "1" for name in THREADED}

REPOSITORY = Path(__file__).parents[1]
# Other than the defaults, so that the videos yield about 80 pairs a minute.
DENSER = {"start_every_frames": 6, "windows_per_frame": 3}
SHORT_SECONDS = 10.0
PACKAGES = (
    "av",
    "mahotas",
    "numba",
    "numpy",
    "opencv-contrib-python-headless",
    "scipy",
    "trackssl",
)


@dataclass(frozen=True)
class Effort:
    """How much is measured. `samples`: tried frames and windows of each chain in a round."""

    every_video: int
    seconds: float | None  # of each video, from its beginning; None: all
    repeats: int
    updates: int  # of each tracker a clip
    rounds: int
    samples: dict[str, tuple[int, int]]
    minutes: float  # of the long video whose mining shows the memory


FULL = Effort(
    every_video=1,
    seconds=None,
    repeats=5,
    updates=5,
    rounds=3,
    samples={"library": (30, 20), "library_without_ipp": (4, 2), "tuned": (100, 40)},
    minutes=10.0,
)
QUICK = Effort(
    every_video=4,
    seconds=4.0,
    repeats=2,
    updates=3,
    rounds=2,
    samples={"library": (6, 3), "tuned": (20, 6)},
    minutes=1.0,
)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A sample, in a minute.")] = False,
    json: Annotated[Path | None, typer.Option(help="File for the figures.")] = None,
    videos: Annotated[
        Path | None, typer.Option(help="A video or a folder of them, in place of the test data.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Length of the long video whose mining shows the memory.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="How often the whole miner is measured.")
    ] = None,
) -> None:
    """Measure the mining beside other software."""
    from trackssl.errors import InputError
    from trackssl.files import write_json

    effort = QUICK if quick else FULL
    effort = replace(effort, rounds=rounds or effort.rounds, minutes=minutes or effort.minutes)
    try:
        figures = measure(_videos(videos), effort) | {"quick": quick}
    except InputError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        raise typer.Exit(2) from None
    show(figures)
    if json:
        write_json(json, figures)


def measure(videos: list[Path], effort: Effort) -> dict[str, Any]:
    """All figures, flat: ms, s, MiB; ratios `..._over_...` are above 1 where ours is the faster."""
    import cv2
    import parts
    import whole
    from loops import write_loop

    from trackssl.config import Mining
    from trackssl.videos.decode import probe

    cv2.setNumThreads(1)
    settings = Mining.model_validate(DENSER)
    if 1 < effort.every_video < len(videos):
        videos = videos[1 :: effort.every_video]
    seconds = {path: probe(path).seconds for path in videos}
    longest = max(videos, key=lambda path: seconds[path])
    figures: dict[str, Any] = _circumstances()
    figures["settings"] = settings.model_dump()
    with tempfile.TemporaryDirectory() as folder:
        if limit := effort.seconds:
            videos = [
                write_loop(path, Path(folder, path.name), limit) if seconds[path] > limit else path
                for path in videos
            ]
        given = parts.clips(videos, settings, 1 + effort.updates)
        figures |= parts.surf(given, settings, effort.repeats)
        figures |= parts.motion(given, settings, effort.repeats)
        figures |= parts.kcf(given, settings, "library_without_ipp" in effort.samples)
        plans = [whole.plan(path, settings) for path in videos]
        figures |= whole.compare(plans, settings, effort.rounds, effort.samples)
    figures["peak_mib_short"] = whole.peak_mib(longest, SHORT_SECONDS)
    figures["peak_mib"] = whole.peak_mib(longest, 60 * effort.minutes)
    return figures | {"peak_short_seconds": SHORT_SECONDS, "peak_seconds": 60 * effort.minutes}


def show(figures: dict[str, Any]) -> None:
    """Print the figures as tables."""
    f, console = figures, Console()

    def spread(key: str) -> str:
        values = (f[key], *f[f"{key}_quartiles"])
        median, low, high = (f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in values)
        return f"{median} ({low}-{high})"

    table = Table("part, at 448 x 600", "ms", "ratio to ours", "points", title="Parts, one thread")
    for ours, others in PARTS.items():
        table.add_section()
        for name, label in others.items():
            if f"{name}_ms" not in f:
                continue
            ratio = "" if name == ours else spread(f"{name}_over_{ours}")
            points = f"{f[f'{name}_points']:.0f}" if f"{name}_points" in f else ""
            table.add_row(label, spread(f"{name}_ms"), ratio, points)
    console.print(table)

    title = f"{f['pairs']} pairs of {f['video_minutes']:.1f} min of video, one thread"
    table = Table("miner", "s of CPU", "pairs an hour", "ratio to ours", title=title)
    table.add_row("ours", spread("ours_s"), f"{f['pairs_per_core_hour']:,.0f}", "")
    for name, label in CHAINS.items():
        if f"{name}_s" in f:
            count = f"{f[f'{name}_pairs_per_core_hour']:,.0f}"
            ratio = spread(f"speedup_over_{name}_chain")
            table.add_row(label, spread(f"{name}_s"), count, ratio)
    ratio = f"1 / {spread('times_bare_decode')}"
    table.add_row("bare decoding", spread("bare_decode_s"), "", ratio)
    console.print(table)
    console.print(
        f"Yield: {f['pairs_per_video_minute']:.0f} pairs a minute of video; tried is each "
        f"{f['settings']['start_every_frames']}th frame, for {f['settings']['windows_per_frame']} "
        f"windows at most. The chains track the {f['windows']} windows that ours accepted, each "
        "for as many frames as ours did, measured on a sample and scaled up.\n"
        "At the defaults (each 18th frame, one window): "
        f"{f['times_bare_decode_at_defaults']:.1f} times bare decoding.\n"
        f"8 million pairs: {f['paper_core_hours']:,.0f} core-hours, "
        f"{f['paper_days_on_16_cores']:.1f} days on 16 cores, {f['paper_gigabytes']:,.0f} GB at "
        f"{f['pair_bytes'] / 1e3:.1f} kB a pair.\n"
        f"Peak memory of `trackssl mine`: {f['peak_mib_short']:.0f} MiB for "
        f"{f['peak_short_seconds']:.0f} s of video, {f['peak_mib']:.0f} MiB for "
        f"{f['peak_seconds']:.0f} s.",
        highlight=False,
    )


CHAINS = {
    "library": "library chain",
    "library_without_ipp": "it without IPP",
    "tuned": "tuned chain",
}
PARTS = {
    "surf": {
        "surf": "SURF, ours",
        "mahotas": "SURF, mahotas",
        "mahotas_coarse": "SURF, mahotas, each 2nd px",
        "mahotas_coarser": "SURF, mahotas, each 4th px",
        "sift": "SIFT, OpenCV",
    },
    "motion": {
        "motion": "motion of the points, ours",
        "farneback": "flow alone, Farneback as IDT",
        "dis_medium": "flow alone, DIS medium",
        "dis_fast": "flow alone, DIS fast",
        "dis_ultrafast": "flow alone, DIS ultrafast",
    },
    "kcf_update": {
        "kcf_update": "KCF, 227 px, ours",
        "kcf_update_published": "the same, window as published",
        "opencv_kcf_227": "KCF, 227 px, OpenCV",
        "opencv_kcf_227_without_ipp": "the same without IPP",
        "opencv_kcf_224": "KCF, 224 px, OpenCV",
    },
    "kcf_update_50": {
        "kcf_update_50": "KCF, 50 px, ours",
        "opencv_kcf_50": "KCF, 50 px, OpenCV",
    },
}


def _videos(given: Path | None) -> list[Path]:
    """The videos of a folder, or the one that was given. Raises InputError when there is none."""
    from trackssl.errors import InputError
    from trackssl.videos.decode import is_video

    data = Path(os.environ.get("TRACKSSL_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    place = given or data / "videos"
    found = sorted(place.iterdir()) if place.is_dir() else [place]
    if not (videos := [path for path in found if is_video(path)]):
        raise InputError(
            f"{place}: there is no video; name a folder or a file by --videos, or set "
            "TRACKSSL_TEST_DATA to the folder of the test data."
        )
    return videos


def _circumstances() -> dict[str, Any]:
    """When, where and with what the figures were taken."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cpu": models[0] if models else platform.machine(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
    }


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    typer.run(main)
