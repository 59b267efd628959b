import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.config import Config, load_config, parse
from trackssl.errors import InputError
from trackssl.planning.limits import Machine, limits
from trackssl.planning.material import Guess
from trackssl.planning.plan import Plan, make_plan
from trackssl.videos.manifest import Row, write_manifest

REPOSITORY = Path(__file__).parents[2]
LARGE = Machine(cores=10_000, gpus=8, free=1e15)


def read(name: str) -> dict:
    return yaml.safe_load((REPOSITORY / name).read_text())


@pytest.fixture(scope="module")
def paper() -> Plan:
    return make_plan(load_config(REPOSITORY / "config/paper.yaml"))


@pytest.fixture(scope="module")
def miniature() -> Plan:
    return make_plan(load_config(REPOSITORY / "config.yaml"))


def row(plan: Plan, rule: str):
    return next(row for row in plan.rows if row.rule == rule)


def manifest(path: Path, ok: int, failed: int, frames: int = 3_000) -> Path:
    rows = [
        Row(f"v{i}", "ok", "", f"{i}.mp4", "", "", 10_000_000, 640, 480, 25.0, frames / 25, frames)
        for i in range(ok)
    ]
    rows += [Row(f"f{i}", "failed", "removed", "", "") for i in range(failed)]
    write_manifest(path, rows)
    return path


def test_the_miniatures_plan_is_near_its_measured_times() -> None:
    """The table of bench/README.md, "of CPU": by rule within a factor of three, two in all."""
    values = read("config.yaml") | {"tables": ["voc_map"]}
    plan = make_plan(parse(Config, values, "config"))
    text = (REPOSITORY / "bench/README.md").read_text()
    table = re.findall(r"^\| (\w+) \| (\d+) \| [\d.]+ \| [\d.]+ \| ([\d.]+) \|", text, re.M)
    assert len(table) >= 10
    planned = {row.rule: row.core_hours * 3600 for row in plan.rows}
    for rule, jobs, seconds in table:
        assert row(plan, rule).jobs == int(jobs)
        assert 1 / 3 <= planned[rule] / float(seconds) <= 3, (rule, planned[rule], seconds)
    in_all = sum(float(seconds) for _, _, seconds in table)
    assert 0.5 <= sum(planned[rule] for rule, _, _ in table) / in_all <= 2


def test_eight_million_pairs_cost_what_the_benchmark_of_mining_says() -> None:
    """Of videos as those of bench/mining.py: 447 core-hours, 1,740 hours of video, 222 GB."""
    values = read("config/paper.yaml")
    values["mining"] |= {"start_every_frames": 6, "windows_per_frame": 3}
    guess = Guess(minutes_per_video=1.044, success_share=1.0)  # 1,740 hours
    plan = make_plan(parse(Config, values, "config"), guess)
    # They have 23.2 frames a second; the plan takes videos for films of 25.
    assert plan.found.pairs == pytest.approx(8e6, rel=0.15)
    assert row(plan, "track_patches").bytes_kept == pytest.approx(222e9, rel=0.15)
    # Two rules decode each video twice; the benchmark mines in one pass.
    mined = row(plan, "mine_patches").core_hours + row(plan, "track_patches").core_hours
    assert 447 < mined < 1.6 * 447


def test_the_papers_plan_says_videos_hours_disk_and_both_kinds_of_work(paper) -> None:
    assert paper.found.listed == 100_000
    assert paper.found.hours == pytest.approx(100_000 * 0.6 * 4 / 60)
    assert paper.jobs == 3_221
    assert {row.rule for row in paper.rows if row.gpu_hours} == {
        "pretrain", "readapt", "finetune_detector", "extract_features", "extract_image_features",
        "finetune_classifier", "finetune_scenes", "train_normals", "predict_normals",
    }  # fmt: skip
    for each in paper.rows:
        assert not each.gpu_hours or paper.figures.assumed(each.figures, "gpu"), each.rule


def test_features_count_as_temporary_and_half_precision(paper) -> None:
    features = row(paper, "extract_features")
    assert features.bytes_kept < 1e7
    # 12 rows of one fine-tuned network on 2012's and 2007's images would be 107 and 91 GB of fc7.
    assert 2e12 < features.bytes_temporary < 5e12
    assert paper.bytes_kept < paper.peak_one_by_one < paper.peak_at_most
    assert paper.peak_at_most < paper.bytes_kept + features.bytes_temporary * 1.01


def test_no_gpu_in_the_config_is_no_gpu_hour(miniature) -> None:
    assert miniature.gpu_hours == 0
    assert miniature.core_hours > 0.1


def test_longer_videos_and_more_iterations_cost_more() -> None:
    values = read("config/paper.yaml")
    run = parse(Config, values, "config")
    short, long = (make_plan(run, Guess(minutes_per_video=m)) for m in (2, 8))
    assert long.found.hours == pytest.approx(4 * short.found.hours)
    assert row(long, "mine_patches").core_hours > 3.5 * row(short, "mine_patches").core_hours
    assert row(long, "pretrain").gpu_hours == row(short, "pretrain").gpu_hours
    values["finetuning"]["iterations"] *= 2
    tuned = make_plan(parse(Config, values, "config"), Guess(minutes_per_video=2))
    before, after = (row(p, "finetune_detector").gpu_hours for p in (short, tuned))
    assert after == pytest.approx(2 * before)


