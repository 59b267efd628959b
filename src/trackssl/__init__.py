"""Unsupervised learning of visual representations from tracked video patches.

A reproduction of Wang & Gupta, "Unsupervised Learning of Visual Representations using Videos",
ICCV 2015 (arXiv 1505.00687). Each folder is a stage of the pipeline; `trackssl --help` lists them.
"""

__version__ = "0.1.0"
