"""What the paper's run asks SLURM for, on stand-ins of SLURM's programs: nothing is computed."""

from pathlib import Path

import pytest
import yaml
from sbatch_record import Submission, planned, record, submission, table

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recorded")


@pytest.fixture(scope="module")
def submissions(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Submission]:
    """The paper's config with four shards and two rows."""
    values = yaml.safe_load((REPOSITORY / "config/paper.yaml").read_text())
    values["videos"]["shards"] = 4
    values["methods"] = {
        name: {"networks": [name]} for name in ("unsup_5m", "unsup_5m_iterative_1")
    }
    config = tmp_path_factory.mktemp("config") / "paper.yaml"
    config.write_text(yaml.safe_dump(values))
    return record(folder, config, ["results/voc_map.csv"])


def test_each_line_asks_for_what_the_rules_of_its_jobs_state(
    folder: Path, submissions: list[Submission]
) -> None:
    jobs = planned(folder)
    for one in submissions:
        wants = [jobs[key]["resources"] | {"cpus": jobs[key]["threads"]} for key in one.jobs]
        if len(wants) == 1:
            asked = (one.cpus, one.memory_mb, one.minutes, one.gpus)
            (want,) = wants
            stated = (want["cpus"], want["mem_mb"], want["runtime"], want.get("gpu", 0))
            assert asked == stated, one
        else:  # a group runs its jobs side by side or one after another, as it has room
            assert one.cpus >= max(want["cpus"] for want in wants)
            assert one.memory_mb >= max(want["mem_mb"] for want in wants)
            assert one.minutes >= max(want["runtime"] for want in wants)
            assert one.gpus == max(want.get("gpu", 0) for want in wants)
        assert one.partition


def test_every_job_is_submitted_once_or_run_by_snakemake_itself(
    folder: Path, submissions: list[Submission]
) -> None:
    sent = [key for one in submissions for key in one.jobs]
    assert len(sent) == len(set(sent))
    assert set(sent) <= set(planned(folder))
    here = {key.split(":")[0] for key in set(planned(folder)) - set(sent)}
    assert "start_run" in here and not here & {"mine_patches", "pretrain", "train_svms"}
    assert (folder / "results/voc_map.csv").exists()


def test_trainings_get_a_gpu_and_a_week_and_mining_gets_none(
    submissions: list[Submission],
) -> None:
    def of(rule: str) -> list[Submission]:
        return [one for one in submissions if rule in one.rules.split("+")]

    assert [(one.gpus, one.cpus, one.minutes) for one in of("pretrain")] == [(1, 8, 7 * 24 * 60)]
    assert all(one.gpus == 1 for rule in ("readapt", "finetune_detector") for one in of(rule))
    assert len(of("readapt")) == 1 and len(of("finetune_detector")) == 2
    for rule in ("mine_patches", "track_patches", "train_svms", "detect"):
        assert of(rule) and not any(one.gpus for one in of(rule))


def test_the_table_counts_the_lines_of_each_kind() -> None:
    words = ["--parsable", "-p", "main", "-t", "480", "--mem", "2000", "--gpus=2"]
    shards = "'mine_patches:shard=0001' 'mine_patches:shard=0002'"
    wrap = f"--wrap=python -m snakemake --target-jobs {shards} --cores all"
    one = submission([*words, "--cpus-per-gpu=4", wrap])
    assert one.jobs == ("mine_patches:shard=0001", "mine_patches:shard=0002")
    lines = list(table([one, one]))
    assert "| mine_patches | 2 | 2 | 8 | 2 | 2000 | 480 | 1 |" in lines
