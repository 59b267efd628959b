"""Classification of images: AP, SVMs on features, fine-tuning, and the table."""

import gc
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from trackssl.classification.average_precision import class_precisions, ranked_precision
from trackssl.classification.finetune import finetune_classifier, sigmoid_loss
from trackssl.classification.svm import choose_c, fit_and_score
from trackssl.cli import app
from trackssl.config import Classification, ClassificationFinetuning, Network, Voc
from trackssl.datasets.image_crops import SquashedImages
from trackssl.datasets.image_index import ImageIndex, ImageList, make_image_index, write_image_index
from trackssl.datasets.voc import Devkit, make_index
from trackssl.datasets.voc_images import voc_images
from trackssl.detection.average_precision import (
    Detections,
    Objects,
    average_precision,
    precision_recall,
)
from trackssl.detection.features import Source
from trackssl.errors import InputError
from trackssl.images import read_image
from trackssl.miniworld.voc import render_devkit
from trackssl.report.voc07_classification import Row, voc07_classification_rows
from trackssl.tuning import Start

NETWORK = Network(width=0.1, input_px=67)
SPLITS = ("train", "val")
SETTINGS = ClassificationFinetuning(iterations=6, learning_rate=0.001, batch_images=8)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> ImageIndex:
    """Images of the built-in world: 12 for training, 8 for testing."""
    folder = tmp_path_factory.mktemp("drawn")
    render_devkit(folder, 2007, 12, 8, seed=0)
    return voc_images(make_index(Devkit(folder, 2007), ["train", "val"]))


def trained(index: ImageIndex, folder: Path, settings=SETTINGS, **start) -> pd.DataFrame:
    given = Start(**({"init": "random", "weights": None, "seed": 1} | start))
    files = (folder / name for name in ("w.safetensors", "log.jsonl", "ap.csv", "progress"))
    return finetune_classifier(index, SPLITS, given, NETWORK, settings, "area", 1, *files)[1]


@pytest.mark.parametrize("rule", ["11-point", "area"])
def test_ap_is_that_of_detection_with_one_box_an_image(rule: str) -> None:
    """An image that shows the class is one whose whole area is an object."""
    draws = np.random.default_rng(0)
    whole = np.tile([0.0, 0, 9, 9], (60, 1))
    labels = draws.choice(np.array([1, 0, -1], np.int8), 60)
    scores = np.round(draws.normal(size=60) + labels, 1)  # some are equal
    objects = np.flatnonzero(labels >= 0)
    truth = Objects(objects, whole[objects], labels[objects] == 0)
    curve = precision_recall(Detections(np.arange(60), scores, whole), truth)
    assert ranked_precision(scores, labels, rule) == average_precision(curve, rule)
    assert 0.3 < average_precision(curve, rule) < 1


def test_ap_by_hand_leaves_ignored_images_out() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    labels = np.array([[1, -1], [0, -1], [-1, -1], [1, -1]], np.int8)
    both = np.stack([scores, scores], axis=1)
    table = class_precisions(both, labels, ["a", "b"], "area")
    assert table["ap"][0] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(table["ap"][1])
    assert table["images"].tolist() == [2, 0]
    both[:, 0] = np.nan
    assert np.isnan(class_precisions(both, labels, ["a", "b"], "area")["ap"][0])


