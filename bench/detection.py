"""How fast windows become features, beside the network alone and a plain loop; and the SVMs.

    python bench/detection.py                 # full width, the miniature's; SVMs of 500,000 windows
    python bench/detection.py --quick         # the miniature's alone, few windows: a minute
    python bench/detection.py --json figures.json

Images and windows are drawn: JPEGs of 500 x 375 with as many windows as R-CNN has. All sides take
turns on the same windows; times are of the wall clock, medians over the rounds with quartiles. A
GPU is taken where there is one.
"""

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import nn

from trackssl.boxes import Boxes
from trackssl.config import Network
from trackssl.datasets.voc import Annotation
from trackssl.detection.crops import Cutter, cut_windows
from trackssl.detection.features import Source, extract_features, layer_features
from trackssl.files import write_json
from trackssl.images import encode_jpeg, read_image
from trackssl.networks import build_detector

WIDTH, HEIGHT = 500, 375
CONTEXT_PX = 16
BATCH = 128
KEYS = ("windows_per_second", "over_forward_only", "speedup_over_plain_loop", "seconds_per_image")


@dataclass(frozen=True)
class Effort:
    """How much is measured, of which network."""

    network: Network
    images: int
    windows: int  # an image
    alone: int  # windows of the plain loop
    rounds: int


def efforts(quick: bool, cuda: bool, rounds: int | None) -> dict[str, Effort]:
    """By prefix of the keys: the paper's network, none in a quick run, and the miniature's."""
    small = Network(width=0.25, input_px=99)
    if quick:
        return {"": Effort(small, 2, 200, 20, rounds or 2)}
    images, windows = (12, 2000) if cuda else (2, 400)
    return {
        "": Effort(Network(), images, windows, 40, rounds or 5),
        "miniature_": Effort(small, 10, 2000 if cuda else 400, 200, rounds or 5),
    }


class Photographs:
    """Drawn JPEGs with an object each, in place of a VOC index, its devkit and its proposals."""

    sha256 = ""

    def __init__(self, folder: Path, count: int, windows: int) -> None:
        rng = np.random.default_rng(0)
        self.folder, self.names = folder, [f"{number:06d}" for number in range(count)]
        self.splits = {"train": {"objects": count}}
        self.windows, self.path = count * (windows - 1), folder / "none"
        self.boxes = [_boxes(rng, windows - 1) for _ in self.names]
        self.path.write_bytes(b"")
        for name in self.names:
            coarse = rng.integers(0, 256, (24, 32, 3)).astype(np.uint8)
            pixels = np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT)), np.uint8)
            self.image_path(name).write_bytes(encode_jpeg(pixels))

    @property
    def devkit(self) -> "Photographs":
        """Knows the images' paths."""
        return self

    def image_path(self, name: str) -> Path:
        """As the devkit's."""
        return self.folder / f"{name}.jpg"

    def annotations(self, _: str) -> Iterator[tuple[str, Annotation]]:
        """As the index's."""
        whole, no = np.float32([[0, 0, WIDTH, HEIGHT]]), np.zeros(1, bool)
        return ((n, Annotation(WIDTH, HEIGHT, ("it",), whole, no, no)) for n in self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: int) -> Boxes:
        return self.boxes[number]


def _boxes(rng: np.random.Generator, count: int) -> Boxes:
    sides = rng.uniform(0.08, 0.8, (count, 2)) * [WIDTH, HEIGHT]
    corner = rng.random((count, 2)) * ([WIDTH, HEIGHT] - sides)
    return np.rint(np.hstack([corner, corner + sides])).astype(np.float32)


