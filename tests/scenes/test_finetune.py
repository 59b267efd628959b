import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from trackssl.config import Network, SceneFinetuning
from trackssl.datasets.image_crops import SquashedImages
from trackssl.datasets.image_index import ImageIndex
from trackssl.detection.features import Source, extract_image_features
from trackssl.errors import InputError
from trackssl.images import read_image
from trackssl.networks import load_weights
from trackssl.scenes.finetune import finetune_scenes
from trackssl.tuning import Start

NETWORK = Network(width=0.1, input_px=67)
SETTINGS = SceneFinetuning(
    iterations=12,
    lr_step_iterations=8,
    learning_rate=1e-3,
    batch_images=8,
    checkpoint_every_seconds=1e-9,
)


def run(index: ImageIndex, folder: Path, settings: SceneFinetuning = SETTINGS) -> bytes:
    """Weights of a run."""
    start = Start("random", None, 0)
    finetune_scenes(index, start, NETWORK, settings, 1, folder / "out", folder / "progress")
    return (folder / "out" / "weights.safetensors").read_bytes()


def test_a_killed_run_ends_with_the_same_bits(drawn_rooms, tmp_path: Path, monkeypatch):
    straight = run(drawn_rooms, tmp_path / "straight")
    draw = SquashedImages.draw
    cut = []

    def kill(self, *given):
        cut.append(1)
        if len(cut) == 6:
            raise KeyboardInterrupt
        return draw(self, *given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SquashedImages, "draw", kill)
        run(drawn_rooms, tmp_path / "killed")
    assert (tmp_path / "killed" / "progress" / "checkpoint.pt").exists()
    assert not (tmp_path / "killed" / "out").exists()
    # This process still holds the lock; a copy is what another one would find.
    shutil.copytree(tmp_path / "killed", tmp_path / "again")
    assert run(drawn_rooms, tmp_path / "again") == straight
    names = {"metrics.json", "predictions.csv", "confusion.csv", "confusion.png"}
    folders = [tmp_path / name / "out" for name in ("straight", "again")]
    assert {p.name for p in folders[0].iterdir()} == names | {"weights.safetensors", "log.jsonl"}
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()
    assert not (tmp_path / "again" / "progress").exists()


def test_weights_say_what_they_are_and_give_features(drawn_rooms, tmp_path: Path):
    run(drawn_rooms, tmp_path)
    weights = tmp_path / "out" / "weights.safetensors"
    metadata = load_weights(weights)[1]
    assert json.loads(metadata["labels"]) == drawn_rooms.classes
    assert (metadata["pairs"], metadata["iterations"]) == ("0", "12")
    source = Source(weights)
    shape = extract_image_features(source, drawn_rooms, "test", "fc7", tmp_path / "f.npy")
    assert shape == (20, 408)


def test_progress_of_other_settings_is_refused(drawn_rooms, tmp_path: Path):
    wrong = SETTINGS.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(InputError, match="the loss is nan at iteration"):
        run(drawn_rooms, tmp_path, wrong)
    with pytest.raises(InputError, match=r"differs in: finetuning\.learning_rate"):
        run(drawn_rooms, tmp_path)


def test_the_middle_of_the_squashed_image_is_what_is_tested(drawn_rooms):
    path = drawn_rooms.split("test").paths[0]
    middle = SquashedImages([path], 227).central(np.array([0]))[0].permute(1, 2, 0)
    squashed = cv2.resize(read_image(path), (256, 256))
    np.testing.assert_array_equal(middle, squashed[14:241, 14:241])
