"""The benchmark of the mining runs from end to end; how fast anything is, no test can say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
KEYS = (
    "surf_ms",
    "mahotas_ms",
    "motion_ms",
    "farneback_ms",
    "kcf_update_ms",
    "kcf_update_50_ms",
    "opencv_kcf_227_ms",
    "opencv_kcf_224_ms",
    "pairs",
    "pairs_per_core_hour",
    "library_pairs_per_core_hour",
    "tuned_pairs_per_core_hour",
    "speedup_over_library_chain",
    "speedup_over_tuned_chain",
    "times_bare_decode",
    "times_bare_decode_at_defaults",
    "paper_core_hours",
    "paper_gigabytes",
    "peak_mib",
    "peak_mib_short",
)


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, REPOSITORY / "bench/mining.py", "--quick", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


@pytest.mark.real_data
def test_a_quick_run_on_one_video_gives_every_figure(real_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    video = real_data / "videos/car-shadow.mp4"
    done = bench("--videos", video, "--minutes", 0.05, "--rounds", 1, "--json", file)
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    assert all(figures[key] > 0 for key in KEYS)
    low, high = figures["speedup_over_library_chain_quartiles"]
    assert low <= figures["speedup_over_library_chain"] <= high
    hours = figures["pairs_per_core_hour"] * figures["paper_core_hours"]
    assert hours == pytest.approx(8_000_000)
    assert "pairs a minute of video" in done.stdout


def test_a_missing_video_is_one_sentence(tmp_path: Path) -> None:
    done = bench("--videos", tmp_path / "none")
    assert done.returncode == 2
    assert "none: there is no video; name a folder or a file by --videos" in done.stderr
    assert "Traceback" not in done.stderr
