"""Unsupervised learning of visual representations from tracked video patches.

A reproduction of Wang & Gupta, "Unsupervised Learning of Visual Representations using Videos",
ICCV 2015 (arXiv 1505.00687). Each folder is a stage of the pipeline; `trackssl --help` lists them.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__version__ = "0.1.0"


def load(path: str | PathLike[str]) -> nn.Module:
    """A trained network, ready for use: `trackssl.load("weights.safetensors")(images)`.

    A ranking network or detector of this project, in eval mode: (N, 3, H, W) uint8 BGR -> (N, dim)
    unit features or (N, classes) scores. Raises InputError if the file does not serve.
    """
    from pathlib import Path

    from trackssl.networks.export import open_network  # torch takes seconds to import

    return open_network(Path(path))
