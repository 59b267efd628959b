import contextlib
import json
from pathlib import Path

import pytest
import torch

from trackssl.config import Pretraining
from trackssl.errors import InputError
from trackssl.files import Progress
from trackssl.networks.alexnet import RankingNetwork
from trackssl.pairs.dataset import PairDataset
from trackssl.pretraining import trainer
from trackssl.pretraining.schedule import Schedule

torch.set_num_threads(1)


def run(
    pairs: Path, folder: Path, schedule: Schedule, settings: Pretraining, log_every: int = 1
) -> tuple[RankingNetwork, list[dict]]:
    """Train a tiny network -> it and its log."""
    network = RankingNetwork(0.1, 67, seed=1)
    dataset = PairDataset(pairs, 20, settings.batch_pairs, 67, seed=1)
    progress = Progress(folder, {}, "training")
    trainer.train(network, dataset, schedule, settings, 1, progress, log_every)
    return network, [json.loads(line) for line in (folder / "log.jsonl").open()]


def test_the_miniature_leaves_the_margin_within_70_steps(make_pairs, tmp_path: Path) -> None:
    network = RankingNetwork(width=0.25, input_px=99, seed=0)
    dataset = PairDataset(make_pairs(300, 99), 300, 50, 99, seed=0)
    schedule = Schedule(70, hard_from=70, learning_rate=0.001, lr_step_iterations=None)
    progress = Progress(tmp_path, {}, "training")
    trainer.train(network, dataset, schedule, Pretraining(), 0, progress, log_every=10)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").open()]
    assert len(log) == 7
    assert max(line["loss"] for line in log[-2:]) < 0.42
    assert min(line["spread"] for line in log[-2:]) > 0.15


def test_the_log_says_where_the_run_stands(few_pairs: Path, tmp_path: Path) -> None:
    schedule = Schedule(9, hard_from=4, learning_rate=0.001, lr_step_iterations=5)
    _, log = run(few_pairs, tmp_path, schedule, Pretraining(batch_pairs=5), log_every=2)
    steps = [line for line in log if "warning" not in line]
    assert [line["iteration"] for line in steps] == [2, 4, 6, 8, 9]  # the last is always there
    assert [line["epoch"] for line in steps] == [0.5, 1, 1.5, 2, 2.25]
    assert [line["hard_negatives"] for line in steps] == [False, False, True, True, True]
    assert [line["learning_rate"] for line in steps] == [0.001, 0.001, 0.0001, 0.0001, 0.0001]
    assert all(line["images_per_second"] > 0 and 0 <= line["spread"] <= 1 for line in steps)


class PowerCut(BaseException):
    """Nothing in the program may catch this."""


@pytest.mark.parametrize("cuts", [[7], [1, 2, 15], [11, 11, 12]])
def test_a_run_that_stops_anywhere_goes_on_exactly(
    few_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuts: list[int]
) -> None:
    schedule = Schedule(16, hard_from=8, learning_rate=0.01, lr_step_iterations=6)
    settings = Pretraining(batch_pairs=6, checkpoint_every_seconds=0.03)
    rank, count = trainer._rank, 0

    def cut(*given):
        nonlocal count
        count += 1
        if count > stop:
            raise PowerCut
        return rank(*given)

    monkeypatch.setattr(trainer, "_rank", cut)
    for stop in cuts:  # noqa: B007, `cut` reads it
        count = 0
        with contextlib.suppress(PowerCut):
            run(few_pairs, tmp_path / "cut", schedule, settings)
    monkeypatch.setattr(trainer, "_rank", rank)
    network, log = run(few_pairs, tmp_path / "cut", schedule, settings)
    wanted, wanted_log = run(few_pairs, tmp_path / "whole", schedule, settings)
    assert [line.get("iteration") for line in log] == [line.get("iteration") for line in wanted_log]
    for line, other in zip(log, wanted_log, strict=True):
        assert line | {"images_per_second": 0} == other | {"images_per_second": 0}
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)


def test_collapsed_features_are_reported(
    few_pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RankingNetwork, "forward", lambda self, x: 0 * self.pool5(x).flatten(1) + 1)
    schedule = Schedule(2, hard_from=1, learning_rate=0.001, lr_step_iterations=None)
    _, log = run(few_pairs, tmp_path, schedule, Pretraining(batch_pairs=6))
    assert "the features have collapsed" in log[-1]["warning"]
    assert "loss of 0.500 at a margin of 0.5" in capsys.readouterr().err


def test_a_diverged_run_is_one_sentence(few_pairs: Path, tmp_path: Path) -> None:
    schedule = Schedule(9, hard_from=1, learning_rate=1e30, lr_step_iterations=None)
    with pytest.raises(InputError, match="the training diverged; lower learning_rate"):
        run(few_pairs, tmp_path, schedule, Pretraining(batch_pairs=6))


def test_a_damaged_checkpoint_is_one_sentence(few_pairs: Path, tmp_path: Path) -> None:
    schedule = Schedule(2, hard_from=1, learning_rate=0.001, lr_step_iterations=None)
    for content in (b"", b"no checkpoint"):
        (tmp_path / "checkpoint.pt").write_bytes(content)
        with pytest.raises(InputError, match=r"checkpoint\.pt: this checkpoint cannot be read"):
            run(few_pairs, tmp_path, schedule, Pretraining(batch_pairs=6))


def test_a_checkpoint_of_another_version_is_one_sentence(few_pairs: Path, tmp_path: Path) -> None:
    schedule = Schedule(4, hard_from=1, learning_rate=0.001, lr_step_iterations=None)
    settings = Pretraining(batch_pairs=6, checkpoint_every_iterations=2)
    run(few_pairs, tmp_path, schedule, settings)
    file = tmp_path / "checkpoint.pt"
    state = torch.load(file)
    assert state["run"][0] == 4
    torch.save(state | {"version": 0}, file)
    kept = file.read_bytes()
    with pytest.raises(InputError, match=r"checkpoint\.pt: this checkpoint is of version 0, this"):
        run(few_pairs, tmp_path, schedule, settings)
    assert file.read_bytes() == kept


def test_epochs_are_told_when_their_last_pair_was_seen(few_pairs: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []
    network = RankingNetwork(0.1, 67, seed=1)
    dataset = PairDataset(few_pairs, 20, 6, 67, seed=1)
    schedule = Schedule(11, hard_from=5, learning_rate=0.01, lr_step_iterations=None)

    def on_epoch(epoch: int) -> None:
        seen.append((epoch, network.get_parameter("conv1.weight").sum().item()))

    progress = Progress(tmp_path, {}, "training")
    trainer.train(
        network, dataset, schedule, Pretraining(batch_pairs=6), 1, progress, on_epoch=on_epoch
    )
    assert [epoch for epoch, _ in seen] == [0, 1, 2, 3]  # 66 pairs of 20
    assert len({value for _, value in seen}) == 4  # it has learned in between
