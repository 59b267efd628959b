import re
import resource
import shutil
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]


def test_the_papers_scale_is_planned_in_20_s_and_4000_jobs_with_no_data_present(pipeline) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, output = pipeline.run("--dry-run", "--configfile", str(REPOSITORY / "config/paper.yaml"))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor: other tests on the same cores change nothing.
    seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    assert code == 0, output
    jobs = int(re.findall(r"^total +(\d+)", output, re.M)[0])
    assert jobs <= 4000
    assert seconds <= 20


def test_the_miniature_has_every_row_of_the_paper_but_imagenet(pipeline) -> None:
    shutil.copy(REPOSITORY / "config.yaml", pipeline.folder)
    code, output = pipeline.run("--dry-run", "results/voc_map.csv")
    assert code == 0, output
    rows = set(re.findall(r"results/detection/methods/(\w+)/seed0/ap.csv", output))
    assert rows == {
        "scratch", "unsup_1_5m", "unsup_5m", "unsup_8m", "unsup_5m_iterative_1",
        "unsup_5m_iterative", "scratch_ensemble_3", "unsup_ensemble_2", "unsup_ensemble_3",
        "scratch_pool5", "unsup_8m_pool5", "unsup_ensemble_2_pool5",
    }  # fmt: skip


def test_a_second_years_networks_go_their_own_way_from_the_same_pretraining(pipeline) -> None:
    config = str(REPOSITORY / "config/paper.yaml")
    code, output = pipeline.run("--dry-run", "results/voc_map_2007.csv", "--configfile", config)
    assert code == 0, output
    assert "results/pretraining/unsup_5m/seed0/weights.safetensors" in output
    assert "results/pretraining_2007/unsup_5m_iterative/seed0/weights.safetensors" in output
    assert "results/detection/" not in output
    assert "results/pretraining/unsup_5m_iterative" not in output


def test_one_config_file_is_one_run_never_merged_with_another(pipeline) -> None:
    shutil.copy(REPOSITORY / "config.yaml", pipeline.folder)
    code, output = pipeline.run(
        "--dry-run", "results/pretraining/my_videos/seed0/weights.safetensors",
        "--configfile", str(REPOSITORY / "config/my_videos.yaml"),
    )  # fmt: skip
    assert code == 0, output
    code, output = pipeline.run(
        "--dry-run", "results/pretraining/unsup_5m/seed0/weights.safetensors",
        "--configfile", str(REPOSITORY / "config/my_videos.yaml"),
    )  # fmt: skip
    assert code != 0, "the miniature's networks leaked into another run"


def test_a_typo_in_the_config_is_one_sentence_before_any_job(pipeline, tiny) -> None:
    tiny["mining"]["patchpx"] = 99
    pipeline.configure({"name": "typo", "videos": {"source": "miniworld", "count": 1}, **tiny})
    code, output = pipeline.run()
    assert code != 0
    assert "'mining.patchpx' is not a known key" in output
    assert "Traceback" not in output
    assert not (pipeline.folder / "results").exists()


def test_another_run_may_not_write_into_a_results_folder(pipeline) -> None:
    (pipeline.folder / "results").mkdir()
    (pipeline.folder / "results/run.json").write_text('{"name": "first"}')
    values = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    pipeline.configure({**values, "name": "second"})
    code, output = pipeline.run("--dry-run")
    assert code != 0
    assert "belongs to the run 'first'" in output


def test_a_new_method_in_the_config_gets_its_row_with_no_new_training(pipeline) -> None:
    values = yaml.safe_load((REPOSITORY / "config/my_videos.yaml").read_text())
    values["networks"]["scratch"] = {"init": "random"}
    values["tables"] = ["voc_map"]
    values["methods"] = {name: {"networks": [name]} for name in ("scratch", "my_videos")}
    values["methods"]["both"] = {"networks": ["scratch", "my_videos"]}
    pipeline.configure(values)
    code, output = pipeline.run("--dry-run")
    assert code == 0, output
    assert "results/detection/methods/both/seed0/ap.csv" in output
    assert len(re.findall(r"^finetune_detector +2$", output, re.M)) > 0


def test_the_profiles_agree_on_what_makes_a_job_run_again() -> None:
    triggers = [
        yaml.safe_load((REPOSITORY / f"profiles/{name}/profile.yaml").read_text())["rerun-triggers"]
        for name in ("default", "slurm")
    ]
    assert triggers[0] == triggers[1]
    assert "code" not in triggers[0]


def test_pretraining_spreads_over_nodes_by_the_config_alone(pipeline, tiny) -> None:
    values = {"name": "tiny", "videos": {"source": "miniworld", "count": 1}, **tiny}
    values |= {"gpus": 2, "torch_threads": 4}
    target = "results/pretraining/unsup_5m/seed0/weights.safetensors"

    def command(nodes: int) -> str:
        pipeline.configure({**values, "nodes": nodes})
        code, output = pipeline.run("--dry-run", "--printshellcmds", target)
        assert code == 0, output
        return re.findall(r"Shell command: (.*trackssl pretrain) --pairs", output, re.M)[0]

    assert command(1) == "trackssl pretrain"
    assert command(3) == (
        "srun --nodes=3 --ntasks=6 --ntasks-per-node=2 --cpus-per-task=4 --kill-on-bad-exit=1 "
        "--gpus-per-node=2 trackssl pretrain"
    )
