"""The same network trained on the same patches as others would: PyTorch's way, and lightly's.

Each loop yields after every step, for ever. Both read a folder of JPEG files in worker processes.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.001, 0.9, 5e-4


class PairFiles(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of files `..._first.jpg` and `..._last.jpg` -> (3, H, W) uint8 BGR each."""

    def __init__(self, folder: Path, input_px: int) -> None:
        self.first = sorted(folder.glob("*_first.jpg"))
        self.last = sorted(folder.glob("*_last.jpg"))
        self.transform = mirrored(input_px)

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._read(self.first[index]), self._read(self.last[index])

    def _read(self, path: Path) -> Tensor:
        with Image.open(path) as image:
            return self.transform(image.convert("RGB"))


def mirrored(input_px: int) -> v2.Compose:
    """What our trainer does to a patch: resize it if need be, mirror it by a coin, give BGR."""
    resize = v2.Resize((input_px, input_px), antialias=True)
    return v2.Compose([resize, v2.RandomHorizontalFlip(), v2.PILToTensor(), to_bgr])


def to_bgr(image: Tensor) -> Tensor:
    """(3, H, W) RGB -> BGR."""
    return image.flip(0)


def plain_loop(
    network: nn.Module,
    files: Path,
    input_px: int,
    batch_pairs: int,
    workers: int,
    device: torch.device,
) -> Iterator[None]:
    """PyTorch's own: DataLoader, torchvision, a triplet loss of cosine distances with margin .5.

    The negative is the second patch of the batch's next pair: the cheapest choice.
    """
    loader = _loader(PairFiles(files, input_px), batch_pairs, workers, device)
    criterion = nn.TripletMarginWithDistanceLoss(distance_function=_cosine_distance, margin=0.5)
    optimiser = _sgd(network.to(device))
    while True:
        for first, last in loader:
            images = torch.cat([first, last]).to(device, non_blocking=True)
            anchor, positive = network(images).chunk(2)
            loss = criterion(anchor, positive, positive.roll(1, 0))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            yield


def has_lightly() -> bool:
    """Whether lightly is installed."""
    return find_spec("lightly") is not None


def lightly_loop(
    network: nn.Module,
    files: Path,
    input_px: int,
    batch_pairs: int,
    workers: int,
    device: torch.device,
    simclr: bool = False,
) -> Iterator[None]:
    """lightly's documented loop: its dataset, two views of each image, NTXentLoss.

    A batch is as many views as ours has patches, of half as many files. The views are mirrored
    only, as our patches are; `simclr`: SimCLR's views instead, with crops, colours and blur.
    """
    from lightly.data import LightlyDataset
    from lightly.loss import NTXentLoss
    from lightly.transforms import SimCLRTransform
    from lightly.transforms.multi_view_transform import MultiViewTransform

    view = mirrored(input_px)
    views = SimCLRTransform(input_size=input_px) if simclr else MultiViewTransform([view, view])
    dataset = LightlyDataset(str(files), transform=views)
    loader = _loader(dataset, batch_pairs, workers, device)
    criterion = NTXentLoss()
    optimiser = _sgd(network.to(device))
    while True:
        for batch in loader:
            x0, x1 = (x.to(device, non_blocking=True) for x in batch[0])
            loss = criterion(network(x0), network(x1))
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            yield


def _cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    return 1 - nn.functional.cosine_similarity(a, b)


def _loader(
    dataset: Dataset[tuple[Tensor, ...]], batch: int, workers: int, device: torch.device
) -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(
        dataset,
        batch,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        pin_memory=device.type == "cuda",
        persistent_workers=True,
    )


def _sgd(network: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY)
