"""A folder of people's own videos, from nothing to what was learned, without any label."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from safetensors import safe_open

REPOSITORY = Path(__file__).parents[2]
CONFIG = REPOSITORY / "config/my_videos.yaml"
VIDEOS = [
    "apple.mp4", "car-roundabout.mp4", "car-shadow.mp4", "cat.mp4", "soapbox.mp4", "teddy.mp4",
]  # fmt: skip
EXPLORED = {"neighbours.png", "neighbours.csv", "map.png", "map.csv", "partners.csv"}


def small() -> dict:
    """The config as it stands, with a smaller network that learns for less long."""
    values = yaml.safe_load(CONFIG.read_text())
    values["videos"]["shards"] = 1
    values["mining"] |= {"start_every_frames": 8, "windows_per_frame": 2}
    values["network"] = {"width": 0.125, "input_px": 67}
    values["pretraining"] |= {"sets": {"all": {"size": 1000, "iterations": 4}}, "batch_pairs": 8}
    return values


@pytest.mark.timeout(900)
@pytest.mark.real_data
def test_a_folder_named_on_the_command_line_gives_weights_neighbours_and_a_map(
    pipeline, real_data
) -> None:
    folder = pipeline.folder / "my videos"
    folder.mkdir()
    for name in VIDEOS:
        (folder / name).symlink_to(real_data / "videos" / name)
    (folder / "broken.mp4").write_text("not a video")
    pipeline.configure(small())
    code, output = pipeline.run("--config", "videos_folder=my videos")
    assert code == 0, output

    results = pipeline.folder / "results"
    assert {path.name for path in (results / "explore").iterdir()} == EXPLORED
    partners = pd.read_csv(results / "explore/partners.csv")
    assert set(partners["videos"]) == {"held out", "trained on"}
    held_out = set(pd.read_parquet(results / "pairs/held_out.parquet")["video"])
    trained = set(pd.read_parquet(results / "pairs/sets.parquet")["video"])
    assert len(held_out) == 1 and not held_out & trained
    weights = results / "pretraining/my_videos/seed0/weights.safetensors"
    with safe_open(weights, framework="pt") as file:
        assert int(file.metadata()["pairs"]) == len(
            pd.read_parquet(results / "pairs/sets.parquet")
        ), "held-out pairs were not trained on"
    assert not (results / "detection").exists()

    code, output = pipeline.run("--config", "videos_folder=my videos", "--dry-run")
    assert code == 0, output
    assert "Nothing to be done" in output


def test_own_videos_lead_to_no_job_that_wants_labels(pipeline) -> None:
    command = ("--dry-run", "--configfile", str(CONFIG), "--config", "videos_folder=/my/videos")
    code, output = pipeline.run(*command)
    assert code == 0, output
    assert "voc" not in output
    assert "explore" in output


def test_a_folder_that_is_not_there_is_named_with_its_whole_path(pipeline) -> None:
    pipeline.configure(small())
    code, output = pipeline.run("--config", "videos_folder=nowhere")
    assert code != 0
    assert f"there is no folder {pipeline.folder / 'nowhere'}" in output


def test_a_folder_given_to_a_run_of_drawn_videos_names_the_config_to_take(pipeline) -> None:
    arguments = ("--configfile", str(REPOSITORY / "config.yaml"), "--config", "videos_folder=/my")
    code, output = pipeline.run("--dry-run", *arguments)
    assert code != 0
    assert "--configfile config/my_videos.yaml" in output
    assert "Traceback" not in output
