"""What a run's jobs took of what they asked for, from files that Snakemake wrote."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trackssl.efficiency import Job, by_rule, read_jobs
from trackssl.errors import InputError

BIN = Path(sys.executable).parent
# Memory for some seconds, a core for less, and a job that ends before anyone looks.
SNAKEFILE = """
rule all:
    input: "full", "quick"

rule full:
    output: "full"
    benchmark: "benchmarks/full.tsv"
    threads: 2
    resources: mem_mb=300, runtime=5, gpu=0
    params: text="a tab\\tand quotes \\" '"
    shell: "{PYTHON} -c '{HOLD}'; touch {output}"

rule quick:
    output: "quick"
    benchmark: "benchmarks/quick.tsv"
    resources: mem_mb=1000, runtime=5
    shell: "touch {output}"
"""
HOLD = "import time; held = bytearray(280_000_000); time.sleep(4)"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    text = SNAKEFILE.replace("{PYTHON}", sys.executable).replace("{HOLD}", HOLD)
    (folder / "Snakefile").write_text(text)
    subprocess.run(
        [BIN / "snakemake", "--cores", "2", "--benchmark-extended"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_a_job_is_measured_against_what_its_rule_asks_for(finished: Path) -> None:
    done = subprocess.run(
        [BIN / "trackssl", "efficiency", "--json"],
        cwd=finished, check=True, capture_output=True, text=True,
    )  # fmt: skip
    uses = {use["rule"]: use for use in json.loads(done.stdout)["rules"]}
    full = uses["full"]
    assert full["jobs"] == 1
    assert 260 <= full["peak_mb"] <= 300
    assert full["mem_mb"] == 300
    assert full["runtime_minutes"] == 5
    assert full["core_hours"] == pytest.approx(2 * full["hours"])
    assert full["cpu_share"] < 0.5
    assert full["remarks"] == ["memory is close to its limit"]
    assert uses["quick"]["remarks"] == []


def test_the_table_names_what_is_close_to_its_limit(finished: Path) -> None:
    done = subprocess.run(
        [BIN / "trackssl", "efficiency", "benchmarks"],
        cwd=finished, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "! full: memory is close to its limit" in done.stdout
    assert "0.3 of 0.3" in " ".join(done.stdout.split())


def job(**values: float) -> Job:
    usual = {
        "seconds": 3600, "cpu_seconds": 3000, "peak_mb": 900, "cores": 1, "mem_mb": 1500,
        "runtime_minutes": 480, "gpus": 0,
    }  # fmt: skip
    return Job(rule="mine_patches", **(usual | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "remark"),
    [
        ({}, None),
        ({"peak_mb": 1400}, "memory is close to its limit"),
        ({"mem_mb": 9000}, "asks for 10 times the memory it used"),
        ({"cores": 16}, "its cores were 5% busy"),
        ({"runtime_minutes": 65}, "time is close to its limit"),
        ({"mem_mb": 9000, "seconds": 20, "cpu_seconds": 1}, None),  # too short to say anything
        ({"cpu_seconds": None, "peak_mb": None}, None),
    ],
)
def test_what_is_asked_for_far_too_much_or_nearly_not_enough_is_named(
    values: dict, remark: str | None
) -> None:
    assert by_rule([job(**values)])[0].remarks == ([remark] if remark else [])


def test_a_retry_with_more_memory_is_measured_by_its_own_limit() -> None:
    (use,) = by_rule([job(), job(peak_mb=2800, mem_mb=3000), job(peak_mb=2000, mem_mb=6000)])
    assert use.jobs == 3
    assert use.remarks == ["memory is close to its limit"]


def test_the_rule_that_costs_most_comes_first_and_gpu_hours_are_counted() -> None:
    cheap, dear = job(seconds=60), Job("pretrain", 7200, 7000, 900, 2, 1500, 480, 4)
    uses = by_rule([cheap, dear])
    assert [use.rule for use in uses] == ["pretrain", "mine_patches"]
    assert uses[0].gpu_hours == 8


def test_files_without_what_was_asked_for_are_counted_and_others_are_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="holds no benchmark files"):
        read_jobs(tmp_path)
    (tmp_path / "old.tsv").write_text("s\th:m:s\n1.0\t0:00:01\n")
    assert read_jobs(tmp_path) == ([], 1)
    (tmp_path / "bad.tsv").write_text("s\tresources\tthreads\n1.0\t__import__('os')\t1\n")
    with pytest.raises(InputError, match=r"bad\.tsv: is no benchmark file"):
        read_jobs(tmp_path)
