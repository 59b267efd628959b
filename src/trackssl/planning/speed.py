"""How long networks work on images: on a core by measured rates, on a GPU by counted operations."""

from dataclasses import dataclass

from trackssl.config import Config, FeatureLayer, Network, Precision
from trackssl.planning import layers
from trackssl.planning.figures import Figures
from trackssl.planning.layers import Shape

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
        full, small = (layers.ranking(n).training_flop for n in (Network(), _SMALL))
        rates = (self.figures["train_full_images_per_s"], self.figures["train_small_images_per_s"])
        reading = 1 / self.figures["read_patches_per_s"]
        return self._work(
            images, shape.training_flop, (full, small), rates, reading, precision, gpus
        )

    def forward(self, shape: Shape, images: float) -> Work:
        """Forward passes of windows or images."""
        full, small = (layers.up_to(n, "fc7").flop for n in (Network(), _SMALL))
        rates = (
            self.figures["forward_full_windows_per_s"],
            self.figures["forward_small_windows_per_s"],
        )
        reading = self.figures["cut_window_s"]
        return self._work(images, shape.flop, (full, small), rates, reading, "float32", 1)

    def features(self, network: Network, layer: FeatureLayer, images: float) -> Work:
        """Features of a layer."""
        return self.forward(layers.up_to(network, layer), images)

    def _work(
        self,
        images: float,
        flop: float,
        measured_flop: tuple[float, float],
        rates: tuple[float, float],
        reading_s: float,
        precision: Precision,
        gpus: int,
    ) -> Work:
        if self.run.gpus:
            tflops = self.figures[f"gpu_{precision}_tflops"]
            readers = min(_READERS, self.run.torch_threads) * gpus
            seconds = max(images * flop / (tflops * 1e12), images * reading_s * gpus / readers)
            # A training job holds all of the run's GPUs, whether or not it can use them.
            return Work(images * reading_s, seconds * (self.run.gpus / gpus))
        (full, small), (full_rate, small_rate) = measured_flop, rates
        slope = (1 / full_rate - 1 / small_rate) / (full - small)
        base = max(0.0, 1 / small_rate - slope * small)
        return Work(images * (base + slope * flop))
