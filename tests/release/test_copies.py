"""Releases of a run's files: whole, with their provenance, never over other files."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.config import Config, Release, parse
from trackssl.errors import InputError
from trackssl.provenance import Watch
from trackssl.release import choose
from trackssl.release.choose import Item
from trackssl.release.copies import release

TABLES = [Item("results/voc_map.csv", "voc_map.csv")]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of two steps, manifest -> table, with the records that its commands would write."""
    monkeypatch.chdir(tmp_path)
    make("resources/manifests/0000.parquet", "fetch-videos")
    make("results/voc_map.csv", "voc-map", "resources/manifests/0000.parquet")
    return Path()


def make(path: str, command: str, *inputs: str) -> None:
    """Write a file and its record."""
    watch = Watch([command, *inputs, "--out", path])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(f"made by {command}\n")
    watch.write(Path("provenance"))


def config(**release_values: object) -> Config:
    settings = parse(Release, release_values, "release")
    values = {"name": "tiny", "videos": {"source": "miniworld", "count": 4, "shards": 1}}
    return parse(Config, values, "config").model_copy(update={"release": settings})


def test_a_release_tells_its_chain_where_nothing_else_of_the_run_is(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(TABLES, run, Path("release/tables"), "tables", ["release", "tables"])
    assert Path("release/tables/voc_map.csv").read_text() == "made by voc-map\n"
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree("release", elsewhere / "release")
    monkeypatch.chdir(elsewhere)
    told = CliRunner().invoke(app, ["provenance", "release/tables/voc_map.csv"])
    assert told.exit_code == 0, told.output
    lines = [line for line in told.output.splitlines() if not line.startswith("    ")]
    assert [line.split(":")[0].strip() for line in lines] == [
        "release/tables/voc_map.csv",
        "results/voc_map.csv",
    ]
    assert "by fetch-videos" in told.output and "SHA-256 of each video" in told.output
    assert "no longer" not in told.output and "changed" not in told.output
    Path("release/tables/voc_map.csv").write_text("made by hand\n")
    told = CliRunner().invoke(app, ["provenance", "release/tables/voc_map.csv"])
    assert "(changed since it was made)" in told.output


def test_another_folder_s_run_is_released_too(run: Path, tmp_path: Path) -> None:
    (tmp_path / "runs/paper").mkdir(parents=True)
    for folder in ("results", "provenance", "resources"):
        (tmp_path / folder).rename(tmp_path / "runs/paper" / folder)
    release(TABLES, Path("runs/paper"), Path("release/paper/tables"), "tables", ["release"])
    told = CliRunner().invoke(app, ["provenance", "release/paper/tables/voc_map.csv"])
    assert "by fetch-videos" in told.output


def test_what_no_longer_fits_its_record_is_not_released(run: Path) -> None:
    release(TABLES, run, Path("release/tables"), "tables", ["release"])
    Path("results/voc_map.csv").write_text("made by hand\n")
    with pytest.raises(InputError, match=r"voc_map.csv: was changed since it was made"):
        release(TABLES, run, Path("release/tables"), "tables", ["release"])
    assert Path("release/tables/voc_map.csv").read_text() == "made by voc-map\n"
    assert [path.name for path in Path("release").iterdir()] == ["tables"]


def test_a_new_release_takes_the_place_of_the_old_one(run: Path) -> None:
    release(TABLES, run, Path("release/tables"), "tables", ["release"])
    make("results/other.csv", "voc-map")
    others = [Item("results/other.csv", "other.csv")]
    release(others, run, Path("release/tables"), "tables", ["release"])
    assert not Path("release/tables/voc_map.csv").exists()
    assert json.loads(Path("release/tables/release.json").read_text()) == {
        "what": "tables",
        "files": {"other.csv": "results/other.csv"},
    }


def test_a_folder_of_other_files_is_left_alone(run: Path) -> None:
    Path("precious").mkdir()
    with pytest.raises(InputError, match="precious: holds files that are no release"):
        release(TABLES, run, Path("precious"), "tables", ["release"])
    assert Path("precious").is_dir()


def test_a_missing_file_is_named(run: Path) -> None:
    with pytest.raises(InputError, match=r"results/nothing.csv: is not there; make it first"):
        release([Item("results/nothing.csv", "n")], run, Path("r"), "tables", ["release"])
    assert not Path("r").exists()


def test_pairs_are_released_when_wanted_and_when_the_disk_has_room(run: Path) -> None:
    assert choose.pairs(config(), run) == []
    items = choose.pairs(config(pairs=True), run)
    assert [item.name for item in items] == ["sets.parquet", "0000.arrow", "0000.json"]
    Path("results/pairs").mkdir()
    for item in items:
        Path(item.source).touch()
    huge = 2 * shutil.disk_usage(".").total
    with Path("results/pairs/0000.arrow").open("wb") as file:
        file.truncate(huge)  # a file of holes takes no room
    with pytest.raises(InputError, match=f"the pairs need {huge:,} bytes there, but"):
        release(items, run, Path("release/pairs"), "pairs", ["release"])
    assert not Path("release/pairs").exists()


def test_models_are_those_of_the_config_alone(run: Path) -> None:
    for path in (
        "pretraining/unsup_8m/seed0/weights.safetensors",
        "pretraining/unsup_8m/seed0/log.jsonl",
        "pretraining/unsup_8m/seed7/weights.safetensors",
        "pretraining/of_an_older_config/seed0/weights.safetensors",
        "detection/networks/scratch/seed20000/weights.safetensors",
        "detection/methods/scratch_ensemble_3/seed0/svms.safetensors",
    ):
        make(f"results/{path}", "made")
    names = [item.name for item in choose.models(config(), run)]
    assert names == [
        "pretraining/unsup_8m/seed0/weights.safetensors",
        "pretraining/unsup_8m/seed0/log.jsonl",
        "detection/networks/scratch/seed20000/weights.safetensors",
        "detection/methods/scratch_ensemble_3/seed0/svms.safetensors",
    ]
    assert len(choose.models(config(models=["detection"]), run)) == 2
    assert choose.models(config(models=[]), run) == []
