"""How fast the pre-training is: the whole trainer beside its bare step, PyTorch's and lightly's.

    python bench/training.py                       # real patches, full width: some 15 minutes
    python bench/training.py --quick               # a small network, under a minute
    python bench/training.py --videos holiday.mp4 --json figures.json

All sides take turns on the same patches, of videos or drawn where there are none; times are of the
wall clock, as the sides share the machine's cores each in its way. Figures are medians over the
rounds, with quartiles in brackets. A GPU is taken where there is one. The loops of others stand in
bench/loops_of_others.py.
"""

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import torch
    from rounds import Rounds

    from trackssl.pairs.dataset import PairDataset

REPOSITORY = Path(__file__).parents[1]
PACKAGES = (
    "lightly",
    "lightning-fabric",
    "numpy",
    "opencv-contrib-python-headless",
    "pillow",
    "pyarrow",
    "torch",
    "torchvision",
    "trackssl",
)
ITERATIONS = 350_000  # the paper's longest run
ALL = 10**9
AHEAD = 12  # batches that a side may decode ahead, more than any does


@dataclass(frozen=True)
class Effort:
    """How much is measured. A turn's first `warm` steps do not count, nor does its set-up."""

    width: float
    input_px: int
    batch_pairs: int
    rounds: int
    warm: int
    steps: int
    threads: int  # of torch, of decoding alone and workers of the others' loaders
    distinct: int  # pairs of which the rows are made
    videos: int
    decoded: int  # batches
    peak_side: int


