"""Two processes, `python test_batch_norm.py RANK FOLDER`, learn what one learns alone."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from trackssl.networks.batch_norm import GatheredBatchNorm2d, synchronise_batch_norm
from trackssl.networks.heads import parameter_groups

torch.set_num_threads(1)

PARTS = {0: slice(0, 5), 1: slice(5, 8)}  # of 8 images


def network() -> nn.Module:
    """Batch norm right behind images far from 0, and once more in a block."""
    torch.manual_seed(1)
    block = nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU())
    return nn.Sequential(nn.BatchNorm2d(3), block, nn.Flatten(), nn.Linear(100, 4))


def images() -> Tensor:
    draws = torch.Generator().manual_seed(2)
    return 5 + torch.randn(8, 3, 6, 7, generator=draws).to(memory_format=torch.channels_last)


def learn(model: nn.Module, part: slice) -> dict[str, Tensor]:
    """Two passes over a part of the images -> outputs, gradients and running statistics."""
    x = images()[part].requires_grad_()
    weights = torch.linspace(-1, 2, 32).view(8, 4)[part]
    for _ in range(2):
        out = model(x)
    (weights * out + out**3).sum().backward()
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    gradients = {f"gradient of {name}": p.grad for name, p in inner.named_parameters()}
    later = inner.eval()(images()[:3]).detach()
    return {
        "out": out.detach(),
        "gradient of images": x.grad,
        "out in eval mode": later,
        **inner.state_dict(),
        **gradients,
    }


def main(rank: int, folder: Path) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    meeting = f"file://{folder / 'meeting'}"
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    plain = network()
    names, parameters = list(plain.state_dict()), list(plain.parameters())
    model = synchronise_batch_norm(plain)
    assert list(model.state_dict()) == names
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert sum(isinstance(module, GatheredBatchNorm2d) for module in model.modules()) == 2
    assert [len(group["params"]) for group in parameter_groups(model, 1, 1)] == [2, 1, 4]
    torch.save(learn(DistributedDataParallel(model), PARTS[rank]), folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_learn_what_one_learns_with_the_whole_batch(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path)]) for rank in PARTS
    ]
    try:
        assert [process.wait(200) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    wanted = learn(network(), slice(0, 8))
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in PARTS)
    assert wanted.keys() == first.keys() == second.keys()
    for name, tensor in wanted.items():
        if name in ("out", "gradient of images"):
            found = torch.cat([first[name], second[name]])
        else:
            assert torch.equal(first[name], second[name]), name
            # DistributedDataParallel makes gradients the mean of both.
            found = 2 * first[name] if name.startswith("gradient") else first[name]
        torch.testing.assert_close(found, tensor, rtol=1e-5, atol=1e-5, msg=name)


def test_one_process_keeps_torchs_own_batch_norm() -> None:
    kept = synchronise_batch_norm(network())
    assert not any(isinstance(module, GatheredBatchNorm2d) for module in kept.modules())


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
