"""What torchvision's networks take for an image: RGB of a known mean and spread."""

import torch
from torch import Tensor, nn


class TorchvisionInput(nn.Module):
    """(N, 3, H, W) uint8 BGR -> float32 RGB, torchvision's mean and spread taken out."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), False)

    def forward(self, images: Tensor) -> Tensor:
        """Values of about +-2."""
        return (images.flip(1) / 255 - self.mean) / self.std