def effort(quick: bool, cuda: bool, threads: int) -> Effort:
    """Of the main network: a small one in a quick run, and the paper's else."""
    if quick:
        return Effort(0.25, 131, 8, 2, 1, 2, threads, 40, 2, 4, 1024)
    steps, side = (60, 16384) if cuda else (4, 4096)
    return Effort(1.0, 227, 50, 7, steps // 4, steps, threads, 400, 20, 10, side)


def miniature(main: Effort) -> Effort:
    """The same of the miniature's network, whose steps are short."""
    steps = max(30, main.steps) if main.width == 1 else main.steps
    return replace(main, width=0.25, input_px=99, warm=max(1, steps // 4), steps=steps)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Small, under a minute.")] = False,
    json: Annotated[Path | None, typer.Option(help="File for the figures.")] = None,
    videos: Annotated[
        Path | None, typer.Option(help="A video or a folder of them, in place of the test data.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="How often all sides take their turn.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of torch and of decoding; all cores else.")
    ] = None,
) -> None:
    """Measure the pre-training beside other software."""
    import torch

    from trackssl.errors import InputError
    from trackssl.files import write_json

    given = effort(quick, torch.cuda.is_available(), threads or cores())
    given = replace(given, rounds=rounds or given.rounds)
    try:
        figures = measure(_videos(videos), given) | {"quick": quick}
    except InputError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        raise typer.Exit(2) from None
    show(figures)
    if json:
        write_json(json, figures)


def measure(videos: list[Path], effort: Effort) -> dict[str, Any]:
    """All figures, flat; ratios `over_...` are above 1 where the whole trainer is the faster."""
    import loops_of_others
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(effort.threads)
    figures: dict[str, Any] = _circumstances(device)
    figures["patches"] = "of videos" if videos else "drawn"
    if not loops_of_others.has_lightly():
        figures["lightly"] = "lightly is not installed; `pip install lightly` has it measured."
    with tempfile.TemporaryDirectory() as folder:
        task = Task.of(Path(folder, "main"), videos, effort)
        figures |= task.described() | compare(task, device) | decoding(task)
        small = Task.of(Path(folder, "miniature"), videos, miniature(effort))
        found = small.described() | compare(small, device) | decoding(small)
        figures |= {f"miniature_{key}": value for key, value in found.items()}
        if device.type == "cuda":
            figures |= at_batches(task, device, (100, 1024), figures["gflop_per_image"])
    return figures


@dataclass(frozen=True)
class Task:
    """A network and the patches that it learns from."""

    effort: Effort
    pairs: Path  # the list
    files: Path  # the same patches as files
    patch_bytes: int

    @classmethod
    def of(cls, folder: Path, videos: list[Path], effort: Effort) -> "Task":
        """Write the patches. Raises InputError for videos that give none."""
        from patches import write_patches

        folder.mkdir()
        rows = effort.batch_pairs * (effort.warm + effort.steps + AHEAD)  # less than an epoch
        side = effort.input_px
        size = write_patches(folder, videos[: effort.videos], side, effort.distinct, rows)
        return cls(effort, folder / "sets.parquet", folder / "files", size)

    def network(self) -> Any:
        """A new one."""
        from trackssl.networks import RankingNetwork

        return RankingNetwork(self.effort.width, self.effort.input_px, seed=0)

    def dataset(self, threads: int | None = None) -> "PairDataset":
        """What our trainer reads, decoded in so many threads; in all of the effort's else."""
        from trackssl.config import Data
        from trackssl.pairs.dataset import PairDataset

        effort = self.effort
        data = Data(decode_threads=threads or effort.threads)
        return PairDataset(self.pairs, ALL, effort.batch_pairs, effort.input_px, seed=0, data=data)

    def described(self) -> dict[str, Any]:
        """What is trained, on what."""
        from device_limits import gflop_per_image

        by_layers, counted = gflop_per_image(self.network(), self.effort.input_px)
        effort = asdict(self.effort)
        return {
            key: effort[key] for key in ("width", "input_px", "rounds", "warm", "steps", "threads")
        } | {
            "batch_patches": 2 * self.effort.batch_pairs,
            "patch_bytes": self.patch_bytes,
            "gflop_per_image": by_layers,
            "gflop_per_image_by_torch": counted,
        }


def compare(task: Task, device: "torch.device") -> dict[str, Any]:
    """The whole trainer beside the bare step, the loops of others and a matrix product."""
    import numpy as np
    import torch
    from device_limits import gflop_per_image, peak_flops
    from loops_of_others import has_lightly, lightly_loop, plain_loop
    from rounds import in_rounds, step_seconds
    from timing import Spread

    effort = task.effort

    def seconds(loop: Iterator[None]) -> float:
        return step_seconds(loop, effort.warm, effort.steps, device)

    def others() -> tuple[Any, ...]:
        torch.use_deterministic_algorithms(False)
        return (
            task.network(),
            task.files,
            effort.input_px,
            effort.batch_pairs,
            effort.threads,
            device,
        )

    sides = {
        "ours": lambda: whole_trainer(task, device),
        "in_memory_step": lambda: seconds(in_memory(task, device)),
        "plain_loop": lambda: seconds(plain_loop(*others())),
        "peak": lambda: peak_flops(device, effort.peak_side),
    }
    if has_lightly():
        sides |= {
            "lightly": lambda: seconds(lightly_loop(*others())),
            "lightly_simclr": lambda: seconds(lightly_loop(*others(), simclr=True)),
        }
    found: Rounds = in_rounds(sides, effort.rounds)
    batch, ours, peak = 2 * effort.batch_pairs, found["ours"], found.pop("peak")
    gflop, _ = gflop_per_image(task.network(), effort.input_px)
    figures: dict[str, Any] = Spread.of(batch / ours).entries("images_per_second")
    figures |= Spread.of(peak / 1e12).entries("peak_tflops_by_product")
    figures |= Spread.of(1e9 * gflop * batch / ours / peak).entries("flops_share")
    saving = whole_trainer(task, device, checkpoint_each_step=True) - float(np.median(ours))
    figures["checkpoint_seconds"] = max(0.0, saving)
    figures["hours_350k"] = ITERATIONS * 100 / figures["images_per_second"] / 3600
    figures["over_lightly"] = None
    for name in found.keys() - {"ours"}:
        figures |= Spread.of(found[name] / ours).entries(f"over_{name}")
        figures |= Spread.of(batch / found[name]).entries(f"{name}_images_per_second")
    return figures


def whole_trainer(
    task: Task,
    device: "torch.device",
    batch_pairs: int | None = None,
    precision: str = "float32",
    checkpoint_each_step: bool = False,
) -> float:
    """Mean seconds of a step of `trackssl pretrain`, reading, decoding and log included.

    The clock starts when the trainer asks for the first batch that counts, and stops when it asks
    for the one after the last, where the run is broken off: nothing of the set-up counts, and as
    many batches are decoded in between as are learned from.
    """
    from rounds import clock

    from trackssl.config import Pretraining
    from trackssl.files import Progress
    from trackssl.pretraining.schedule import Schedule
    from trackssl.pretraining.trainer import train

    effort, times = task.effort, []
    dataset = task.dataset()
    dataset.batch_pairs = batch_pairs or effort.batch_pairs
    batches = dataset.batches

    def clocked(*args: Any, **options: Any) -> Iterator[Any]:
        given = batches(*args, **options)
        for number in range(effort.warm + effort.steps):
            if number == effort.warm:
                times.append(clock(device))
            yield next(given)
        times.append(clock(device))
        given.close()  # type: ignore[attr-defined]
        raise _EnoughError

    dataset.batches = clocked  # type: ignore[method-assign]
    every = 1e-9 if checkpoint_each_step else 3600.0
    settings = Pretraining.model_validate(
        {
            "batch_pairs": dataset.batch_pairs,
            "precision": precision,
            "checkpoint_every_seconds": every,
        }
    )
    schedule = Schedule(ITERATIONS, 0, settings.learning_rate, None)
    with tempfile.TemporaryDirectory() as folder:
        progress = Progress(Path(folder), {}, "benchmark")
        with suppress(_EnoughError):
            train(task.network(), dataset, schedule, settings, 0, progress)
    begin, end = times
    return (end - begin) / effort.steps


class _EnoughError(Exception):
    """All steps of a turn are done."""


def in_memory(
    task: Task,
    device: "torch.device",
    batch_pairs: int | None = None,
    precision: str = "float32",
) -> Iterator[None]:
    """The trainer's step, without end, on one batch that lies on the device; yields after each."""
    import torch

    from trackssl.config import Pretraining
    from trackssl.networks import parameter_groups
    from trackssl.pretraining.ranking import ranking_loss

    torch.use_deterministic_algorithms(device.type == "cpu")  # as the trainer does
    settings = Pretraining()
    network = task.network().to(device)
    groups = parameter_groups(network, settings.learning_rate, settings.weight_decay)
    optimiser = torch.optim.SGD(groups, settings.learning_rate, momentum=settings.momentum)
    given = task.dataset().batch(0)
    pairs = batch_pairs or task.effort.batch_pairs
    rows = torch.arange(pairs) % len(given.first)
    first, last = (side[rows].to(device) for side in given[:2])
    videos = torch.arange(pairs, device=device)
    draws = torch.Generator().manual_seed(0)
    while True:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            features = network(torch.cat([first, last]))
        loss = ranking_loss(*features.float().chunk(2), videos, True, settings, draws).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield


def at_batches(
    task: Task, device: "torch.device", batches: tuple[int, ...], gflop: float
) -> dict[str, Any]:
    """The step in memory and the whole trainer at batches of so many patches, each precision."""
    from device_limits import PRECISIONS, computing_in, peak_flops
    from rounds import in_rounds, step_seconds
    from timing import Spread

    effort, figures = task.effort, {}

    def bare(*kind: Any) -> float:
        with computing_in(kind[1]):
            loop = in_memory(task, device, *kind)
            return step_seconds(loop, effort.warm, effort.steps, device)

    for precision in PRECISIONS:
        for images in batches:
            kind = images // 2, precision
            sides = {
                "peak": lambda kind=kind: peak_flops(device, effort.peak_side, kind[1]),
                "step": lambda kind=kind: bare(*kind),
                "whole": lambda kind=kind: whole_trainer(task, device, *kind),
            }
            found = in_rounds(sides, min(3, effort.rounds))
            peak = found.pop("peak")
            figures |= Spread.of(peak / 1e12).entries(f"peak_tflops_{precision}")
            for name, seconds in found.items():
                key, rate = f"{name}_{images}_{precision}", images / seconds
                figures |= Spread.of(rate).entries(f"{key}_images_per_second")
                figures |= Spread.of(1e9 * gflop * rate / peak).entries(f"{key}_flops_share")
    return figures


def decoding(task: Task) -> dict[str, Any]:
    """Images a second of the dataset alone, in one thread and in all, in turn."""
    from time import perf_counter

    from rounds import in_rounds
    from timing import Spread

    def rate(threads: int) -> float:
        dataset = task.dataset(threads)
        begin = perf_counter()
        images = sum(2 * len(batch.first) for batch in dataset.batches(0, task.effort.decoded))
        return images / (perf_counter() - begin)

    rate(1)
    sides = {
        "decode_images_per_second": lambda: rate(task.effort.threads),
        "decode_images_per_second_one_thread": lambda: rate(1),
    }
    found = in_rounds(sides, task.effort.rounds).items()
    return {k: v for name, rates in found for k, v in Spread.of(rates).entries(name).items()}


def show(figures: dict[str, Any]) -> None:
    """Print the figures as tables."""
    f, console = figures, Console()

    def spread(key: str) -> str:
        if f.get(key) is None:
            return ""
        values = (f[key], *f[f"{key}_quartiles"])
        median, low, high = (f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in values)
        return f"{median} ({low}-{high})"

    for prefix in ("", "miniature_"):
        network = f"width {f[f'{prefix}width']:g}, {f[f'{prefix}input_px']} px"
        title = f"{network}, batches of {f[f'{prefix}batch_patches']} patches, {f['device']}"
        table = Table("training", "images/s", "ours / it", title=title)
        table.add_row("ours, whole trainer", spread(f"{prefix}images_per_second"), "")
        for name, label in SIDES.items():
            rate = spread(f"{prefix}{name}_images_per_second")
            table.add_row(label, rate or "not measured", spread(f"{prefix}over_{name}"))
        table.add_section()
        table.add_row("dataset alone, all threads", spread(f"{prefix}decode_images_per_second"), "")
        alone = spread(f"{prefix}decode_images_per_second_one_thread")
        table.add_row("dataset alone, one thread", alone, "")
        console.print(table)
        console.print(
            f"{f[f'{prefix}gflop_per_image']:.3g} GFLOP an image, forward and backward "
            f"({f[f'{prefix}gflop_per_image_by_torch']:.3g} by torch's counter): "
            f"{spread(f'{prefix}flops_share')} of the {spread(f'{prefix}peak_tflops_by_product')} "
            "TFLOP/s of a large float32 matrix product. "
            f"350,000 iterations of 100 patches: {f[f'{prefix}hours_350k']:,.1f} hours. "
            f"A checkpoint: {f[f'{prefix}checkpoint_seconds']:.2g} s.",
            highlight=False,
        )
    if "lightly" in f:
        console.print(f["lightly"], highlight=False)
    kinds = [key.removesuffix("_flops_share") for key in f if key.endswith("_flops_share")]
    table = Table("batch, numbers", "images/s", "share of peak", "hours for 350,000")
    for kind in kinds:
        if kind.startswith(("step_", "whole_")):
            images, rate = int(kind.split("_")[1]), f[f"{kind}_images_per_second"]
            hours = f"{ITERATIONS * images / rate / 3600:.1f}"
            share = spread(f"{kind}_flops_share")
            rates = spread(f"{kind}_images_per_second")
            table.add_row(kind.replace("_", " "), rates, share, hours)
    if table.row_count:
        console.print(table)


SIDES = {
    "in_memory_step": "its step on a batch in memory",
    "plain_loop": "PyTorch's plain loop",
    "lightly": "lightly's loop, views mirrored only",
    "lightly_simclr": "lightly's loop, SimCLR's views",
}


def cores() -> int:
    """Cores that this process may use: torch's threads, decoding threads, workers of loaders."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _videos(given: Path | None) -> list[Path]:
    """The videos of a folder, or the one that was given; without it, the test data's, or none.

    Raises InputError where one was given and there is none.
    """
    from trackssl.errors import InputError
    from trackssl.videos.decode import is_video

    data = Path(os.environ.get("TRACKSSL_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    place = given or data / "videos"
    found = sorted(place.iterdir()) if place.is_dir() else [place]
    videos = [path for path in found if is_video(path)]
    if given and not videos:
        raise InputError(
            f"{place}: there is no video; name a folder or a file by --videos, or leave it out "
            "for drawn patches."
        )
    return videos


def _circumstances(device: "torch.device") -> dict[str, Any]:
    """When, where and with what the figures were taken."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu = models[0] if models else platform.machine()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu
    machine = {"cpu": cpu, "cores": os.cpu_count(), "torch_threads": torch.get_num_threads()}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": f"{device.type}: {name}",
        "machine": machine,
        "versions": {"python": platform.python_version()} | dict(map(_version, PACKAGES)),
    }


def _version(package: str) -> tuple[str, str | None]:
    try:
        return package, version(package)
    except PackageNotFoundError:
        return package, None


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    typer.run(main)
