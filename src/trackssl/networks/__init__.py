"""Networks: AlexNet in CaffeNet's order, ResNets, their weights files, torchvision's AlexNet."""

from trackssl.networks.alexnet import DetectorNetwork, RankingNetwork, pool5_size
from trackssl.networks.build import build_detector, build_ranking
from trackssl.networks.heads import parameter_groups
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
    "build_ranking",
    "load_convolutions",
    "load_network",
    "load_weights",
    "network_settings",
    "parameter_groups",
    "pool5_size",
    "save_weights",
]
