"""A linear classifier on a folder of classes, beside its controls."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from textures import texture
from typer.testing import CliRunner, Result

from trackssl.cli import app
from trackssl.errors import InputError
from trackssl.explore.probe import colour_histogram

CLASSES = ["coast", "forest", "office"]


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["probe", *map(str, arguments)])
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def scenes(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real photographs of three kinds of places, twelve of each."""
    folder = tmp_path_factory.mktemp("scenes")
    for name in CLASSES:
        (folder / name).mkdir()
        for path in sorted((real_data / "scenes" / "train" / name).iterdir())[:12]:
            shutil.copyfile(path, folder / name / path.name)
    return folder


@pytest.mark.real_data
def test_real_scenes_are_told_apart_better_than_by_chance(scenes, weights, tmp_path) -> None:
    (scenes / "office" / "broken.jpg").write_bytes(b"broken")
    out = tmp_path / "probe.csv"
    arguments = ("--images", scenes, "--weights", weights, "--folds", 3, "--threads", 1)
    result = run(*arguments, "--out", out, "--json")
    found = json.loads(result.stdout)
    assert found["classes"] == CLASSES
    assert found["images"] == 36
    assert len(found["left_out"]) == 1 and "broken.jpg" in result.stderr
    rows = {row["features"]: row for row in found["rows"]}
    assert list(rows) == ["network", "before training", "colour histogram", "chance"]
    assert rows["chance"]["accuracy_mean"] == pytest.approx(100 / 3)
    for name in ("network", "before training"):
        assert rows[name]["accuracy_mean"] > 40
        assert rows[name]["folds"] == 3
    difference = rows["network"]["accuracy_mean"] - rows["before training"]["accuracy_mean"]
    assert found["gain_mean"] == pytest.approx(difference)
    assert pd.read_csv(out)["features"].tolist() == list(rows)

    again = run(*arguments)
    assert "36 images of 3 classes, 3 folds, pool5" in again.stdout
    assert f"{rows['network']['accuracy_mean']:.1f} % +-" in again.stdout, "the folds are seeded"


def test_colours_alone_tell_classes_of_other_colours_apart(weights, tmp_path) -> None:
    for name, colour in (("red", (0, 0, 255)), ("green", (0, 255, 0))):
        (tmp_path / name).mkdir()
        for number in range(6):
            image = (0.3 * texture(number) + 0.7 * np.array(colour)).astype(np.uint8)
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), image)
    result = run("--images", tmp_path, "--weights", weights, "--folds", 2, "--json")
    rows = {row["features"]: row for row in json.loads(result.stdout)["rows"]}
    assert rows["colour histogram"]["accuracy_mean"] == 100


def test_a_histogram_has_norm_one() -> None:
    assert np.linalg.norm(colour_histogram(texture(0))) == pytest.approx(1)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({}, "0 of its subfolders hold images"),
        ({"cat": 4}, "1 of its subfolders hold images, but each class needs a subfolder"),
        ({"cat": 4, "dog": 2}, "class 'dog' has 2 usable images, but there are 3 folds"),
    ],
)
def test_too_little_to_classify_is_said_in_a_sentence(
    weights, tmp_path, classes: dict[str, int], words: str
) -> None:
    for name, count in classes.items():
        (tmp_path / name).mkdir()
        for number in range(count):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), texture(number))
    with pytest.raises(InputError, match=words):
        run("--images", tmp_path, "--weights", weights, "--folds", 3)


def test_a_folder_that_is_not_there_is_named(weights, tmp_path) -> None:
    with pytest.raises(InputError, match="there is no such folder of images"):
        run("--images", tmp_path / "nowhere", "--weights", weights)
