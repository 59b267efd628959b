import json
from pathlib import Path

from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.tables import read_csv


def trackssl(*arguments: object) -> str:
    ran = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert ran.exit_code == 0, (ran.output, ran.exception)
    return ran.output


def test_six_real_images_go_from_proposals_to_average_precision(small_proposals, tmp_path: Path):
    index, files = small_proposals
    voc = tmp_path / "index.json"
    voc.write_text(json.dumps(index.to_json()))
    weights = tmp_path / "weights.safetensors"
    of = {
        split: ("--voc", voc, "--split", split, "--proposals", file.path)
        for split, file in files.items()
    }
    trackssl(
        *("finetune", *of["train"], "--init", "random", "--threads", 1),
        *("--network", '{"width": 0.1, "input_px": 67}'),
        *("--settings", '{"iterations": 20, "learning_rate": 0.0001, "batch_windows": 16}'),
        *("--out", weights, "--log", tmp_path / "log.jsonl", "--progress", tmp_path / "progress"),
    )
    features = {split: tmp_path / f"{split}.npy" for split in files}
    for split, out in features.items():
        trackssl("extract-features", "--weights", weights, *of[split], "--threads", 1, "--out", out)
    twice = {split: ("--features", path, "--features", path) for split, path in features.items()}
    svms, detections, table = (tmp_path / name for name in ("svms.safetensors", "out", "ap.csv"))
    trackssl("train-svms", *of["train"], *twice["train"], "--threads", 1, "--out", svms)
    trackssl(
        *("detect-windows", "--svms", svms, *of["val"], *twice["val"]),
        *("--threads", 1, "--out", detections),
    )
    devkit = index.devkit.folder
    trackssl(
        *("voc-ap", "--detections", detections, "--devkit", devkit, "--split", "val"),
        *("--out", table),
    )
    scores = read_csv(table)
    assert scores["class"].tolist() == ["cat", "dog", "person", "mean"]
    assert scores["objects"].tolist() == [2, 1, 0, 3]
    assert scores["ap"][:2].between(0, 1).all()
    assert scores["ap"].isna().tolist() == [False, False, True, False]
    assert (scores["detections"] > 0).all()