def separable(images: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that two of the features tell, among eight of noise; the third has no image."""
    draws = np.random.default_rng(3)
    labels = np.where(draws.random((images, 3)) < 0.3, 1, -1).astype(np.int8)
    labels[:, 2] = -1
    features = draws.normal(size=(images, 10)).astype(np.float32)
    features[:, :2] += 6 * labels[:, :2]
    return features, labels


def test_svms_learn_each_class_and_leave_unknown_ones_out() -> None:
    features, labels = separable()
    scores = fit_and_score(features[:40], labels[:40], features[40:], 0.01)
    for number in (0, 1):
        assert ranked_precision(scores[:, number], labels[40:, number], "area") == 1
    assert np.isnan(scores[:, 2]).all()
    turned = labels[:40].copy()
    turned[:10] = -turned[:10]
    ignored = np.where(np.arange(40)[:, None] < 10, 0, labels[:40]).astype(np.int8)
    given = features[:40], ignored, features[40:], 0.01
    fewer = features[10:40], labels[10:40], features[40:], 0.01
    np.testing.assert_allclose(fit_and_score(*given), fit_and_score(*fewer), atol=1e-6)
    assert not np.allclose(fit_and_score(features[:40], turned, features[40:], 0.01), scores)


def test_c_is_chosen_by_held_out_images_and_the_smallest_of_equals() -> None:
    features, labels = separable()
    c, means = choose_c(features, labels, [1.0, 1e-2], 3, "area")
    assert c == 1e-2
    assert means[c] == 1
    noise = np.random.default_rng(4).normal(size=(60, 400)).astype(np.float32)
    assert choose_c(noise, labels, [1e-2], 3, "area")[1][1e-2] < 0.6


def test_ignored_labels_give_no_gradient() -> None:
    scores = torch.tensor([[2.0, -1.0, 0.5]], requires_grad=True)
    loss = sigmoid_loss(scores, torch.tensor([[1, -1, 0]], dtype=torch.int8))
    loss.backward()
    wanted = -torch.log(torch.sigmoid(torch.tensor([2.0, 1.0]))).sum()
    assert loss.item() == pytest.approx(wanted.item())
    assert (scores.grad != 0).tolist() == [[True, True, False]]


def test_crops_are_parts_of_the_squashed_image(drawn: ImageIndex) -> None:
    paths = drawn.split("train").paths[:3]
    images = SquashedImages(paths, 227)
    rows, crops = images.draw(5, 0, 8)
    assert (crops.dtype, tuple(crops.shape)) == (torch.uint8, (8, 3, 227, 227))
    assert torch.equal(crops, images.draw(5, 0, 8)[1])
    assert not torch.equal(crops, images.draw(5, 1, 8)[1])
    assert set(rows) <= {0, 1, 2}
    assert sorted(SquashedImages(paths, 67).draw(5, 0, 3)[0]) == [0, 1, 2]
    square = cv2.resize(read_image(paths[1]), (256, 256))
    ten = images.ten_crops(1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(ten[0], square[:227, :227])
    np.testing.assert_array_equal(ten[1], square[:227, 29:])
    np.testing.assert_array_equal(ten[4], square[14:241, 14:241])
    np.testing.assert_array_equal(ten[5], square[:227, :227][:, ::-1])


def test_a_killed_fine_tuning_ends_with_the_same_weights(
    drawn: ImageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.model_copy(update={"checkpoint_every_seconds": 1e-9})
    trained(drawn, tmp_path / "straight", settings)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    kept = SquashedImages.draw
    monkeypatch.setattr(
        SquashedImages,
        "draw",
        lambda self, seed, i, n: killed() if i == 4 else kept(self, seed, i, n),
    )
    with pytest.raises(KeyboardInterrupt):
        trained(drawn, tmp_path / "killed", settings)
    gc.collect()
    assert not (tmp_path / "killed" / "w.safetensors").exists()
    assert (tmp_path / "killed" / "progress" / "checkpoint.pt").exists()
    monkeypatch.setattr(SquashedImages, "draw", kept)
    trained(drawn, tmp_path / "killed", settings)
    for name in ("w.safetensors", "log.jsonl", "ap.csv"):
        one, other = (tmp_path / way / name for way in ("straight", "killed"))
        assert one.read_bytes() == other.read_bytes()


def test_fine_tuning_learns_what_images_show(tmp_path: Path) -> None:
    """Dark and light images, with striped ones among both: other such images are told apart."""
    paths, labels = [], []
    for number in range(24):
        noise = np.random.default_rng(number).integers(0, 40, (40, 50, 3)).astype(np.uint8)
        dark, striped = number % 2 == 0, number % 3 == 0
        image = noise + np.uint8(20 if dark else 180)
        image[::8] = 110 if striped else image[::8]
        paths.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(paths[-1]), image)
        labels.append([1 if dark else -1, -1 if dark else 1, 0 if number < 12 else -1])
    each = [ImageList(paths[s], np.array(labels[s], np.int8)) for s in (slice(12), slice(12, 24))]
    index = make_image_index(
        "plain", ["dark", "light", "none"], dict(zip(SPLITS, each, strict=True))
    )
    settings = SETTINGS.model_copy(update={"iterations": 40, "learning_rate": 0.01, "dropout": 0.0})
    table = trained(index, tmp_path, settings)
    assert table["ap"].tolist()[:2] == [1, 1]
    assert table["images"].tolist() == [6, 6, 0]
    first, *_, last = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert last["iteration"] == 40
    assert last["loss"] < 0.2 * first["loss"]
    assert Source(tmp_path / "w.safetensors").open("fc7")[0].fc7.weight.shape[0] == 408
    on = trained(index, tmp_path / "on", init="weights", weights=tmp_path / "w.safetensors")
    assert len(on) == 3


def test_the_commands_write_the_table(drawn: ImageIndex, tmp_path: Path) -> None:
    index = tmp_path / "index.json"
    write_image_index(index, drawn)
    network = ["--network", NETWORK.model_dump_json(), "--threads", "1"]

    def run(*arguments: object) -> str:
        done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    for split in ("train", "val"):
        out = tmp_path / f"{split}.npy"
        given = ["--images", index, "--split", split, "--layer", "pool5", "--out", out]
        run("extract-features", "--init", "random", *given, *network)
    splits = ["--images", index, "--train", "train", "--test", "val", "--rule", "area"]
    given = ["--train-features", tmp_path / "train.npy", "--test-features", tmp_path / "val.npy"]
    fixed, tuned = tmp_path / "fixed.csv", tmp_path / "tuned.csv"
    said = run("classify-features", *splits, *given, "--out", fixed, "--threads", "1")
    assert "mean AP in cross-validation by C: 0.0001:" in said
    weights = tmp_path / "w.safetensors"
    settings = json.dumps({"finetuning": {"iterations": 2, "batch_images": 4}})
    outputs = ["--out", weights, "--log", tmp_path / "log.jsonl", "--ap", tuned]
    more = ["--settings", settings, "--progress", tmp_path / "kept", "--init", "random"]
    run("finetune-classifier", *splits, *outputs, *more, *network)
    rows = [
        {"method": "random", "networks": [], "members": 1, "ap": str(fixed), "finetuned": False},
        {"method": "scratch_finetuned", "networks": [str(weights)], "ap": str(tuned)}
        | {"finetuned": True},
    ]
    (tmp_path / "run.json").write_text('{"name": "tiny"}')
    voc = json.dumps({"source": "miniworld", "year": 2007})
    table, summary = tmp_path / "t.csv", tmp_path / "s.csv"
    given = ["--rows", json.dumps([row | {"seed": 0} for row in rows]), "--voc", voc]
    files = ["--run", tmp_path / "run.json", "--index", index, "--out", table, "--summary", summary]
    run("voc07-classification", *given, *files)
    results = pd.read_csv(table).set_index("method")
    assert results["mAP"].tolist() == pytest.approx(
        [100 * pd.read_csv(path)["ap"].mean() for path in (fixed, tuned)], rel=1e-5
    )
    assert results["items"].tolist() == [8, 8]
    assert "SVMs on pool5" in results["protocol"]["random"]
    assert "fine-tuned" in results["protocol"]["scratch_finetuned"]
    assert pd.read_csv(summary)["method"].tolist() == ["random", "scratch_finetuned"]


def test_the_paper_stands_beside_fine_tuned_rows(tmp_path: Path) -> None:
    pd.DataFrame({"class": ["a", "b"], "ap": [0.5, None]}).to_csv(tmp_path / "ap.csv")
    given = {"seed": 0, "networks": [], "members": 1, "ap": str(tmp_path / "ap.csv")}
    row = Row(method="unsup_8m_finetuned", finetuned=True, **given)
    rest = (Network(), Classification(), 4952)
    made = voc07_classification_rows([row], "paper", Voc(year=2007), *rest)[0]
    assert (made["mAP"], made["paper_value"], made["comparable"]) == (50, 63.1, "true")
    assert "unconfirmed" in made["paper_source"]
    year_2012 = voc07_classification_rows([row], "paper", Voc(), *rest)[0]
    assert year_2012["comparable"] == "false"


def test_features_of_other_images_are_refused(drawn: ImageIndex, tmp_path: Path) -> None:
    write_image_index(tmp_path / "index.json", drawn)
    for name, shape in (("train", (12, 4)), ("val", (8, 5)), ("short", (7, 4))):
        np.save(tmp_path / f"{name}.npy", np.ones(shape, np.float16))
    for name, message in (("val", "has 5 features"), ("short", "holds float16")):
        given = [
            *("classify-features", "--images", str(tmp_path / "index.json"), "--train", "train"),
            *("--train-features", str(tmp_path / "train.npy"), "--test", "val"),
            *("--test-features", str(tmp_path / f"{name}.npy"), "--out", str(tmp_path / "o.csv")),
        ]
        done = CliRunner().invoke(app, given)
        assert isinstance(done.exception, InputError)
        assert message in str(done.exception)
        assert not (tmp_path / "o.csv").exists()
