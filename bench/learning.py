"""Does pre-training learn? Loss, triplets and nearest neighbours on VOC, epoch by epoch.

python bench/learning.py --out learning        # after `make demo`, in its folder: ten minutes
python bench/learning.py --run FOLDER --config FOLDER/config.yaml --seeds 0 --seeds 1 --seeds 2

On the pairs of a finished run, its largest set, are trained: the config's own settings, and the
presets `paper` and `released` on the same sets at the same rate. The loss follows the choice of
negatives, so it jumps when they turn hard; `misranked` and the neighbours do not depend on it.
"""

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import cv2
import matplotlib
import numpy as np
import pandas as pd
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from trackssl.config import Config, Pretraining, load_config, parse, read_yaml
from trackssl.datasets.voc import VocIndex, read_index
from trackssl.detection.crops import cut_windows
from trackssl.files import whole_file
from trackssl.images import read_image
from trackssl.networks import build_ranking
from trackssl.pairs.augment import Augmentation
from trackssl.pairs.dataset import Batch, PairDataset
from trackssl.pretraining.schedule import pretraining_schedule
from trackssl.pretraining.trainer import train
from trackssl.tables import write_csv

matplotlib.use("Agg")
from matplotlib import pyplot as plt

NEIGHBOURS = 20  # as the paper
MEASURED_PAIRS = 400
BATCH_IMAGES = 200
PAIRS, INDEX = Path("results/pairs/sets.parquet"), Path("resources/voc/index.json")
OF_A_PRESET = {
    "preset",
    "margin",
    "anchors",
    "negatives",
    "negative_choice",
    "hard_share",
    "divisor",
}
PANELS = {
    "loss": "loss / margin (1: collapsed)",
    "violated": "violated, of the chosen triplets",
    "misranked": "another video's patch nearer than the partner",
    "spread": "spread of the features (0: collapsed)",
    "fc7_top20": "VOC neighbours of the query's class, fc7",
    "pool5_top20": "VOC neighbours of the query's class, pool5",
}
NAMES = {"loss": "loss / margin"}
COLOURS = {"paper": "#c44e52", "released": "#4c72b0"}
Features = NDArray[np.float32]


class Objects:
    """The objects of a VOC split as crops (N, 3, side, side) uint8 BGR, and their classes."""

    def __init__(self, index: VocIndex, split: str, side: int) -> None:
        crops, classes = [], list[str]()
        for image, annotation in index.annotations(split):
            pixels, count = read_image(index.devkit.image_path(image)), len(annotation.boxes)
            crops.append(cut_windows(pixels, annotation.boxes, side, 0, np.zeros(count, bool)))
            classes += annotation.classes
        self.images = torch.from_numpy(np.concatenate(crops)).permute(0, 3, 1, 2)
        self.classes = np.array(classes)


class Exam:
    """What is measured of a network at the end of an epoch, on data that is always the same."""

    def __init__(self, config: Config, pairs: Batch) -> None:
        index = read_index(INDEX)
        side = config.network.input_px
        self.queries = Objects(index, config.voc.test_split, side)
        self.gallery = Objects(index, config.voc.train_split, side)
        self.patches = torch.cat([pairs.first, pairs.last])
        videos = pairs.videos.numpy()
        self.others = videos[:, None] != np.tile(videos, 2)[None, :]  # (B, 2B)
        same = self.queries.classes[:, None] == self.gallery.classes[None, :]
        self.chance = float(same.mean())
        self.best = float(np.minimum(same.sum(axis=1) / min(NEIGHBOURS, same.shape[1]), 1).mean())

    def __call__(self, network: Any) -> dict[str, float]:
        """Shares in 0..1 of a ranking network, which stays as it was."""
        training = network.training
        network.eval()
        with torch.inference_mode():
            queries, gallery = (_features(network, o.images) for o in (self.queries, self.gallery))
            fc7 = _features(network, self.patches)["fc7"]
        network.train(training)
        cosines = fc7[: len(self.others)] @ fc7.T  # (B, 2B)
        partner = np.diagonal(cosines, len(self.others))[:, None]
        # A tie counts half: features that are all the same rank as chance does.
        wrong = (cosines > partner) + 0.5 * (cosines == partner)
        found = {"misranked": float(wrong[self.others].mean())}
        for layer in queries:
            order = np.argsort(-(queries[layer] @ gallery[layer].T), axis=1, kind="stable")
            right = self.gallery.classes[order] == self.queries.classes[:, None]
            found[f"{layer}_top20"] = float(right[:, :NEIGHBOURS].mean())
            found[f"{layer}_p1"] = float(right[:, 0].mean())
        return found


