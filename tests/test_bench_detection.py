"""The benchmark of detection from end to end; how fast anything is, no test can say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
KEYS = ("windows_per_second", "over_forward_only", "speedup_over_plain_loop", "seconds_per_image")


def test_a_quick_run_gives_every_figure(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, REPOSITORY / "bench/detection.py", "--quick", "--json", file]
    done = subprocess.run(
        [*map(str, command), "--threads", "1", "--rounds", "1"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    for key in KEYS:
        low, high = figures[f"{key}_quartiles"]
        assert 0 < low <= figures[key] <= high
    assert figures["svm_seconds"] > 0
    assert figures["svm_peak_mib"] > 0
    seconds = figures["windows_per_image"] / figures["windows_per_second"]
    assert figures["seconds_per_image"] == pytest.approx(seconds)
    assert "speedup over plain loop" in done.stdout
