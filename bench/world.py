"""Is the drawn world a fair place for detection? Judged without a look at the rows compared.

python bench/world.py --out world.csv --seeds 0 --seeds 1 --seeds 2    # 40 minutes on two cores

A world serves when labels are worth something in it (ten times as many, and four times as long a
training, lift a network trained from scratch to at least twice its mAP) and when no simple cue
gives the classes away (colour histograms and raw pixels, with ten times the labels too, stay under
half of what that network reaches). All go through the pipeline's own commands; the controls'
features stand in place of a network's.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from trackssl.config import Config, load_config
from trackssl.datasets.voc import VocIndex, read_index
from trackssl.detection.crops import cut_windows
from trackssl.detection.proposals import ProposalFile
from trackssl.detection.windows import image_windows
from trackssl.images import Image, read_image
from trackssl.tables import read_csv, write_csv

MORE_LABELS = 10
LONGER = 4  # times the iterations, on more labels
PIXELS_SIDE = 16
BINS = 8  # of hue, of saturation and of value


def colour_histogram(crops: Image) -> NDArray[np.float32]:
    """Crops (N, S, S, 3) uint8 BGR -> (N, 512) square roots of shares, a bin a cube of HSV."""
    found = []
    for crop in crops:
        hsv = cv2.cvtColor(crop, cv2.COLOR_BGR2HSV)
        counts = cv2.calcHist([hsv], [0, 1, 2], None, [BINS] * 3, [0, 180, 0, 256, 0, 256])
        found.append(np.sqrt(counts.ravel() / counts.sum()))
    return np.array(found, np.float32)


def raw_pixels(crops: Image) -> NDArray[np.float32]:
    """Crops (N, S, S, 3) uint8 BGR -> (N, 768) values of 16 x 16 pixels, without their mean."""
    side = (PIXELS_SIDE, PIXELS_SIDE)
    small = [cv2.resize(crop, side, interpolation=cv2.INTER_AREA).ravel() for crop in crops]
    values = np.array(small, np.float32) / 255
    return values - values.mean(axis=1, keepdims=True)


CONTROLS: dict[str, Callable[[Image], NDArray[np.float32]]] = {
    "colour histogram": colour_histogram,
    "raw pixels": raw_pixels,
}


def write_control(
    describe: Callable[[Image], NDArray[np.float32]],
    index: VocIndex,
    split: str,
    proposals: ProposalFile,
    out: Path,
) -> None:
    """The features of a control for all windows of a split, as `extract-features` writes them."""
    rows = []
    for windows in image_windows(index, split, proposals):
        image = read_image(index.devkit.image_path(windows.image))
        crops = cut_windows(image, windows.boxes, 64, 0, np.zeros(len(windows.boxes), bool))
        rows.append(describe(crops).astype(np.float16))
    np.save(out, np.concatenate(rows))


class World:
    """A devkit of so many training images in a folder, and the commands that work on it."""

    def __init__(self, folder: Path, config: Config, labels: int) -> None:
        self.folder, self.config = folder, config
        voc = config.voc.model_copy(
            update={
                "train_images": labels * config.voc.train_images,
                "devkit": str(folder / "VOCdevkit"),
            }
        )
        self.voc = folder / "voc.json"
        longer = LONGER if labels > 1 else 1
        self.iterations = longer * config.finetuning.iterations
        self.steps = longer * (config.finetuning.lr_step_iterations or self.iterations)
        self.splits = (voc.train_split, voc.test_split)
        self.year, self.rule = voc.year, voc.rule
        _trackssl("fetch-voc", "--settings", voc.model_dump_json(), "--out", self.voc)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(self._propose, self.splits))

    def proposals(self, split: str) -> Path:
        """The file of a split's windows."""
        return self.folder / f"{split}.arrow"

    def _propose(self, split: str) -> None:
        _trackssl(
            "propose-windows", "--voc", self.voc, "--split", split,
            "--settings", self.config.proposals.model_dump_json(),
            "--out", self.proposals(split), "--progress", self.folder / f"progress_{split}",
        )  # fmt: skip

    def network(self, seed: int) -> float:
        """mAP in percent of a network from scratch."""
        name = f"scratch{seed}"
        train = self.splits[0]
        tuning = self.config.finetuning.model_copy(
            update={"iterations": self.iterations, "lr_step_iterations": self.steps}
        )
        weights = self.folder / f"{name}.safetensors"
        _trackssl(
            "finetune", "--voc", self.voc, "--split", train, "--proposals", self.proposals(train),
            "--init", "random", "--network", self.config.network.model_dump_json(),
            "--settings", tuning.model_dump_json(), "--seed", seed, "--threads", 1,
            "--out", weights, "--log", weights.with_suffix(".jsonl"),
            "--progress", self.folder / f"progress_{name}",
        )  # fmt: skip
        for split in self.splits:
            _trackssl(
                "extract-features", "--weights", weights, "--voc", self.voc, "--split", split,
                "--proposals", self.proposals(split), "--layer", self.config.svm.layer,
                "--threads", 1, "--out", self._features(name, split),
                "--progress", self.folder / f"progress_{name}_{split}",
            )  # fmt: skip
        return self._score(name)

    def control(self, name: str) -> float:
        """mAP in percent of one of `CONTROLS`."""
        index = read_index(self.voc)
        for split in self.splits:
            proposals = ProposalFile(self.proposals(split), index.images(split))
            write_control(CONTROLS[name], index, split, proposals, self._features(name, split))
        return self._score(name)

    def _features(self, name: str, split: str) -> Path:
        return self.folder / f"{name.replace(' ', '_')}_{split}.npy"

    def _score(self, name: str) -> float:
        train, test = self.splits
        svms = self.folder / f"{name.replace(' ', '_')}_svms.safetensors"
        settings = self.config.svm.model_dump_json()
        _trackssl(
            "train-svms", "--voc", self.voc, "--split", train, "--proposals", self.proposals(train),
            "--features", self._features(name, train), "--settings", settings, "--threads", 1,
            "--out", svms,
        )  # fmt: skip
        found = svms.with_suffix("")
        _trackssl(
            "detect-windows", "--svms", svms, "--voc", self.voc, "--split", test,
            "--proposals", self.proposals(test), "--features", self._features(name, test),
            "--settings", settings, "--threads", 1, "--out", found,
        )  # fmt: skip
        _trackssl(
            "voc-ap", "--detections", found, "--devkit", self.folder / "VOCdevkit",
            "--year", self.year, "--rule", self.rule, "--split", test,
            "--out", found.with_suffix(".csv"),
        )  # fmt: skip
        for split in self.splits:
            self._features(name, split).unlink()
        return 100 * float(read_csv(found.with_suffix(".csv")).set_index("class").ap["mean"])