def _features(network: Any, images: torch.Tensor) -> dict[str, Features]:
    """Unit features (N, dim) of each layer."""
    rows: dict[str, list[Features]] = {"fc7": [], "pool5": []}
    for batch in images.split(BATCH_IMAGES):
        rows["fc7"].append(network(batch).numpy())
        rows["pool5"].append(network.pool5(batch).flatten(1).numpy())
    joined = {layer: np.concatenate(found) for layer, found in rows.items()}
    return {
        layer: f / np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-12)
        for layer, f in joined.items()
    }


def settings_to_try(config: Config, section: dict[str, Any]) -> dict[str, Pretraining]:
    """The config's own settings under its name, and the presets, else as the config says."""
    shared = {key: value for key, value in section.items() if key not in OF_A_PRESET}
    tried = {config.name: config.pretraining}
    for preset in ("paper", "released"):
        tried[preset] = parse(Pretraining, {**shared, "preset": preset}, "pretraining")
    # Collapsed runs go on: here they are a result.
    return {
        name: settings.model_copy(update={"collapse_patience_steps": None})
        for name, settings in tried.items()
    }


def learn(config: Config, name: str, settings: Pretraining, seed: int, exam: Exam) -> pd.DataFrame:
    """Train once -> a row an epoch: the epoch's mean of what the log says, and the exam after it.

    Epoch 0 is the network as drawn, its loss that of the first batch.
    """
    set_name = list(settings.sets)[-1]
    dataset = PairDataset(
        PAIRS,
        settings.sets[set_name].size,
        settings.batch_pairs,
        config.network.input_px,
        seed,
        Augmentation.of(settings),
        config.data,
    )
    schedule = pretraining_schedule(settings, set_name, len(dataset))
    network = build_ranking(config.network, seed)
    exams: dict[int, dict[str, float]] = {}

    def on_epoch(epoch: int) -> None:
        exams[epoch] = exam(network)

    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder)
        train(network, dataset, schedule, settings, seed, progress, 1, on_epoch=on_epoch)
        lines = map(json.loads, (progress / "log.jsonl").read_text().splitlines())
        log = pd.DataFrame([line for line in lines if "loss" in line])
    log = log.rename(columns={"violated_share": "violated"})
    log["loss"] /= settings.margin
    log["epoch"] = log["epoch"].map(math.ceil)
    first = log.iloc[:1].assign(epoch=0)  # logged before the first step
    means = pd.concat([first, log]).groupby("epoch")[["loss", "violated", "spread"]].mean()
    rows = means.join(pd.DataFrame.from_dict(exams, orient="index"), how="inner").reset_index()
    rows.insert(0, "seed", seed)
    rows.insert(0, "settings", name)
    return rows.assign(hard_from=schedule.hard_from * settings.batch_pairs / len(dataset))