def test_several_gpus_share_a_ranking_and_are_held_by_every_other_training() -> None:
    values = read("config/paper.yaml")
    one = make_plan(parse(Config, values, "config"))
    four = make_plan(parse(Config, values | {"gpus": 4}, "config"))
    assert row(four, "pretrain").gpu_hours == pytest.approx(row(one, "pretrain").gpu_hours)
    tuned = row(one, "finetune_detector").gpu_hours
    assert row(four, "finetune_detector").gpu_hours == pytest.approx(4 * tuned)


def test_manifests_take_the_place_of_guesses(tmp_path: Path) -> None:
    run = load_config(REPOSITORY / "config/paper.yaml")
    manifest(tmp_path / "0000.parquet", ok=30, failed=10)
    manifest(tmp_path / "0001.parquet", ok=60, failed=0, frames=6_000)
    plan = make_plan(run, manifests=[tmp_path])
    # 100 videos of which 90 are ok stand for 100,000.
    assert plan.found.videos == pytest.approx(90_000)
    assert plan.found.frames == pytest.approx(1_000 * (30 * 3_000 + 60 * 6_000))
    assert plan.found.bytes == pytest.approx(90_000 * 1e7)
    assert "manifests of 100 videos, 90 of them ok" in plan.found.said_by
    assert not plan.figures.assumed(row(plan, "mine_patches").figures, "core")


def test_what_is_no_manifest_is_one_sentence(tmp_path: Path) -> None:
    run = load_config(REPOSITORY / "config/paper.yaml")
    (tmp_path / "list.txt").write_text("no manifest")
    with pytest.raises(InputError, match="not a manifest of videos"):
        make_plan(run, manifests=[tmp_path / "list.txt"])
    with pytest.raises(InputError, match="holds no manifest"):
        make_plan(run, manifests=[tmp_path])


def test_videos_of_a_list_that_is_there_are_counted_and_one_that_is_not_is_asked_for(
    tmp_path: Path,
) -> None:
    values = read("config/paper.yaml")
    values["videos"]["count"] = None
    run = parse(Config, values, "config")
    with pytest.raises(InputError, match=r"videos\.count is null"):
        make_plan(run, root=tmp_path)
    (tmp_path / "videos.txt").write_text("".join(f"abcdefgh{n:03d}\n" for n in range(250)))
    assert make_plan(run, root=tmp_path).found.listed == 250
    values["videos"]["source"] = "http"
    (tmp_path / "videos.txt").write_text("http://a.org/1.mp4\nhttp://a.org/2.mp4\n")
    assert make_plan(parse(Config, values, "config"), root=tmp_path).found.listed == 2


def test_a_large_machine_with_long_videos_meets_no_limit_but_the_sites() -> None:
    plan = make_plan(
        load_config(REPOSITORY / "config/paper.yaml"),
        Guess(minutes_per_video=15, success_share=1.0),
    )
    (only,) = limits(plan, LARGE)
    assert "YouTube" in only
    assert "14 days" in only


def test_each_lack_is_one_sentence(paper) -> None:
    small = replace(LARGE, cores=2, gpus=0, free=1e12)
    said = "\n".join(limits(paper, small))
    assert "The set '8m' asks for 8,000,000 pairs" in said
    assert "has 1 TB free, but the run needs" in said
    assert "no GPU" in said and "GPU-hours" in said
    assert "days of this machine's 2 cores" in said
    between = replace(LARGE, free=(paper.peak_one_by_one + paper.peak_at_most) / 2)
    assert "may need" in "\n".join(limits(paper, between))


def test_the_command_prints_the_table_and_writes_csv_whose_last_row_is_the_sum(
    tmp_path: Path,
) -> None:
    out = tmp_path / "plan.csv"
    command = ["plan", "--configfile", str(REPOSITORY / "config/paper.yaml"), "--out", str(out)]
    result = CliRunner().invoke(app, [*command, "--table", "voc_map", "--figures"])
    assert result.exit_code == 0, result.output
    assert "finetune_detector" in result.output
    assert "GPU-hours" in result.output
    assert "second_voc" not in result.output
    table = pd.read_csv(out)
    rows, total = table.iloc[:-1], table.iloc[-1]
    assert total["stage"] == "total"
    for column in ("jobs", "core_hours", "gpu_hours", "bytes_kept"):
        assert total[column] == pytest.approx(rows[column].sum(), rel=1e-4)
    assert total["bytes_peak_one_by_one"] > total["bytes_kept"]
    assert "nyu_normals" not in set(table["rule"])
    assert "gpu_float32_tflops" in rows.set_index("rule").loc["pretrain", "assumed"]


def test_the_command_refuses_a_table_that_does_not_exist(tmp_path: Path) -> None:
    arguments = ["plan", "--configfile", str(REPOSITORY / "config.yaml"), "--table", "voc_maps"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, InputError)
    assert "voc_maps" in str(result.exception)
