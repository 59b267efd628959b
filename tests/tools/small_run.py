"""The folder of a small finished run, written in seconds by the project's own writers."""

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from snakemake_run import TINY

from trackssl.config import Config, Network, parse
from trackssl.datasets.voc import Devkit, VocIndex, make_index
from trackssl.detection.detection_files import (
    detection_lines,
    detections_path,
    read_truth,
    score_folder,
    write_curves,
    write_results,
)
from trackssl.files import write_json
from trackssl.images import encode_jpeg
from trackssl.miniworld.voc import draw_image, render_devkit
from trackssl.networks import RANKING, build_ranking, save_weights
from trackssl.pairs.store import Pair, write_pairs
from trackssl.provenance import Fact, Record
from trackssl.report.rows import last_columns
from trackssl.tables import metric_names, paired_differences, read_csv, summarise, write_csv
from trackssl.tables import write_results as write_table
from trackssl.videos.manifest import Row, write_manifest

STRANGE = 'a <b>"$name"</b> & <script>alert(1)</script>'  # what a video's file may be called
DEVKIT = "resources/miniworld/VOCdevkit"
SMALL = Network(width=0.125, input_px=67)
SEEDS = (0, 1)


def small_config(**more: object) -> Config:
    """The config that the folder's files fit."""
    values = {
        "name": "tiny",
        "seeds": list(SEEDS),
        "videos": {"source": "miniworld", "count": 4, "shards": 1},
        "voc": {"source": "miniworld", "devkit": DEVKIT, "train_images": 4, "test_images": 6},
        **TINY,
    }
    return parse(Config, values | more, "config")


def write_run(folder: Path) -> None:
    """Write a run with every part that the page shows."""
    write_unlabelled_run(folder)
    index = write_voc(folder)
    for method in ("scratch", "unsup_8m"):
        for seed in SEEDS:
            write_detections(folder, index, method, seed)
    results = folder / "results"
    classes = {name: 10.0 + place for place, name in enumerate(index.classes)}
    write_rows(results, "voc_map", ["scratch", "unsup_8m"], {"mAP": 20.0, **classes})
    write_rows(results, "voc_retrieval", ["random", "unsup_8m"], {"top20_by_query": 30.0})
    write_rows(results, "voc07_classification", ["random"], {"mAP": 20.0, **classes})
    write_rows(results, "mit67_accuracy", ["random", "unsup_8m"], {"accuracy_per_class": 40.0})
    write_rows(results, "nyu_normals", ["scratch", "unsup_8m"], {"mean": 36.0})
    write_picture(results / "voc_retrieval/unsup_8m_seed0.png", 960, 400)
    write_picture(results / "normals/methods/scratch/seed0/test.png", 732, 374)
    counts = pd.DataFrame({"class": ["attic", "bar"], "attic": [3, 1], "bar": [0, 2]})
    write_csv(results / "scenes/linear/unsup_8m/seed0/confusion.csv", counts)


def write_unlabelled_run(folder: Path, pairs: int = 20) -> None:
    """Videos, pairs, one network with its log, records and times."""
    results = folder / "results"
    write_json(results / "run.json", {"name": "tiny"})
    good = {"bytes": 1000, "seconds": 5.0, "frames": 120, "fps": 24.0}
    rows = [Row(f"v{n}", "ok", "", f"v{n}.mp4", "s", **good) for n in range(3)]
    rows.append(Row("v9", "failed", "private", "", "s"))
    write_manifest(folder / "resources/manifests/0000.parquet", rows)
    frames = {"frames_tried": 50, "frames_near_end": 10, "frames_cut": 2, "frames_still": 8}
    mined = {"videos_failed": 0, **frames, "windows": 30, "failed": {}}
    write_json(results / "patches/0000.json", mined)
    tracked = {"videos_failed": 0, "tracks_lost": 30 - pairs, "pairs": pairs, "failed": {}}
    write_json(results / "pairs/0000.json", tracked)
    write_pairs(results / "pairs/0000.arrow", [drawn_pair(n) for n in range(pairs)], {}, {})
    for network in ("unsup_1_5m", "unsup_8m"):
        write_network(results / f"pretraining/{network}/seed0")
    fact = Fact("0" * 64, 1, 1)
    times = ("2026-01-01T08:00:00+00:00", "2026-01-01T09:30:00+00:00")
    record = Record(
        "results/run.json", fact, {}, ["start-run"], "0.1.0", "c0ffee", "", "", "node, 2 cores",
        *times,
    )  # fmt: skip
    write_json(folder / "provenance/results/run.json.json", asdict(record))
    times_file = folder / "benchmarks/pretrain/unsup_8m_seed0.tsv"
    times_file.parent.mkdir(parents=True)
    times_file.write_text("s\th:m:s\n75.5\t0:01:15\n")


