"""What stands against a plan: too few videos, too little room, no GPU, a throttled network."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trackssl.planning.plan import Plan, make_plan
from trackssl.planning.units import size
from trackssl.planning.video_costs import wanted_pairs


@dataclass(frozen=True)
class Machine:
    """What is at hand here: processor cores, GPUs, and bytes free where the run will lie."""

    cores: int
    gpus: int
    free: float

    @classmethod
    def here(cls, folder: Path) -> "Machine":
        """This machine; `folder` need not exist yet."""
        import torch

        folder = folder.resolve()
        while not folder.exists():
            folder = folder.parent
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return cls(cores or 1, torch.cuda.device_count(), shutil.disk_usage(folder).free)


def limits(plan: Plan, machine: Machine) -> Iterator[str]:
    """One sentence each."""
    yield from _pairs(plan)
    yield from _disk(plan, machine)
    yield from _gpus(plan, machine)
    if plan.run.videos.source == "youtube":
        rate = plan.figures["youtube_videos_per_hour"]
        days = plan.found.listed / rate / 24
        if days > 1:
            yield (
                f"YouTube lets a guest have about {rate:g} videos an hour: {days:.0f} days of "
                "fetching by one address."
            )
    days = plan.core_hours / machine.cores / 24
    if days > 1:
        yield (
            f"The core-hours alone are {days:,.0f} days of this machine's {machine.cores} cores; "
            "profiles/slurm runs the same jobs on a cluster."
        )


def _pairs(plan: Plan) -> Iterator[str]:
    """The largest set that is trained on, if it asks for more pairs than the videos will give."""
    if not plan.set_bytes:
        return
    there = plan.found.pairs
    name = max(plan.set_bytes, key=lambda name: wanted_pairs(plan.run, name))
    wanted = wanted_pairs(plan.run, name)
    if there < wanted:
        hours = plan.found.hours * wanted / max(there, 1.0)
        yield (
            f"The set '{name}' asks for {wanted:,} pairs, but these videos will give about "
            f"{there:,.0f}: take {hours:,.0f} hours of video, or try more frames "
            "(mining.start_every_frames) or more windows of each (mining.windows_per_frame)."
        )
    if plan.run.data.stage_to:
        most = plan.set_bytes[name] * min(1.0, there / wanted)
        yield f"Each node that trains needs up to {size(most)} in data.stage_to, on its own disk."


def _disk(plan: Plan, machine: Machine) -> Iterator[str]:
    low, high = size(plan.peak_one_by_one), size(plan.peak_at_most)
    if machine.free < plan.peak_one_by_one:
        yield (
            f"The disk has {size(machine.free)} free, but the run needs {low} if its jobs run one "
            f"after another, and at most {high}."
        )
    elif machine.free < plan.peak_at_most:
        yield (
            f"The disk has {size(machine.free)} free, and the run may need {high} if many "
            f"features lie there at once; jobs one after another need {low}."
        )


def _gpus(plan: Plan, machine: Machine) -> Iterator[str]:
    run = plan.run
    if run.gpus <= machine.gpus:
        return
    there = "no GPU" if not machine.gpus else f"{machine.gpus} GPU(s)"
    without = make_plan(run.model_copy(update={"gpus": 0}), found=plan.found)
    yield (
        f"This machine has {there}, but the run asks for {run.gpus} a training: "
        f"{plan.gpu_hours:,.0f} GPU-hours by assumed speeds. With gpus: 0 the same work "
        f"is {without.core_hours - plan.core_hours:,.0f} core-hours."
    )
