"""The jobs that `trackssl plan` counts are those that Snakemake would run."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from trackssl.config import Config, parse
from trackssl.planning.jobs import Graph

REPOSITORY = Path(__file__).parents[2]


def snakemakes_counts(pipeline, values: dict) -> dict[str, int]:
    """The table "Job stats" of a dry run in an empty folder."""
    pipeline.configure(values)
    code, output = pipeline.run("--dry-run")
    assert code == 0, output
    stats = output.split("Job stats:")[1].split("\n\n")[0]
    counts = {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)$", stats, re.M)}
    assert counts.pop("total") == sum(counts.values())
    return counts


def planned_counts(values: dict) -> dict[str, int]:
    return dict(Counter(job.rule for job in Graph(parse(Config, values, "config")).jobs()))


def read(name: str) -> dict:
    return yaml.safe_load((REPOSITORY / name).read_text())


def miniature() -> dict:
    return read("config.yaml")


def paper_of_7_shards_with_weights_of_others() -> dict:
    values = read("config/paper.yaml")
    values["videos"]["shards"] = 7
    values["networks"]["released"] = {
        "init": "caffemodel",
        "address": "http://127.0.0.1/color_model.caffemodel",
        "sha256": "0" * 64,
    }
    values["methods"]["released"] = {"networks": ["released"]}
    values["methods"]["released_pool5"] = {"networks": ["released"], "finetuned": False}
    return values


def study() -> dict:
    return read("config/study.yaml")


def my_videos() -> dict:
    return read("config/my_videos.yaml")


def few_tables_of_named_networks() -> dict:
    """What other runs have not: features of several layers, rows of readapted networks."""
    values = miniature()
    values["seeds"] = [3, 4]
    values["tables"] = ["second_voc_map", "voc_retrieval", "mit67_accuracy"]
    values["second_voc"] = {
        "year": 2007,
        "source": "miniworld",
        "devkit": "resources/other/VOCdevkit",
    }
    values["retrieval"] = {"networks": ["unsup_5m_iterative", "scratch"], "layer": "fc6"}
    values["scenes"] |= {"networks": ["unsup_5m_iterative_1"], "baselines": ["gist"]}
    values["methods"] = {
        "scratch": {"networks": ["scratch", "scratch"], "layer": "fc6"},
        "iterated": {"networks": ["unsup_5m_iterative"], "finetuned": False},
        "both": {"networks": ["unsup_1_5m", "scratch"], "finetuned": False, "layer": "fc7"},
    }
    return values


@pytest.mark.parametrize(
    "config",
    [
        miniature,
        study,
        paper_of_7_shards_with_weights_of_others,
        my_videos,
        few_tables_of_named_networks,
    ],
)
def test_the_plan_counts_the_jobs_of_every_rule_as_snakemake_does(pipeline, config) -> None:
    values = config()
    assert planned_counts(values) == snakemakes_counts(pipeline, values)
