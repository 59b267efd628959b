"""The benchmark of the training runs from end to end; how fast anything is, no test can say."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
KEYS = (
    "images_per_second",
    "over_in_memory_step",
    "over_plain_loop",
    "over_lightly",
    "decode_images_per_second",
    "decode_images_per_second_one_thread",
    "flops_share",
)


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, REPOSITORY / "bench/training.py", "--quick", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def test_a_quick_run_gives_every_figure_with_its_quartiles(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = bench("--threads", 1, "--json", file)
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    for key in [prefix + key for prefix in ("", "miniature_") for key in KEYS]:
        if key.endswith("over_lightly") and not find_spec("lightly"):
            assert figures[key] is None
            assert "lightly is not installed" in done.stdout
            continue
        low, high = figures[f"{key}_quartiles"]
        assert 0 < low <= figures[key] <= high
    assert figures["device"].startswith(("cpu: ", "cuda: "))
    work = figures["images_per_second"] * figures["gflop_per_image"] / 1000
    assert work < figures["peak_tflops_by_product"]
    images = figures["images_per_second"] * 3600 * figures["hours_350k"]
    assert images == pytest.approx(350_000 * 100)


def test_a_missing_video_is_one_sentence(tmp_path: Path) -> None:
    done = bench("--videos", tmp_path / "none")
    assert done.returncode == 2
    assert "none: there is no video; name a folder or a file by --videos" in done.stderr
    assert "Traceback" not in done.stderr
