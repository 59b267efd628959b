"""Pairs and weights -> the files of results/explore/."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from textures import PX, write_list
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.config import Explore
from trackssl.errors import InputError
from trackssl.explore.look import look
from trackssl.explore.map import place_on_map
from trackssl.explore.neighbours import nearest_of_other_videos
from trackssl.explore.patches import read_patches, spread_over_videos

SMALL = Explore(queries=4, neighbours=3, max_pairs=20)


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("lists")
    trained = write_list(folder, "sets", {"dog": 5, "cup": 4, "car": 3, "tree": 2})
    return trained, write_list(folder, "held_out", {"cat": 3, "boat": 2})


@pytest.fixture(scope="module")
def looked(lists, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explore")
    look(*lists, weights, SMALL, out)
    return out


def test_partners_are_counted_for_both_kinds_of_videos_and_both_networks(looked: Path) -> None:
    table = pd.read_csv(looked / "partners.csv")
    assert len(table) == 8
    assert set(table["network"]) == {"after training", "before training"}
    counts = table.groupby("videos")[["count", "pairs"]].first()
    assert counts.loc["held out"].tolist() == [2, 5]
    assert counts.loc["trained on"].tolist() == [4, 14]
    assert table["found_20"].between(0, 100).all()
    assert (table["found_20"] >= table["found_1"]).all()


def test_neighbours_are_of_other_videos_one_of_each(looked: Path) -> None:
    table = pd.read_csv(looked / "neighbours.csv")
    assert len(table) == 4 * 3 * 2
    assert (table["video"] != table["query_video"]).all()
    for _, mine in table.groupby(["network", "query_video", "query_frame"]):
        assert mine["video"].is_unique
        assert mine["rank"].tolist() == [1, 2, 3]
        assert mine["cosine"].is_monotonic_decreasing
    assert table["query_held_out"].any() and not table["query_held_out"].all()


def test_the_pictures_are_there_and_of_a_size_to_look_at(looked: Path) -> None:
    for name in ("neighbours.png", "map.png"):
        picture = cv2.imread(str(looked / name))
        assert min(picture.shape[:2]) > 400
        assert picture.std() > 10


def test_each_pair_has_its_place_on_the_map(looked: Path) -> None:
    table = pd.read_csv(looked / "map.csv")
    assert len(table) == 19
    assert table[["x", "y", "x_before_training", "y_before_training"]].stack().between(0, 1).all()
    assert table["drawn"].any()


def test_a_second_look_gives_the_same_bytes(lists, looked: Path, weights: Path, tmp_path) -> None:
    look(*lists, weights, SMALL, tmp_path)
    for path in looked.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_without_held_out_videos_all_rows_are_of_videos_that_were_trained_on(
    lists, weights: Path, tmp_path: Path
) -> None:
    table = look(lists[0], None, weights, SMALL, tmp_path)
    assert set(table["videos"]) == {"trained on"}


def test_an_empty_list_of_held_out_pairs_is_as_none(lists, tmp_path: Path) -> None:
    empty = tmp_path / "held_out.parquet"
    pd.read_parquet(lists[1]).iloc[:0].to_parquet(empty, index=False)
    assert not read_patches(lists[0], empty, 20, PX).held_out.any()


def test_pairs_of_one_video_alone_are_refused_in_a_sentence(weights: Path, tmp_path: Path) -> None:
    trained = write_list(tmp_path, "sets", {"dog": 5})
    with pytest.raises(InputError, match="all its pairs are of one video"):
        look(trained, None, weights, SMALL, tmp_path / "out")


def test_no_more_pairs_are_read_than_asked_for(lists) -> None:
    assert len(read_patches(lists[0], lists[1], 3, PX)) == 6


def test_the_command_says_how_many_partners_were_found(lists, weights: Path, tmp_path) -> None:
    run = CliRunner().invoke(
        app,
        ["explore", "--weights", str(weights), "--pairs", str(lists[0]), "--held-out",
         str(lists[1]), "--settings", SMALL.model_dump_json(), "--out", str(tmp_path)],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert "after training, videos held out: of 5 patches" in run.output


def test_rows_are_spread_over_videos_in_the_given_order() -> None:
    assert spread_over_videos(["b", "b", "a", "b", "a"]).tolist() == [0, 2, 1, 4, 3]


def test_of_each_other_video_the_nearest_patch_is_taken() -> None:
    gallery = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.5, 0.5], [1, 0]], np.float32)
    videos = np.array(["a", "b", "b", "c", "c"])
    found = nearest_of_other_videos(gallery[:1], videos[:1], gallery, videos, 5)
    assert found.rows.tolist() == [[4, 1]]
    assert found.cosines[0, 0] == pytest.approx(1)


@pytest.mark.parametrize("count", [1, 3, 4, 6])
def test_a_map_of_very_few_patches_has_places_for_all(count: int) -> None:
    features = np.random.default_rng(0).normal(size=(count, 5)).astype(np.float32)
    places = place_on_map(features, seed=0)
    assert places.shape == (count, 2)
    assert ((places >= 0) & (places <= 1)).all()


def test_equal_features_have_a_place_on_the_map() -> None:
    assert np.isfinite(place_on_map(np.ones((6, 3), np.float32), seed=0)).all()
