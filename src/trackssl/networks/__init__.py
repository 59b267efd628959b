"""Networks: AlexNet in CaffeNet's order, its weights files, and torchvision's for comparison."""

from trackssl.networks.alexnet import DetectorNetwork, RankingNetwork, parameter_groups, pool5_size
from trackssl.networks.build import build_detector
from trackssl.networks.weights import (
    DETECTOR,
    RANKING,
    load_convolutions,
    load_network,
    load_weights,
    network_settings,
    save_weights,
)

__all__ = [
    "DETECTOR",
    "RANKING",
    "DetectorNetwork",
    "RankingNetwork",
    "build_detector",
    "load_convolutions",
    "load_network",
    "load_weights",
    "network_settings",
    "parameter_groups",
    "pool5_size",
    "save_weights",
]