@dataclass(frozen=True)
class Ready(Source):
    """A network in memory, so that no turn counts the reading of weights."""

    made: nn.Module | None = None

    def open(self, _: Any) -> tuple[nn.Module, Network, int]:
        """What was made before."""
        assert self.made is not None
        assert self.network is not None
        return self.made, self.network, CONTEXT_PX

    def identity(self) -> dict[str, Any]:
        """None is needed: nothing is continued."""
        return {}


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Small, under a minute.")] = False,
    json: Annotated[Path | None, typer.Option(help="File for the figures.")] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="How often all sides take their turn.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of torch; all cores else.")] = None,
) -> None:
    """Measure feature extraction and the training of SVMs."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    figures: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if cuda else f"cpu: {platform.machine()}",
        "torch_threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "opencv": cv2.__version__},
        "quick": quick,
    }
    for prefix, effort in efforts(quick, cuda, rounds).items():
        found = extraction(effort, device)
        figures |= {f"{prefix}{key}": value for key, value in found.items()}
    figures |= svms(quick)
    show(figures)
    if json:
        write_json(json, figures)


def extraction(effort: Effort, device: torch.device) -> dict[str, Any]:
    """Windows a second of the command's own work, of its network alone and of the plain loop."""
    from rounds import clock, in_rounds
    from timing import Spread

    network, px = effort.network, effort.network.input_px
    detector = build_detector("random", network.width, px, 21).eval().to(device)
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        data = Photographs(Path(name), effort.images, effort.windows)
        source, total = Ready(None, network=network, made=detector), effort.images * effort.windows
        pixels = read_image(data.image_path(data.names[0]))
        cutter = Cutter(detector, px, CONTEXT_PX, device)
        boxes = data.boxes[0][:BATCH]
        none, straight = np.zeros(len(boxes), np.int64), np.zeros(len(boxes), bool)
        crops = cutter.cut([cutter.take(pixels)], none, boxes, straight)

        def whole() -> float:
            begin = clock(device)
            out = Path(name, "features.npy")
            extract_features(source, data, "train", data, "fc7", out)  # type: ignore[arg-type]
            return total / (clock(device) - begin)

        def forward() -> float:
            begin, done = clock(device), 0
            while done < total:
                few = crops[: min(BATCH, total - done)]
                layer_features(detector, few, "fc7").half().cpu()
                done += len(few)
            return total / (clock(device) - begin)

        def plain() -> float:
            begin = clock(device)
            image = read_image(data.image_path(data.names[0]))
            for box in data.boxes[0][: effort.alone]:
                crop: NDArray[Any] = cut_windows(image, box[None], px, CONTEXT_PX, straight[:1])
                window = torch.from_numpy(crop).permute(0, 3, 1, 2).to(device)
                layer_features(detector, window, "fc7").half().cpu()
            return effort.alone / (clock(device) - begin)

        for warm in (forward, plain):
            warm()
        sides = {"whole": whole, "forward_only": forward, "plain_loop": plain}
        rates = in_rounds(sides, effort.rounds)
    figures: dict[str, Any] = {
        "width": network.width,
        "input_px": px,
        "windows_per_image": effort.windows,
        **Spread.of(rates["whole"]).entries("windows_per_second"),
        **Spread.of(effort.windows / rates["whole"]).entries("seconds_per_image"),
        **Spread.of(rates["whole"] / rates["forward_only"]).entries("over_forward_only"),
        **Spread.of(rates["whole"] / rates["plain_loop"]).entries("speedup_over_plain_loop"),
    }
    return figures


def svms(quick: bool) -> dict[str, Any]:
    """Seconds and memory of the SVMs' training; None where that part is not there."""
    if find_spec("svm_part") is None:
        return {
            "svm_seconds": None,
            "svm_peak_mib": None,
            "svm": "bench/svm_part.py is not there, so the training of SVMs was not measured.",
        }
    from svm_part import svm_figures

    return svm_figures(8_000 if quick else 500_000, torch.get_num_threads())


def show(figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table("figure", "median (quartiles)", title=f"detection, {figures['device']}")
    for prefix in ("", "miniature_"):
        if f"{prefix}width" not in figures:
            continue
        table.add_row(f"width {figures[f'{prefix}width']:g}, {figures[f'{prefix}input_px']} px", "")
        for key in KEYS:
            low, high = figures[f"{prefix}{key}_quartiles"]
            words = key.replace("_", " ")
            table.add_row(f"  {words}", f"{figures[f'{prefix}{key}']:.3g} ({low:.3g}-{high:.3g})")
    for key, value in figures.items():
        if key.startswith("svm_") and value is not None:
            table.add_row(key.replace("_", " "), f"{value:,.4g}")
    console = Console()
    console.print(table)
    if "svm" in figures:
        console.print(figures["svm"], highlight=False)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    typer.run(main)
