"""All tables but detection's by their rules, on tiny drawn data and a network as it was drawn."""

import zipfile

import pandas as pd
import pytest

from trackssl.tables import FIRST_COLUMNS, LAST_COLUMNS

ROWS = {
    "voc_retrieval": ["random"],
    "voc07_classification": ["random", "scratch_finetuned"],
    "mit67_accuracy": ["random", "scratch_finetuned", "sift"],
    "nyu_normals": ["mean_normal", "scratch"],
}


@pytest.fixture
def world(tiny) -> dict:
    short = {"iterations": 3, "lr_step_iterations": 2, "batch_images": 8}
    return {
        "name": "tiny",
        "videos": {"source": "miniworld", "count": 1},
        **tiny,
        "networks": {"scratch": {"init": "random"}},
        "methods": {"scratch": {"networks": ["scratch"]}},
        "tables": list(ROWS),
        "voc": {
            "source": "miniworld",
            "devkit": "resources/miniworld/VOCdevkit",
            "train_images": 24,
            "test_images": 12,
        },
        "classification": {"finetuning": short},
        "scenes": {
            "source": "miniworld",
            "folder": "resources/miniworld/indoor",
            "train_images": 5,
            "test_images": 2,
            "baselines": ["sift"],
            "classifier": {"words": 16, "descriptors": 2000},
            "finetuning": short,
        },
        "nyuv2": {
            "source": "miniworld",
            "mat": "resources/miniworld/nyuv2/nyu_depth_v2_labeled.mat",
            "splits": "resources/miniworld/nyuv2/splits.mat",
            "normals": "resources/miniworld/nyuv2/normals",
            "grid": 4,
            "train_images": 8,
            "test_images": 3,
        },
        "normals": short,
    }


@pytest.mark.timeout(900)
def test_every_other_table_comes_from_its_rules(pipeline, world) -> None:
    pipeline.configure(world)
    code, output = pipeline.run()
    assert code == 0, output
    for name, methods in ROWS.items():
        table = pd.read_csv(pipeline.folder / f"results/{name}.csv")
        assert sorted(table["method"]) == methods
        assert tuple(table.columns[: len(FIRST_COLUMNS)]) == FIRST_COLUMNS
        assert tuple(table.columns[-len(LAST_COLUMNS) :]) == LAST_COLUMNS
        assert not table["comparable"].any()
        headline = table.iloc[:, len(FIRST_COLUMNS)]
        assert headline.between(0, 180).all()
        summary = pd.read_csv(pipeline.folder / f"results/{name}_summary.csv")
        assert list(summary["method"]) == list(table["method"])
    assert (pipeline.folder / "results/voc_retrieval/random_seed0.png").stat().st_size > 1000
    assert (
        pipeline.folder / "results/normals/methods/scratch/seed0/test.png"
    ).stat().st_size > 1000
    page = (pipeline.folder / "results/report/index.html").read_text()
    assert all(f"{name}.csv" in page for name in ROWS)
    code, output = pipeline.run()
    assert "Nothing to be done" in output
    code, output = pipeline.run("--report", "report.zip")
    assert code == 0, output
    told = zipfile.ZipFile(pipeline.folder / "report.zip").namelist()
    assert any(name.endswith("index.html") for name in told)
    assert output.count("Adding ") >= 15, "tables, pictures and logs are in Snakemake's own report"
