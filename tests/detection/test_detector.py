import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from trackssl.boxes import to_voc
from trackssl.cli import app
from trackssl.config import Finetuning, Network, Proposals, Svm
from trackssl.datasets.voc import VocIndex
from trackssl.detection.detect import detect_windows
from trackssl.detection.detection_files import detections_path
from trackssl.detection.detector import Detector
from trackssl.detection.draw import Detection, draw_detections
from trackssl.detection.feature_files import FeatureTable
from trackssl.detection.features import Source, extract_features
from trackssl.detection.svm import Svms, load_svms, save_svms
from trackssl.errors import InputError
from trackssl.images import read_image
from trackssl.networks import DETECTOR, build_detector, save_weights

CLASSES = ("cat", "dog")
NETWORK = Network(width=0.1, input_px=67)
FEW = Proposals(max_windows=60)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A method of one network and an ensemble of two, as a run leaves them, with random weights."""
    folder = tmp_path_factory.mktemp("results") / "detection"
    described = {
        "format": DETECTOR,
        "settings": json.dumps(
            {"network": NETWORK.model_dump(), "finetuning": Finetuning().model_dump()}
        ),
        "init": "random",
    }
    for name, classes in (("one", CLASSES), ("two", CLASSES), ("other", ("bus", "cat"))):
        network = build_detector("random", NETWORK.width, NETWORK.input_px, 3, seed=len(name))
        path = folder / "networks" / name / "seed0" / "weights.safetensors"
        path.parent.mkdir(parents=True)
        metadata = described | {"classes": json.dumps(classes)}
        save_weights(path, network, metadata)
    dim = network.fc7.out_features
    draws = np.random.default_rng(0)
    for name, members in (("one", 1), ("pair", 2)):
        weights = draws.normal(scale=0.003, size=(2, dim * members)).astype(np.float32)
        scales, dims = (20.0, 10.0)[:members], (dim,) * members
        svms = Svms(CLASSES, weights, np.full(2, 2, np.float32), scales, dims)
        save_svms(folder / "methods" / name / "seed0" / "svms.safetensors", svms, Svm())
    return folder


def weights_of(results: Path, *names: str) -> list[Path]:
    return [results / "networks" / name / "seed0" / "weights.safetensors" for name in names]


def test_detections_are_best_first_in_the_image_and_above_the_score(
    results: Path, small_voc: VocIndex
):
    name = small_voc.images("val")[0]
    image = read_image(small_voc.devkit.image_path(name))
    detector = Detector(results / "methods" / "one" / "seed0", None, FEW)
    found = detector.detect(image, name, -1e9)
    scores = [detection.score for detection in found]
    assert len(found) > 2 and scores == sorted(scores, reverse=True)
    assert {detection.label for detection in found} == set(CLASSES)
    assert [score for _, score, _ in detector.detect(image, name, scores[1])] == scores[:2]
    for _, _, box in found:
        assert (box >= 0).all() and (box[2:] <= image.shape[1::-1]).all()


def test_it_finds_what_the_stages_of_a_run_find(results: Path, small_proposals, tmp_path: Path):
    index, files = small_proposals
    (weights,) = weights_of(results, "one")
    folder, out = results / "methods" / "one" / "seed0", tmp_path / "val.npy"
    shape = extract_features(Source(weights), index, "val", files["val"], "fc7", out)
    svms = load_svms(folder / "svms.safetensors")
    table = FeatureTable([out], shape[0], 20, svms.scales)
    detect_windows(svms, index, "val", files["val"], table, Svm(), tmp_path)
    detector = Detector(folder, None, Proposals(max_windows=150))
    name = index.images("val")[1]
    found = detector.detect(read_image(index.devkit.image_path(name)), name, Svm().min_score)
    for label in CLASSES:
        lines = detections_path(tmp_path, "val", label).read_text().splitlines()
        theirs = [[float(word) for word in line.split()[1:]] for line in lines if name in line]
        ours = [[one.score, *to_voc(one.box)[0]] for one in found if one.label == label]
        assert len(ours) > 5
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_a_large_photograph_is_searched_at_the_size_of_vocs(results: Path, small_voc: VocIndex):
    name = small_voc.images("val")[0]
    image = read_image(small_voc.devkit.image_path(name))
    large = cv2.resize(image, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    detector = Detector(results / "methods" / "one" / "seed0", None, FEW)
    boxes = np.array([box for _, _, box in detector.detect(large, name, -1e9)])
    assert boxes.max() > image.shape[1] and (boxes[:, 2:] <= large.shape[1::-1]).all()


def test_networks_that_do_not_fit_are_refused(results: Path):
    pair, one = (results / "methods" / name / "seed0" for name in ("pair", "one"))
    with pytest.raises(InputError, match=r"of 2 networks, but 0 were found by its name"):
        Detector(pair, None, FEW)
    with pytest.raises(InputError, match=r"of 2 networks, but 1 were given; give --weights once"):
        Detector(pair, weights_of(results, "one"), FEW)
    with pytest.raises(InputError, match=r"other/seed0/.* was fine-tuned on other classes"):
        Detector(one, weights_of(results, "other"), FEW)
    with pytest.raises(InputError, match=r"its pool5 has \d+ dimensions, .* takes \d+ of it"):
        Detector(one, None, FEW, "pool5")
    with pytest.raises(InputError, match="cannot be read as SVMs"):
        Detector(weights_of(results, "one")[0], None, FEW)
    with pytest.raises(InputError, match="write fast or quality"):
        Detector(one, None, Proposals(mode="file", file="x.mat"))


def run(*arguments: object, refused: str = "") -> str:
    ran = CliRunner().invoke(app, ["detect", *map(str, arguments)])
    if refused:
        assert isinstance(ran.exception, InputError) and refused in str(ran.exception)
    else:
        assert ran.exit_code == 0, (ran.output, ran.exception)
    return ran.output


def test_the_command_draws_each_image_and_lists_what_it_found(
    results: Path, small_voc: VocIndex, tmp_path: Path
):
    images = [small_voc.devkit.image_path(name) for name in small_voc.images("val")]
    ensemble = [f"--weights={path}" for path in weights_of(results, "one", "two")]
    detector = ("--detector", results / "methods" / "pair" / "seed0", *ensemble)
    options = (*detector, "--settings", FEW.model_dump_json(), "--threads", 1)
    listed = tmp_path / "found.json"
    for folder in ("first", "second"):
        run(*images, *options, "--out", tmp_path / folder, "--detections", listed, "--most", 2)
    for image, row in zip(images, json.loads(listed.read_text()), strict=True):
        first, second = (tmp_path / f / f"{image.stem}.png" for f in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
        assert max(read_image(first).shape) == 1000
        assert row["image"] == str(image) and row["detections"]
        assert set(row["detections"][0]) == {"class", "score", "box"}
        assert min(found["score"] for found in row["detections"]) >= Svm().min_score
    run(images[0], *options, "--out", tmp_path / "one.png")
    assert (tmp_path / "one.png").is_file()
    run(images[0], *options, "--out", tmp_path / "one.jpg", refused="a name that ends in .png")
    run(*images, *options, "--out", listed, refused="is a file, but 2 images need a folder")
    run(images[0], images[0], *options, "--out", tmp_path / "x", refused="two images have one name")
    low = ("--min-score=-2", "--out", tmp_path / "low.png")
    run(images[0], *options, *low, refused="below the SVMs' own -1.1")
    (tmp_path / "text.jpg").write_text("no image")
    broken = (tmp_path / "text.jpg", *options, "--out", tmp_path / "low.png")
    run(*broken, refused="text.jpg: this is not an image")
    assert not (tmp_path / "low.png").exists()


def test_a_picture_has_a_box_in_the_colour_of_its_class_and_a_label_inside():
    image = np.full((50, 100, 3), 128, np.uint8)
    box = np.array([0, 0, 60, 50], np.float32)
    cat, dog = (draw_detections(image, [Detection(name, 0.5, box)], CLASSES) for name in CLASSES)
    assert cat.shape == (500, 1000, 3)
    assert (cat[250, 300] == 128).all() and (cat[250, 900] == 128).all()
    edge = cat[250, 1]
    assert (edge != 128).any() and (edge != dog[250, 1]).any()
    label = (cat[:24, :200] == edge).all(axis=2)
    assert label.mean() > 0.3 and not label.all()
    untouched = draw_detections(image, [], CLASSES)
    assert (untouched == 128).all()


def test_labels_of_one_place_do_not_cover_each_other():
    image = np.full((100, 100, 3), 128, np.uint8)
    box = np.array([20, 20, 80, 80], np.float32)
    found = [Detection(name, score, box) for name, score in (("cat", 0.9), ("dog", 0.1))]
    both = draw_detections(image, found, CLASSES)
    alone = draw_detections(image, found[:1], CLASSES)[:198]  # above the box: the label alone
    label = (alone != 128).any(axis=2)
    assert label.any() and (both[:198][label] == alone[label]).all()
    assert (both[:198] != 128).any(axis=2).sum() > 1.5 * label.sum()
