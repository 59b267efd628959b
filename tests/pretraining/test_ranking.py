import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from trackssl.config import Pretraining
from trackssl.errors import InputError
from trackssl.pretraining.ranking import choose_negatives, ranking_loss

SETTINGS = Pretraining()


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(pairs: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    both = normalize(torch.randn(2, pairs, 6, generator=draws(seed)), dim=2)
    return both[0], both[1]


def choose(
    similarity: Tensor, candidate: Tensor, negatives: int, hard_share: float, seed: int = 0
) -> Tensor:
    """The paper's choice of negatives in the hard phase; it does not look at the partners."""
    settings = Pretraining(negatives=negatives, hard_share=hard_share)
    partner = torch.zeros(len(similarity), 1)
    return choose_negatives(similarity, partner, candidate, True, settings, draws(seed))


def slow_hard_loss(first: Tensor, last: Tensor, videos: Tensor, k: int, margin: float) -> float:
    """The loss with the K hardest negatives in plain Python, word for word."""

    def distance(a: list[float], b: list[float]) -> float:
        return 1 - sum(x * y for x, y in zip(a, b, strict=True))

    x, positive = first.tolist(), last.tolist()
    total, count = 0.0, 0
    for i in range(len(x)):
        losses = []
        for j in range(len(x)):
            if videos[i] == videos[j]:
                continue
            for negative in (x[j], positive[j]):
                gap = distance(x[i], positive[i]) - distance(x[i], negative)
                losses.append(max(0.0, gap + margin))
        hardest = sorted(losses, reverse=True)[:k]
        total, count = total + sum(hardest), count + len(hardest)
    return total / count


@pytest.mark.parametrize("seed", range(5))
def test_the_hard_loss_equals_a_slow_reference(seed: int) -> None:
    first, last = features(seed=seed)
    videos = torch.arange(12) // 2
    found = ranking_loss(first, last, videos, True, SETTINGS, draws())
    assert found.loss.item() == pytest.approx(slow_hard_loss(first, last, videos, 4, 0.5), abs=1e-6)


def test_collapsed_features_give_a_loss_of_the_margin() -> None:
    same = normalize(torch.ones(10, 6), dim=1)
    for hard in (False, True):
        found = ranking_loss(same, same, torch.arange(10), hard, SETTINGS, draws())
        assert found.loss.item() == pytest.approx(0.5)
        assert found.violated_share == 1
        assert found.spread.item() == pytest.approx(0, abs=1e-6)


def test_met_margins_give_no_loss() -> None:
    apart = torch.eye(10)
    found = ranking_loss(apart, apart, torch.arange(10), True, SETTINGS, draws())
    assert found.loss == found.violated_share == 0
    assert found.spread.item() == pytest.approx(0.9)


def test_negatives_never_share_the_anchors_video() -> None:
    videos = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2, 3])
    candidate = videos[:, None] != torch.cat([videos, videos])
    for seed in range(50):
        for hard in (False, True):
            similarity = torch.rand(10, 20, generator=draws(seed))
            chosen = choose(similarity, candidate, 4, float(hard), seed)
            assert not (chosen & ~candidate).any()
            assert (chosen.sum(dim=1) == 4).all()


def test_an_anchor_with_few_candidates_takes_them_all() -> None:
    videos = torch.tensor([0, 0, 0, 0, 1])  # anchors of video 0 have two candidates
    candidate = videos[:, None] != torch.cat([videos, videos])
    chosen = choose(torch.rand(5, 10), candidate, 4, 0.0)
    assert torch.equal(chosen[:4], candidate[:4])
    assert chosen[4].sum() == 4


def test_a_hard_share_of_a_half_takes_the_two_hardest_and_two_others() -> None:
    similarity = torch.rand(6, 12, generator=draws())
    candidate = torch.ones(6, 12, dtype=torch.bool)
    chosen = choose(similarity, candidate, 4, 0.5, seed=1)
    hardest = choose(similarity, candidate, 2, 1.0)
    assert (chosen & hardest).sum(dim=1).tolist() == [2] * 6
    assert chosen.sum(dim=1).tolist() == [4] * 6


def test_hard_negatives_are_those_with_the_highest_loss() -> None:
    first, last = features()
    videos = torch.arange(12)
    candidate = videos[:, None] != torch.cat([videos, videos])
    similarity = first @ torch.cat([first, last]).T
    losses = similarity - (first * last).sum(1, keepdim=True) + 0.5
    chosen = choose(similarity, candidate, 4, 1.0)
    for i in range(12):
        left_out = candidate[i] & ~chosen[i]
        assert losses[i][chosen[i]].min() >= losses[i][left_out].max()


def test_random_negatives_take_every_candidate_equally_often() -> None:
    videos = torch.arange(6)
    candidate = videos[:, None] != torch.cat([videos, videos])
    similarity = torch.zeros(6, 12)
    chosen = sum(choose(similarity, candidate, 4, 0.0, s).float() for s in range(500))
    assert chosen[candidate].min() > 150  # of 500 * 4 / 10 = 200 expected
    assert chosen[candidate].max() < 250


def test_a_batch_of_one_video_is_refused() -> None:
    first, last = features()
    with pytest.raises(InputError, match="All 12 pairs of a batch are of one video"):
        ranking_loss(first, last, torch.zeros(12, dtype=torch.int64), False, SETTINGS, draws())
