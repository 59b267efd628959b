import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from trackssl.config import Finetuning, Network
from trackssl.detection.features import Source, extract_features, load_detector
from trackssl.detection.finetune import finetune
from trackssl.errors import InputError
from trackssl.networks import RANKING, RankingNetwork, load_weights, save_weights
from trackssl.tuning import Start

NETWORK = Network(width=0.1, input_px=67)
SETTINGS = Finetuning(
    iterations=30,
    lr_step_iterations=20,
    learning_rate=1e-4,
    batch_windows=16,
    checkpoint_every_seconds=1e-9,
)


def run(small_proposals, folder: Path, start: Start, settings: Finetuning = SETTINGS) -> bytes:
    """Weights of a run, which ends as if it had never been killed."""
    index, files = small_proposals
    finetune(
        index,
        "train",
        files["train"],
        start,
        NETWORK,
        settings,
        1,
        folder / "weights.safetensors",
        folder / "log.jsonl",
        folder / "progress",
    )
    return (folder / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def straight(small_proposals, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run that was not killed."""
    folder = tmp_path_factory.mktemp("straight")
    run(small_proposals, folder, Start("random", None, 0))
    return folder


def command(small_proposals, folder: Path, index_file: Path) -> list[str]:
    _, files = small_proposals
    return [
        *(sys.executable, "-m", "trackssl.cli", "finetune"),
        *("--voc", str(index_file), "--split", "train", "--proposals", str(files["train"].path)),
        *("--init", "random", "--network", NETWORK.model_dump_json()),
        *("--settings", SETTINGS.model_dump_json(), "--seed", "0", "--threads", "1"),
        *("--out", str(folder / "weights.safetensors"), "--log", str(folder / "log.jsonl")),
        *("--progress", str(folder / "progress")),
    ]


def test_a_killed_run_ends_with_the_same_bits(small_proposals, straight: Path, tmp_path: Path):
    index_file = tmp_path / "index.json"
    index_file.write_text(json.dumps(small_proposals[0].to_json()))
    arguments = command(small_proposals, tmp_path, index_file)
    log = tmp_path / "progress" / "log.jsonl"
    with subprocess.Popen(arguments, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        while process.poll() is None:
            if log.exists() and log.read_bytes().count(b"\n") >= 5:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
    assert process.returncode == -signal.SIGKILL
    with log.open("ab") as file:
        file.write(b'{"iteration": 99, "los')  # what a kill may leave
    assert (
        run(small_proposals, tmp_path, Start("random", None, 0))
        == (straight / "weights.safetensors").read_bytes()
    )
    assert (tmp_path / "log.jsonl").read_bytes() == (straight / "log.jsonl").read_bytes()
    assert not (tmp_path / "progress").exists()


def test_the_log_has_each_iteration_once_and_the_rate_falls(straight: Path):
    lines = [json.loads(line) for line in (straight / "log.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == list(range(1, 31))
    assert lines[19]["learning_rate"] == 1e-4
    assert lines[20]["learning_rate"] == pytest.approx(1e-5)
    assert all(np.isfinite(line["loss"]) for line in lines)


def test_weights_say_what_they_are(straight: Path):
    metadata = load_weights(straight / "weights.safetensors")[1]
    assert metadata["format"] == "trackssl.detector"
    assert json.loads(metadata["classes"]) == ["cat", "dog", "person"]
    assert json.loads(metadata["settings"])["finetuning"]["iterations"] == 30
    assert (metadata["pairs"], metadata["rounds"], metadata["seed"]) == ("0", "0", "0")
    network, read, _ = load_detector(straight / "weights.safetensors")
    assert read == NETWORK
    assert network.classifier.out_features == 4


def test_pairs_and_rounds_are_carried_over(small_proposals, tmp_path: Path):
    weights = tmp_path / "ranking.safetensors"
    ranking = RankingNetwork(NETWORK.width, NETWORK.input_px, 5)
    save_weights(weights, ranking, {"format": RANKING, "pairs": "1234", "rounds": "2"})
    short = SETTINGS.model_copy(update={"iterations": 1, "learning_rate": 1e-9})
    run(small_proposals, tmp_path, Start("weights", weights, 0), short)
    tensors, metadata = load_weights(tmp_path / "weights.safetensors")
    assert (metadata["pairs"], metadata["rounds"]) == ("1234", "2")
    close = {"rtol": 0, "atol": 1e-4}
    np.testing.assert_allclose(tensors["conv3.weight"], ranking.conv3.weight.detach(), **close)


def test_progress_of_other_settings_is_refused(small_proposals, tmp_path: Path):
    start = Start("random", None, 0)
    wrong = SETTINGS.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(InputError, match="the loss is nan at iteration"):
        run(small_proposals, tmp_path, start, wrong)
    with pytest.raises(InputError, match=r"differs in: finetuning\.learning_rate"):
        run(small_proposals, tmp_path, start)
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.parametrize(("layer", "width"), [("fc7", 408), ("fc6", 408), ("pool5", None)])
def test_features_have_a_row_a_window_and_repeat(
    small_proposals, straight: Path, tmp_path: Path, layer: str, width: int | None
):
    index, files = small_proposals
    out, weights = tmp_path / "f.npy", straight / "weights.safetensors"
    shape = extract_features(Source(weights), index, "val", files["val"], layer, out)
    rows = np.load(out)
    assert rows.dtype == np.float16
    assert rows.shape == shape == (index.splits["val"]["objects"] + files["val"].windows, shape[1])
    assert width in (None, shape[1])
    first = out.read_bytes()
    extract_features(Source(weights), index, "val", files["val"], layer, out)
    assert out.read_bytes() == first


def test_the_first_rows_are_the_objects(small_proposals, straight: Path, tmp_path: Path):
    import torch

    from trackssl.detection.crops import cut_windows
    from trackssl.images import read_image

    index, files = small_proposals
    weights = straight / "weights.safetensors"
    extract_features(Source(weights), index, "val", files["val"], "fc7", tmp_path / "f.npy")
    image, annotation = next(iter(index.annotations("val")))
    pixels = read_image(index.devkit.image_path(image))
    straight_up = np.zeros(len(annotation.boxes), bool)
    crops = cut_windows(
        pixels.astype(np.float32), annotation.boxes, NETWORK.input_px, 16, straight_up
    )
    network = load_detector(weights)[0]
    with torch.inference_mode():
        expected = network.features(torch.from_numpy(crops).permute(0, 3, 1, 2), "fc7").numpy()
    found = np.load(tmp_path / "f.npy")[: len(expected)]
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-2)


def test_torchvisions_network_is_read_back(tmp_path: Path):
    import torch
    from torchvision.models import alexnet

    from trackssl.networks import build_detector

    weights, out = tmp_path / "alexnet.pth", tmp_path / "weights.safetensors"
    torch.save(alexnet().state_dict(), weights)
    detector = build_detector("torchvision", 1, 67, 3, 0.5, 0, weights).eval()
    settings = {"network": {"input_px": 67}, "finetuning": {}}
    metadata = {"format": "trackssl.detector", "classes": '["cat", "dog"]', "init": "torchvision"}
    save_weights(out, detector, metadata | {"settings": json.dumps(settings)})
    read, network, _ = load_detector(out)
    images = torch.randint(0, 256, (2, 3, 67, 67), dtype=torch.uint8)
    assert network.input_px == 67
    assert torch.equal(read.features(images, "fc7"), detector.features(images, "fc7"))
