"""How long networks work on images: on a core by measured rates, on a GPU by counted operations."""

from dataclasses import dataclass

from trackssl.config import Config, Network, Precision
from trackssl.planning import layers
from trackssl.planning.figures import Figures
from trackssl.planning.layers import Shape

_FULL = Network()  # the paper's, the first that was measured
_SMALL = Network(width=0.25, input_px=99)  # the miniature's, the second that was measured
_READERS = 8  # threads that read ahead, at most


@dataclass(frozen=True)
class Work:
    """Seconds of cores and of GPUs."""

    core_s: float
    gpu_s: float = 0.0


class Speed:
    """Of a run's networks.

    On a core an image takes a time for its operations and one for reading it, fitted to the two
    networks that were measured. On a GPU the operations alone count, unless the cores that read
    cannot follow.
    """

    def __init__(self, run: Config, figures: Figures) -> None:
        self.run, self.figures = run, figures

    def training(
        self, shape: Shape, images: float, precision: Precision = "float32", gpus: int = 1
    ) -> Work:
        """Forward and backward of so many images by jobs that divide them among so many GPUs."""
        flop = images * shape.training_flop
        if self.run.gpus:
            reading_s = images / self.figures["read_patches_per_s"]
            return self._on_gpus(flop, reading_s, precision, gpus)
        slope, base = self._fitted(
            (layers.ranking(_FULL).training_flop, self.figures["train_full_images_per_s"]),
            (layers.ranking(_SMALL).training_flop, self.figures["train_small_images_per_s"]),
        )
        return Work(images * base + flop * slope)

    def forward(self, shape: Shape, images: float) -> Work:
        """Forward passes of windows or images."""
        flop = images * shape.flop
        if self.run.gpus:
            return self._on_gpus(flop, images * self.figures["cut_window_s"], "float32", 1)
        slope, base = self._fitted(
            (layers.up_to(_FULL, "fc7").flop, self.figures["forward_full_windows_per_s"]),
            (layers.up_to(_SMALL, "fc7").flop, self.figures["forward_small_windows_per_s"]),
        )
        return Work(images * base + flop * slope)

    def _fitted(self, full: tuple[float, float], small: tuple[float, float]) -> tuple[float, float]:
        """(Operations, images a core-second) of two networks -> seconds an operation, an image."""
        slope = (1 / full[1] - 1 / small[1]) / (full[0] - small[0])
        return slope, max(0.0, 1 / small[1] - slope * small[0])

    def _on_gpus(self, flop: float, reading_s: float, precision: Precision, gpus: int) -> Work:
        """`reading_s`: of cores, of which each GPU has as many as the config gives a training."""
        readers = min(_READERS, self.run.torch_threads)
        computing_s = flop / (self.figures[f"gpu_{precision}_tflops"] * 1e12)
        # A training job holds all of the run's GPUs, whether or not it can use them.
        held = self.run.gpus / gpus
        return Work(reading_s, max(computing_s, reading_s / readers) * held)
