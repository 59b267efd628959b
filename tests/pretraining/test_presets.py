"""Presets and options of the ranking against slow references: one candidate of one pair a time."""

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trackssl.config import PairSet, Pretraining, load_settings, parse
from trackssl.errors import InputError
from trackssl.files import Progress
from trackssl.networks.alexnet import RankingNetwork
from trackssl.pairs.dataset import PairDataset
from trackssl.pretraining import trainer
from trackssl.pretraining.collapse import CollapseWatch
from trackssl.pretraining.ranking import RankingResult, choose_negatives, ranking_loss
from trackssl.pretraining.schedule import Schedule, pretraining_schedule

torch.set_num_threads(1)

PAPER = Pretraining()
RELEASED = Pretraining(preset="released")
PAIRS, SIZE = 14, 5

Vector = list[float]


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Unit features of pairs of six videos, by the seed: far apart, alike, or learned.

    Learned are partners that are close, most of one video, so that few negatives violate.
    """
    first, last = torch.randn(2, PAIRS, SIZE, generator=draws(seed), dtype=torch.float64)
    videos = torch.randint(0, 6, (PAIRS,), generator=draws(seed + 100))
    if seed % 3 == 1:
        first, last = first + 2, last + 2
    elif seed % 3 == 2:
        last = first + last / 5
        videos[4:] = 0
    return F.normalize(first, dim=1), F.normalize(last, dim=1), videos


def distance(a: Vector, b: Vector) -> float:
    return 1 - sum(x * y for x, y in zip(a, b, strict=True))


def hinge(anchor: Vector, partner: Vector, negative: Vector, margin: float) -> float:
    return max(0.0, distance(anchor, partner) - distance(anchor, negative) + margin)


def by(value: Any, names: list[int], count: int) -> list[int]:
    """The `count` of the names with the largest values."""
    return sorted(names, key=lambda name: -value[name])[:count]


def slow_choice(
    first: list[Vector],
    last: list[Vector],
    videos: list[int],
    preset: str,
    hard: bool,
    random: list[list[Vector]],
) -> list[set[int]]:
    """The negatives of each pair, from the paper's and the release's rules, K = 4.

    Negative j is the first patch of pair j, or the last one of pair j - PAIRS. To draw so many is
    to take those with the largest of fresh random numbers, `random[step][pair][negative]`.
    """
    patches, margin = first + last, 0.5 if preset == "paper" else 1.0
    result = []
    for i in range(PAIRS):
        others = [j for j in range(2 * PAIRS) if videos[j % PAIRS] != videos[i]]
        losses = {j: hinge(first[i], last[i], patches[j], margin) for j in others}
        near = {j: -distance(first[i], patches[j]) for j in others}
        if preset == "paper":  # the highest loss, which the nearest negatives have
            result.append(set(by(near, others, 4) if hard else by(random[0][i], others, 4)))
            continue
        violators = [j for j in others if losses[j] > 0]
        if not hard:
            result.append(set(by(random[0][i], violators, 4)))
        elif len(violators) <= 4:
            result.append(set(violators))
        else:
            two = by(random[0][i], by(near, violators, 4), 2)
            left = [j for j in violators if j not in two]
            result.append({*two, *by(random[1][i], left, 2)})
    return result


def slow_loss(
    first: list[Vector], last: list[Vector], chosen: list[set[int]], preset: str
) -> tuple[float, list[Vector]]:
    """Loss of the pairs and its gradient by each patch, first patches before last ones."""
    patches, margin = first + last, 0.5 if preset == "paper" else 1.0
    gradient = [[0.0] * SIZE for _ in patches]
    total = 0.0
    divisor = sum(map(len, chosen)) if preset == "paper" else 4 * PAIRS * 2
    for i, negatives in enumerate(chosen):
        turns = [(i, i + PAIRS)] if preset == "paper" else [(i, i + PAIRS), (i + PAIRS, i)]
        for x, partner in turns:
            for j in negatives:
                loss = hinge(patches[x], patches[partner], patches[j], margin)
                total += loss / divisor
                for d in range(SIZE if loss > 0 else 0):
                    gradient[x][d] += (patches[j][d] - patches[partner][d]) / divisor
                    gradient[partner][d] -= patches[x][d] / divisor
                    gradient[j][d] += patches[x][d] / divisor
    return total, gradient


def fast_choice(
    first: Tensor, last: Tensor, videos: Tensor, hard: bool, settings: Pretraining, seed: int
) -> Tensor:
    candidate = videos[:, None] != torch.cat([videos, videos])
    partner = (first * last).sum(1, keepdim=True)
    similarity = first @ torch.cat([first, last]).T
    return choose_negatives(similarity, partner, candidate, hard, settings, draws(seed))


def as_sets(chosen: Tensor) -> list[set[int]]:
    return [set(row.nonzero()[:, 0].tolist()) for row in chosen]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("settings", [PAPER, RELEASED], ids=["paper", "released"])
def test_a_preset_equals_its_slow_reference(settings: Pretraining, hard: bool, seed: int) -> None:
    first, last, videos = batch(seed)
    generator = draws(seed)
    random = [torch.rand(PAIRS, 2 * PAIRS, generator=generator).tolist() for _ in range(2)]
    plain = first.tolist(), last.tolist()
    wanted = slow_choice(*plain, videos.tolist(), settings.preset, hard, random)
    assert as_sets(fast_choice(first, last, videos, hard, settings, seed)) == wanted
    loss, gradient = slow_loss(*plain, wanted, settings.preset)

    for kind in (torch.float64, torch.float32):
        features = torch.cat([first, last]).to(kind).requires_grad_()
        found = ranking_loss(*features.chunk(2), videos, hard, settings, draws(seed))
        found.loss.backward()
        assert found.loss.item() == pytest.approx(loss, abs=1e-5)
        assert loss > 0.01
        assert features.grad is not None
        assert features.grad.tolist() == [pytest.approx(row, abs=1e-5) for row in gradient]


def test_the_batches_of_the_reference_try_few_and_many_violators() -> None:
    counts = set()
    for seed in range(6):
        first, last, videos = batch(seed)
        chosen = fast_choice(first, last, videos, True, RELEASED, seed)
        counts |= set(chosen.sum(dim=1).tolist())
    assert 4 in counts
    assert counts & {0, 1, 2, 3}


def ranking_before_presets(
    first: Tensor,
    last: Tensor,
    videos: Tensor,
    hard: bool,
    settings: Pretraining,
    generator: torch.Generator,
) -> RankingResult:
    """What the loss was before there were presets; trained weights depend on its bits."""

    def mark_largest(values: Tensor, candidate: Tensor, count: int) -> Tensor:
        order = values.masked_fill(~candidate, -torch.inf)
        best = order.topk(min(count, order.shape[1]), dim=1).indices
        return torch.zeros_like(candidate).scatter(1, best, True) & candidate

    patches = torch.cat([first, last])
    candidate = videos[:, None] != torch.cat([videos, videos])[None, :]
    similarity = first @ patches.T
    assert settings.negatives is not None
    hard_count = round((settings.hard_share if hard else 0.0) * settings.negatives)
    chosen = mark_largest(similarity.detach(), candidate, hard_count)
    if hard_count < settings.negatives:
        random = torch.rand(similarity.shape, generator=generator)
        chosen = chosen | mark_largest(random, candidate & ~chosen, settings.negatives - hard_count)
    positive = (first * last).sum(dim=1, keepdim=True)
    losses = F.relu(similarity - positive + settings.margin) * chosen
    count = chosen.sum()
    return RankingResult(
        loss=losses.sum() / count,
        violated_share=(losses.detach() > 0).sum() / count,
        spread=1 - patches.detach().mean(dim=0).square().sum(),
    )


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_paper_preset_has_the_bits_of_the_loss_before_presets(share: float, hard: bool) -> None:
    settings = Pretraining(hard_share=share)
    for seed in range(10):
        pairs, size = 50, 128
        raw = torch.randn(2 * pairs, size, generator=draws(seed)) * 0.5 + 0.3
        videos = torch.randint(0, 20, (pairs,), generator=draws(seed))
        results, gradients = [], []
        for function in (ranking_before_presets, ranking_loss):
            weights = raw.clone().requires_grad_()
            first, last = F.normalize(weights.relu(), dim=1).chunk(2)
            results.append(function(first, last, videos, hard, settings, draws(seed)))
            results[-1].loss.backward()
            gradients.append(weights.grad)
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
        assert torch.equal(*gradients)


OPTIONS = [
    PAPER,
    RELEASED,
    Pretraining(hard_share=0.5),
    Pretraining(negative_choice="semi_hard"),
    Pretraining(negative_choice="semi_hard", hard_share=0.5, anchors="both", divisor="constant"),
    Pretraining(preset="released", margin=0.3, negatives=2),
    Pretraining(negatives=None),
]


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("settings", OPTIONS)
def test_collapsed_features_have_a_loss_of_the_margin(settings: Pretraining, hard: bool) -> None:
    for seed in range(5):
        one = F.normalize(torch.randn(1, 64, generator=draws(seed)), dim=1)
        same = one.expand(20, 64)
        found = ranking_loss(same, same, torch.arange(20) // 2, hard, settings, draws())
        assert found.loss.item() == pytest.approx(settings.margin, abs=1e-5)
        assert found.violated_share == 1


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("settings", OPTIONS)
def test_a_negative_is_never_of_the_anchors_video(settings: Pretraining, hard: bool) -> None:
    taken = 0
    for seed in range(40):
        first, last, videos = batch(seed)
        same = videos[:, None] == torch.cat([videos, videos])
        assert same.sum() > 2 * PAIRS  # some videos have several pairs
        chosen = fast_choice(first, last, videos, hard, settings, seed)
        assert not (chosen & same).any()
        assert chosen.sum(dim=1).max() <= (settings.negatives or 2 * PAIRS)
        taken += int(chosen.sum())
    assert taken > 40 * PAIRS


@pytest.mark.parametrize("settings", [*OPTIONS, Pretraining(loss="infonce")])
def test_a_batch_of_one_video_is_refused(settings: Pretraining) -> None:
    first, last, _ = batch(0)
    with pytest.raises(InputError, match="All 14 pairs of a batch are of one video"):
        ranking_loss(first, last, torch.ones(PAIRS), True, settings, draws())


def test_the_released_two_and_two_are_drawn_evenly() -> None:
    similarity = torch.linspace(0.2, 0.9, 14).repeat(1, 1)  # the last four are the hardest
    candidate = torch.ones(1, 14, dtype=torch.bool)
    candidate[0, 0] = False
    partner = torch.tensor([[0.9]])
    settings = Pretraining(preset="released", margin=0.6)  # negative 1 does not violate
    similarity[0, 1] = 0.25
    counts = sum(
        choose_negatives(similarity, partner, candidate, True, settings, draws(seed)).float()
        for seed in range(2000)
    )
    assert isinstance(counts, Tensor)
    share = (counts[0] / 2000).tolist()
    # of the four: 2 in 4 at first, or else 2 of the 10 left; of the others 2 of those 10
    assert share[:2] == [0, 0]
    assert share[2:10] == [pytest.approx(0.2, abs=0.04)] * 8
    assert share[10:] == [pytest.approx(0.5 + 0.5 * 0.2, abs=0.04)] * 4


def test_semi_hard_negatives_are_within_the_margin_and_no_nearer_than_the_partner() -> None:
    settings = Pretraining(negative_choice="semi_hard", margin=0.3)
    several = 0
    for seed in range(20):
        first, last, videos = batch(seed)
        chosen = as_sets(fast_choice(first, last, videos, True, settings, seed))
        patches = torch.cat([first, last]).tolist()
        for i in range(PAIRS):
            partner = distance(patches[i], patches[i + PAIRS])
            far = {
                j: distance(patches[i], patches[j])
                for j in range(2 * PAIRS)
                if videos[j % PAIRS] != videos[i]
                and partner <= distance(patches[i], patches[j]) < partner + 0.3
            }
            assert chosen[i] == set(sorted(far, key=far.__getitem__)[:4])
            several += len(far) > 4
    assert several > 20


def test_semi_hard_negatives_begin_with_the_hard_phase() -> None:
    first, last, videos = batch(3)
    semi_hard = Pretraining(negative_choice="semi_hard")
    random = fast_choice(first, last, videos, False, PAPER, 1)
    assert torch.equal(fast_choice(first, last, videos, False, semi_hard, 1), random)
    assert not torch.equal(fast_choice(first, last, videos, True, semi_hard, 1), random)


@pytest.mark.parametrize("anchors", ["first", "both"])
@pytest.mark.parametrize("negatives", [None, 3])
def test_infonce_equals_a_slow_reference(anchors: Any, negatives: int | None) -> None:
    settings = Pretraining(
        loss="infonce", temperature=0.2, anchors=anchors, negatives=negatives, hard_share=1.0
    )
    first, last, videos = batch(5)
    chosen = as_sets(fast_choice(first, last, videos, True, settings, 0))
    patches = torch.cat([first, last]).tolist()
    losses = []
    for i in range(PAIRS):
        others = [j for j in range(2 * PAIRS) if videos[j % PAIRS] != videos[i]]
        assert chosen[i] == (set(others) if negatives is None else chosen[i] & set(others))
        for x, partner in [(i, i + PAIRS), (i + PAIRS, i)][: 1 if anchors == "first" else 2]:
            scores = [math.exp((1 - distance(patches[x], patches[j])) / 0.2) for j in chosen[i]]
            own = math.exp((1 - distance(patches[x], patches[partner])) / 0.2)
            losses.append(-math.log(own / (own + sum(scores))))
    first.requires_grad_()
    found = ranking_loss(first, last, videos, True, settings, draws())
    assert found.loss.item() == pytest.approx(sum(losses) / len(losses), abs=1e-9)
    found.loss.backward()
    assert first.grad is not None
    assert first.grad.isfinite().all()
    assert first.grad.abs().max() > 0


def test_where_nothing_violates_the_released_loss_is_none_with_finite_gradients() -> None:
    apart = torch.eye(10, requires_grad=True)
    videos = torch.arange(10)
    settings = Pretraining(preset="released", margin=0.5)
    for hard in (False, True):
        for changed in (settings, settings.model_copy(update={"divisor": "chosen"})):
            found = ranking_loss(apart, apart, videos, hard, changed, draws())
            (gradient,) = torch.autograd.grad(found.loss, apart)
            assert found.loss == found.violated_share == gradient.abs().max() == 0


def test_a_preset_gives_the_values_that_are_not_given() -> None:
    assert parse(Pretraining, {"preset": "paper"}, "settings") == Pretraining()
    given = {"preset": "released", "margin": 0.7, "sets": {"s": {"size": 9, "iterations": 8}}}
    found = parse(Pretraining, given, "settings")
    assert (found.margin, found.anchors, found.divisor) == (0.7, "both", "constant")
    assert (found.negative_choice, found.hard_share, found.negatives) == ("released", 0.5, 4)
    assert found.sets == {"s": PairSet(size=9, iterations=8)}
    assert Pretraining(loss="infonce").negatives is None
    assert Pretraining(loss="infonce", negatives=7).negatives == 7


def test_the_released_schedule_falls_each_100_000_of_400_000_iterations() -> None:
    for name, size in [("1_5m", 1_500_000), ("5m", 5_000_000), ("8m", 8_000_000)]:
        assert RELEASED.sets[name].size == PAPER.sets[name].size == size
        schedule = pretraining_schedule(RELEASED, name, size)
        assert schedule.iterations == 400_000
        rates = [schedule.rate(i) for i in (0, 99_999, 100_000, 399_999)]
        assert rates == [0.001, 0.001, 0.0001, pytest.approx(1e-6)]


@pytest.mark.parametrize("given", [{}, {"preset": "released", "margin": 0.6}, {"loss": "infonce"}])
def test_what_is_saved_says_all_values_and_is_read_back_as_it_was(given: dict[str, Any]) -> None:
    settings = Pretraining(**given)
    saved = settings.model_dump_json()
    values = json.loads(saved)
    assert values.keys() == Pretraining.model_fields.keys()
    assert values["margin"] == {"released": 0.6}.get(settings.preset, 0.5)
    assert load_settings(Pretraining, saved, "pretraining") == settings


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"preset": "release"}, "'preset' is 'release', but: input should be 'paper' or 'releas"),
        ({"preset": ["released"]}, "'preset': Input should be 'paper' or 'released'"),
        ({"negative_choice": "hard"}, "input should be 'hardest', 'released' or 'semi_hard'"),
        ({"temperature": 0.0}, "'temperature' is 0.0, but: input should be greater than 0"),
        ({"negatives": 0}, "'negatives' is 0, but: input should be greater than or equal to 1"),
    ],
)
def test_an_unknown_option_is_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(Pretraining, given, "settings")
    assert sentence in str(refused.value)


def test_a_dead_network_has_no_spread() -> None:
    zeros, ones = torch.zeros(10, 6), F.normalize(torch.ones(10, 6), dim=1)
    videos = torch.arange(10)
    dead = ranking_loss(zeros, zeros, videos, True, PAPER, draws())
    assert (dead.loss.item(), dead.spread.item()) == (0.5, 0)
    half = ranking_loss(zeros, ones, videos, True, PAPER, draws())
    assert half.spread.item() == pytest.approx(0.25)


def collapsed_run(
    pairs: Path, folder: Path, settings: Pretraining, bias: float = 0.0, iterations: int = 400
) -> list[dict[str, Any]]:
    """Train a network of zeros but for the last bias, at a rate of 0 -> its log, as far as it got.

    Its features are all 0 for a bias of 0, or else all equal.
    """
    network = RankingNetwork(0.1, 67, seed=1)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(network.fc7.bias, bias)
    dataset = PairDataset(pairs, 20, settings.batch_pairs, 67, seed=1)
    schedule = Schedule(iterations, hard_from=20, learning_rate=0.0, lr_step_iterations=None)
    progress = Progress(folder, {}, "training")
    try:
        trainer.train(network, dataset, schedule, settings, 1, progress)
    finally:
        progress._lock.close()
    return read_log(folder)


def read_log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").open()]


@pytest.mark.parametrize("bias", [0.0, 1.0])
@pytest.mark.parametrize("preset", ["paper", "released"])
def test_a_collapse_is_named_within_200_steps_and_then_stops_the_run(
    few_pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture, preset: Any, bias: float
) -> None:
    settings = Pretraining(preset=preset, batch_pairs=4, collapse_patience_steps=150)
    stopped = r"stopped at iteration 160: .* not grown since iteration 10; .*hard_share: 0\.5"
    with pytest.raises(InputError, match=stopped):
        collapsed_run(few_pairs, tmp_path, settings, bias)
    log = read_log(tmp_path)
    at = next(i for i, line in enumerate(log) if "warning" in line)
    assert log[at - 1]["iteration"] == 110
    assert log[at - 1]["loss"] == pytest.approx(settings.margin)
    assert f"near 0 ({log[at - 1]['spread']:.1e} at iteration 110" in log[at]["warning"]
    assert f"a loss of {settings.margin:.3f} at a margin" in log[at]["warning"]
    assert "try random negatives for longer" in log[at]["warning"]
    assert log[at]["warning"] in capsys.readouterr().err
    assert sum("warning" in line for line in log) == 1


def test_a_killed_run_knows_since_when_its_features_are_collapsed(
    few_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Pretraining(batch_pairs=2, collapse_patience_steps=150, checkpoint_every_seconds=0.1)
    with pytest.raises(InputError):
        collapsed_run(few_pairs, tmp_path / "whole", settings)
    rank, count = trainer._rank, 0

    def cut(*given):
        nonlocal count
        count += 1
        if count % 70 == 0:
            raise KeyboardInterrupt
        return rank(*given)

    monkeypatch.setattr(trainer, "_rank", cut)
    for _ in range(2):
        with contextlib.suppress(KeyboardInterrupt):
            collapsed_run(few_pairs, tmp_path / "cut", settings)
        assert (tmp_path / "cut/checkpoint.pt").exists()
    monkeypatch.setattr(trainer, "_rank", rank)
    with pytest.raises(InputError, match=r"stopped at iteration 160: .* since iteration 10;"):
        collapsed_run(few_pairs, tmp_path / "cut", settings)
    logs = [read_log(tmp_path / name) for name in ("cut", "whole")]
    assert [line | {"images_per_second": 0} for line in logs[0]] == [
        line | {"images_per_second": 0} for line in logs[1]
    ]


def test_a_log_that_does_not_fit_its_checkpoint_is_one_sentence(
    few_pairs: Path, tmp_path: Path
) -> None:
    settings = Pretraining(batch_pairs=2, checkpoint_every_seconds=0.001)
    collapsed_run(few_pairs, tmp_path, settings, iterations=21)
    for damage in (b"\x00", b"{}", b'{"spread": 0.1}\n'):
        (tmp_path / "log.jsonl").write_bytes(damage * 400)
        with pytest.raises(InputError, match=r"log\.jsonl: this log does not fit the checkpoint"):
            collapsed_run(few_pairs, tmp_path, settings, iterations=30)
    (tmp_path / "log.jsonl").unlink()
    with pytest.raises(InputError, match="delete its folder to start anew"):
        collapsed_run(few_pairs, tmp_path, settings, iterations=30)


def seen(watch: CollapseWatch, spreads: dict[int, float], loss: float = 0.5) -> list[int]:
    """The iterations at which a watch warns."""
    return [at for at, spread in spreads.items() if watch.see(at, loss, spread) is not None]


def test_each_collapse_is_named_once_and_within_200_steps() -> None:
    healthy = {at: 0.4 for at in range(100, 1000, 100)}
    assert seen(CollapseWatch(PAPER), healthy) == []
    for begin in (0, 301, 500):
        for every in (10, 50, 100):
            spreads = {at: 0.6 if at < begin else 1e-4 for at in range(every, 1500, every)}
            (named,) = seen(CollapseWatch(PAPER), spreads)
            assert 100 <= named - begin <= 200
    twice = {at: 0.2 if 500 <= at < 600 else 0.0 for at in range(10, 1500, 10)}
    assert seen(CollapseWatch(PAPER), twice) == [110, 700]


def test_a_low_loss_or_a_wide_spread_is_no_collapse() -> None:
    spreads = {at: 1e-4 for at in range(100, 1000, 100)}
    assert seen(CollapseWatch(PAPER), spreads, loss=0.4) == []
    assert seen(CollapseWatch(RELEASED), spreads, loss=0.6) == []
    # The loss of collapsed features is another in InfoNCE: there the spread alone tells.
    assert seen(CollapseWatch(Pretraining(loss="infonce")), spreads, loss=0.1) == [200]


def test_a_spread_that_grows_goes_on_and_one_that_does_not_stops() -> None:
    watch = CollapseWatch(Pretraining(collapse_patience_steps=300))
    for at in range(100, 6100, 100):  # so slow that it grows by a tenth in 163 iterations
        watch.see(at, 0.5, 1e-3 * 1.8 ** (at / 1000))
        watch.stop_if_hopeless(at)
    grown, spread = watch.best_at, watch.best
    assert 5800 < grown <= 6000
    watch.see(grown + 299, 0.5, 1.05 * spread)
    watch.stop_if_hopeless(grown + 299)
    with pytest.raises(InputError, match=f"has not grown since iteration {grown};"):
        watch.stop_if_hopeless(grown + 300)


def test_no_patience_means_never() -> None:
    watch = CollapseWatch(Pretraining(collapse_patience_steps=None))
    for at in range(100, 100_000, 100):
        watch.see(at, 0.5, 0.0)
        watch.stop_if_hopeless(at)
    assert watch.since == 100