def _trackssl(*words: object) -> None:
    done = subprocess.run(["trackssl", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr.strip()[-2000:])


def judge(rows: pd.DataFrame) -> dict[str, object]:
    """Means over seeds of rows (method, labels, seed, mAP), and whether the criteria hold."""
    mean = rows.groupby(["method", "labels"]).mAP.mean()
    scratch, more = mean["scratch", 1], mean["scratch", MORE_LABELS]
    controls = {name: mean[name, MORE_LABELS] for name in CONTROLS}
    return {
        "scratch": scratch,
        "scratch_with_ten_times_the_labels": more,
        **controls,
        "labels_are_worth_something": bool(more >= 2 * scratch),
        "no_simple_cue": bool(max(controls.values()) < more / 2),
    }


def main(
    out: Annotated[Path, typer.Option(help="CSV to write, a row a method, labels and seed.")],
    config: Annotated[Path, typer.Option(help="The run whose world is judged.")] = Path(
        "config.yaml"
    ),
    seeds: Annotated[list[int] | None, typer.Option(help="Of the networks; default 0.")] = None,
    work: Annotated[Path | None, typer.Option(help="Folder to keep.")] = None,
) -> None:
    """Judge the world of a config."""
    run = load_config(config)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (work or Path(temporary)).resolve()
        jobs: list[tuple[str, int, int, Callable[[], float]]] = []
        for labels in (MORE_LABELS, 1):
            (folder / str(labels)).mkdir(parents=True, exist_ok=True)
            world = World(folder / str(labels), run, labels)
            for seed in seeds or [0]:
                jobs.append(("scratch", labels, seed, partial(world.network, seed)))
            for name in CONTROLS:
                jobs.append((name, labels, 0, partial(world.control, name)))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            scores = list(pool.map(lambda job: job[3](), jobs))
    rows = pd.DataFrame(
        [(*job[:3], score) for job, score in zip(jobs, scores, strict=True)],
        columns=["method", "labels", "seed", "mAP"],
    )
    write_csv(out, rows, 6)
    table = Table("method", "times the labels", "seed", "mAP", title="The world, judged")
    for (method, labels, seed, _), score in zip(jobs, scores, strict=True):
        table.add_row(method, str(labels), str(seed), f"{score:.1f}")
    Console().print(table)
    print(json.dumps(judge(rows), indent=2))


if __name__ == "__main__":
    typer.run(main)
