"""Rows of networks as they are, without fine-tuning, by config alone."""

import re
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]


def test_a_method_without_fine_tuning_gets_its_row_from_the_ranking_weights(pipeline) -> None:
    values = yaml.safe_load((REPOSITORY / "config/my_videos.yaml").read_text())
    values["networks"]["scratch"] = {"init": "random"}
    values["tables"] = ["voc_map"]
    values["methods"] = {
        "my_videos": {"networks": ["my_videos"]},
        "both_pool5": {"networks": ["my_videos", "scratch"], "finetuned": False},
    }
    pipeline.configure(values)
    code, output = pipeline.run("--dry-run", "--printshellcmds")
    assert code == 0, output
    assert "results/detection/methods/both_pool5/seed0/ap.csv" in output
    assert re.search(r"^finetune_detector +1$", output, re.M), "only my_videos is fine-tuned"
    commands = re.findall(r"trackssl extract-features (.*) --voc .*--out (\S+)", output)
    given = {out.split("features/")[1]: options for options, out in commands}
    ranking = "--init weights --weights results/pretraining/my_videos/seed0/weights.safetensors"
    for split in {out.split("/")[-1] for out in given}:
        tuned = given.pop(f"my_videos/seed0/finetuned_fc7/{split}")
        assert tuned == "--weights results/detection/networks/my_videos/seed0/weights.safetensors"
        assert given.pop(f"my_videos/seed0/as_is_pool5/{split}").startswith(ranking)
        assert given.pop(f"scratch/seed0/as_is_pool5/{split}").startswith("--init random --network")
    assert not given