def draw(rows: pd.DataFrame, chance: float, path: Path) -> None:
    """The figure: means over the seeds as lines, their least and largest values as bands."""
    figure, axes = plt.subplots(2, 3, figsize=(11, 6), sharex=True, layout="constrained")
    for axis, (column, title) in zip(axes.flat, PANELS.items(), strict=True):
        for name, group in rows.groupby("settings", sort=False):
            values = group.groupby("epoch")[column].agg(["mean", "min", "max"])
            colour = COLOURS.get(str(name), "#55a868")
            axis.fill_between(values.index, values["min"], values["max"], color=colour, alpha=0.2)
            # The config's own lies broad below the preset that it equals at first.
            width = 1.5 if name in COLOURS else 3.5
            axis.plot(values.index, values["mean"], color=colour, label=name, linewidth=width)
        axis.axvline(rows["hard_from"].iloc[0], color="grey", linewidth=0.8, linestyle=":")
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[1]:
        axis.set_xlabel("epoch")
    axes[0, 0].axhline(1, color="grey", linewidth=0.8, label="margin, or chance")
    axes[0, 2].axhline(0.5, color="grey", linewidth=0.8)
    for axis in axes[1, 1:]:
        axis.axhline(chance, color="grey", linewidth=0.8)
    axes[0, 0].plot([], [], color="grey", linewidth=0.8, linestyle=":", label="hard negatives from")
    for axis in axes.flat:
        axis.set_ylim(bottom=0, top=1.05 * axis.get_ylim()[1])
    for axis in axes[1, 1:]:  # read side by side
        axis.set_ylim(top=max(other.get_ylim()[1] for other in axes[1, 1:]))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    with whole_file(path) as part:
        figure.savefig(part, dpi=130, format="png")
    plt.close(figure)


def table(rows: pd.DataFrame, title: str, caption: str) -> Table:
    """Mean and range over the seeds: before training, before negatives turn hard, at the end."""
    last_random, last = math.floor(rows["hard_from"].iloc[0]), rows["epoch"].max()
    epochs = sorted({0, min(last_random, last), last})
    drawn = Table("settings", "", *(f"epoch {e}" for e in epochs), title=title, caption=caption)
    for name, group in rows.groupby("settings", sort=False):
        for measure in (*PANELS, "fc7_p1", "pool5_p1"):
            values = group.groupby("epoch")[measure].agg(["mean", "min", "max"]).loc[epochs]
            cells = [f"{m:.2f} ({low:.2f}-{high:.2f})" for m, low, high in values.to_numpy()]
            drawn.add_row(
                "" if measure != "loss" else str(name), NAMES.get(measure, measure), *cells
            )
        drawn.add_section()
    return drawn


def main(
    run: Annotated[Path, typer.Option(help="Folder of a finished run.")] = Path(),
    config: Annotated[Path, typer.Option(help="Its config.")] = Path("config.yaml"),
    seeds: Annotated[list[int] | None, typer.Option(help="[default: 0, 1 and 2]")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the CSV and the figure.")] = Path("learning"),
    threads: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Pre-train on a run's pairs, preset by preset and seed by seed, and measure what is learnt."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    console = Console()
    chosen, out = load_config(config), out.resolve()
    tried = settings_to_try(chosen, read_yaml(config).get("pretraining", {}))
    os.chdir(run)  # the paths in a run's files begin there
    size = list(chosen.pretraining.sets.values())[-1].size
    side = chosen.network.input_px
    count = min(size, MEASURED_PAIRS, len(pd.read_parquet(PAIRS, columns=["row"])))
    exam = Exam(chosen, PairDataset(PAIRS, size, count, side, 0).batch(0))
    found: list[pd.DataFrame] = []
    for seed in seeds or [0, 1, 2]:
        for name, settings in tried.items():
            found.append(learn(chosen, name, settings, seed, exam))
            rows = pd.concat(found)
            write_csv(out / "learning.csv", rows, 6)  # a run that was ended leaves what is done
            last = rows.iloc[-1]
            console.print(
                f"seed {seed}, {name}: loss / margin {last['loss']:.2f}, spread "
                f"{last['spread']:.3f}, fc7 {last['fc7_top20']:.3f} after {last['epoch']} epochs"
            )
    draw(rows, exam.chance, out / "learning.png")
    caption = (
        f"top20: share of the {NEIGHBOURS} nearest of {len(exam.gallery.classes)} objects that "
        f"have the query's class, mean of {len(exam.queries.classes)} queries; by chance "
        f"{exam.chance:.3f}, at best {exam.best:.3f}. p1: of the nearest one. misranked: on "
        f"{count} pairs, by chance .5."
    )
    console.print(table(rows, f"Run '{chosen.name}', {rows['seed'].nunique()} seeds", caption))


if __name__ == "__main__":
    typer.run(main)
