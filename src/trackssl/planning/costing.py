"""What a job costs, and the parts that the costs of all stages are made of."""

from collections.abc import Callable
from dataclasses import dataclass

from trackssl.planning.figures import Figures
from trackssl.planning.jobs import Graph, Job
from trackssl.planning.layers import Shape
from trackssl.planning.material import Footage, Images
from trackssl.planning.speed import Speed, Work

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Cost:
    """Of a job. `temporary` bytes go when the jobs that read them are done, or with its own end."""

    core_s: float = 0.0
    gpu_s: float = 0.0
    kept: float = 0.0
    temporary: float = 0.0


class Costing:
    """What the costs of all stages share; a stage's have a method `_<rule>` for each dear rule."""

    def __init__(self, graph: Graph, found: Footage, figures: Figures) -> None:
        self.graph, self.run, self.figures = graph, graph.run, figures
        self._found = found
        self.images = Images(self.run, figures)
        self.speed = Speed(self.run, figures)
        self.drawn = "drawn_" if self.run.videos.source == "miniworld" else ""

    @property
    def found(self) -> Footage:
        """The videos; whoever asks has used the figures that they were guessed by."""
        self.figures.used |= self._found.figures
        return self._found

    def of(self, job: Job) -> Cost:
        """What a job costs; a rule without an entry is a short command that reads small tables."""
        known: Callable[[Job], Cost] | None = getattr(self, f"_{job.rule}", None)
        return known(job) if known else self._command()

    def _command(self, core_s: float = 0.0, kept: float = 0.0, temporary: float = 0.0) -> Cost:
        start = self.figures["command_s"]
        return Cost(start + core_s, 0.0, self.figures["job_bytes"] + kept, temporary)

    def _learning(
        self, *work: Work, core_s: float = 0.0, kept: float = 0.0, temporary: float = 0.0
    ) -> Cost:
        """A command that loads PyTorch."""
        core_s += self.figures["torch_command_s"] + sum(part.core_s for part in work)
        gpu_s = sum(part.gpu_s for part in work)
        return Cost(core_s, gpu_s, self.figures["job_bytes"] + kept, temporary)

    def _numbers(self, core_s: float, kept: float = 0.0) -> Cost:
        """A command that loads numerical libraries, but not PyTorch."""
        return self._command(core_s + self.figures["numpy_command_s"], kept=kept)

    def _trained(self, shape: Shape, *work: Work, temporary: float = 0.0) -> Cost:
        weights = shape.parameters * FLOAT
        temporary += weights * self.figures["checkpoint_times"]
        return self._learning(*work, kept=weights, temporary=temporary)