def drawn_pair(number: int) -> Pair:
    """A pair of patches of the drawn world; the first video has a strange name."""
    image, _ = draw_image(0, "train", number % 5)
    jpeg = encode_jpeg(cv2.resize(image, (99, 99)))
    video = STRANGE if number == 0 else f"v{number}"
    box = (0.0, 0.0, 99.0, 99.0)
    return Pair(video, 10, 40, box, box, 50, 20, 6.0 + number, 0.9, jpeg, jpeg)


def write_network(folder: Path) -> None:
    """Weights as they were drawn, and a log of 12 steps with a warning."""
    settings = json.dumps({"network": SMALL.model_dump(mode="json")})
    metadata = {"format": RANKING, "settings": settings, "pairs": "20"}
    save_weights(folder / "weights.safetensors", build_ranking(SMALL), metadata)
    lines: list[dict[str, object]] = [
        {
            "iteration": 10 * step,
            "loss": 0.5 - 0.01 * step,
            "violated_share": 0.9,
            "spread": 0.3,
            "images_per_second": 100.0,
            "hard_negatives": step > 6,
        }
        for step in range(1, 13)
    ]
    lines.append({"iteration": 120, "warning": "the features have collapsed"})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "log.jsonl").write_text(text + '{"iteration": 13')  # cut short by a kill


def write_voc(folder: Path) -> VocIndex:
    """A drawn devkit and its index, whose path is relative to the run's folder."""
    render_devkit(folder / DEVKIT, 2012, 4, 6, 0)
    index = make_index(Devkit(folder / DEVKIT, 2012), ["train", "val"])
    (folder / "resources/voc").mkdir(parents=True)
    write_json(folder / "resources/voc/index.json", index.to_json() | {"devkit": DEVKIT})
    return index


def write_detections(folder: Path, index: VocIndex, method: str, seed: int) -> None:
    """Of each class a right detection and a wrong one, with their curves."""
    made = folder / f"results/detection/methods/{method}/seed{seed}"
    (made / "detections").mkdir(parents=True)
    truth = read_truth(index.devkit, "val")
    images = index.images("val")
    for name, objects in truth.objects.items():
        right = objects.boxes[:1].astype(np.float32)
        lines = detection_lines(images[objects.images[0]], np.float32([0.9]), right)
        lines += detection_lines(images[-1], np.float32([0.5]), np.float32([[0, 0, 9, 9]]))
        detections_path(made / "detections", "val", name).write_text(lines)
    scored = score_folder(made / "detections", truth, "val")
    write_results(made / "ap.csv", scored)
    write_curves(made / "precision_recall.parquet", scored)


def write_rows(results: Path, table: str, methods: list[str], metrics: dict[str, float]) -> None:
    """A results table, its summary and its differences, a row a method and seed."""
    first = {"run": "tiny", "data": "miniworld", "split": "val", "pairs": 20, "rounds": 0}
    rows = []
    for place, method in enumerate(methods):
        for seed in SEEDS:
            values = {name: value + 5 * place + seed for name, value in metrics.items()}
            head = first | {"method": method, "members": 1, "seed": seed, "items": 6}
            last = last_columns(table, method, next(iter(metrics)), False, "a small test")
            rows.append(head | values | last)
    path = results / f"{table}.csv"
    write_table(path, rows)
    made = read_csv(path)
    write_csv(results / f"{table}_summary.csv", summarise(made, list(metrics)))
    differences = paired_differences(made, [(methods[-1], methods[0])], metric_names(made)[:1])
    if len(methods) == 1:
        differences = differences.iloc[:0]
    write_csv(results / f"{table}_differences.csv", differences)


def write_picture(path: Path, width: int, height: int) -> None:
    """A grey picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 128, np.uint8))
