"""The ranking loss of pairs of patches (Wang & Gupta 2015, sec. 3; released: caffe-video_triplet).

    D(a, b) = 1 - cos(a, b)        L = max(0, D(x, x+) - D(x, x-) + M)

The anchor x is a pair's first patch, x+ its second one, and x- is one of K negatives: patches of
the batch, first or second ones, from another video. At first they are drawn at random, later they
are the K with the highest loss. As the paper does not state the divisor, the loss is the mean over
all chosen (pair, negative).

The released code, preset `released`, differs: M is 1; negatives are violators only, those with a
loss above 0 of the first patch, and of the K, `hard_share` are drawn from the K hardest, the others
from the violators left; each patch of a pair is the anchor in turn, with the same negatives; the
sum is divided by K an anchor, even where fewer were chosen.

Beyond both: semi-hard negatives, a mix of hard and random ones, and InfoNCE on the same pairs. An
anchor with fewer than K to choose from takes them all.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from trackssl.config import Pretraining
from trackssl.errors import InputError

# Semi-hard negatives may be nearer than the partner by so much, which is rounding: so collapsed
# features have a loss of the margin, not none.
ROUNDING = 1e-6


class RankingResult(NamedTuple):
    """Loss of a batch and two signs of its health; scalars.

    `violated_share`: share of the chosen negatives with a hinge above 0. `spread`: mean |feature|^2
    - |mean feature|^2, of unit features the mean cosine distance of two patches of the batch: 0
    when features collapse, or are all 0 as those of a dead network.
    """

    loss: Tensor
    violated_share: Tensor
    spread: Tensor


def choose_negatives(
    similarity: Tensor,
    positive: Tensor,
    candidate: Tensor,
    hard: bool,
    settings: Pretraining,
    generator: torch.Generator,
) -> Tensor:
    """Mark K candidates an anchor: (B, P) cosines, (B, 1) of the partner, (B, P) bool -> (B, P).

    In the hard phase `hard_share` of the K are hard: the most similar ones, as the loss grows with
    the cosine, or of the released choice some of the K most similar. The others are drawn at
    random, on the CPU, so that every device takes the same.
    """
    count = settings.negatives or similarity.shape[1]
    hard_count = round(settings.hard_share * count) if hard else 0
    pool = candidate
    if settings.negative_choice == "released":
        pool = pool & (similarity - positive + settings.margin > 0)
    elif settings.negative_choice == "semi_hard" and hard:
        pool = pool & (similarity - positive + settings.margin > 0)
        pool = pool & (similarity <= positive + ROUNDING)

    def draw() -> Tensor:
        return torch.rand(similarity.shape, generator=generator).to(similarity.device)

    if settings.negative_choice == "released" and hard_count:
        chosen = _mark_largest(draw(), _mark_largest(similarity, pool, count), hard_count)
    else:
        chosen = _mark_largest(similarity, pool, hard_count)
    if hard_count < count:
        chosen = chosen | _mark_largest(draw(), pool & ~chosen, count - hard_count)
    return chosen


def _mark_largest(values: Tensor, candidate: Tensor, count: int) -> Tensor:
    """Mark the `count` largest values of the candidates of each row, or all if there are fewer."""
    order = values.masked_fill(~candidate, -torch.inf)
    best = order.topk(min(count, order.shape[1]), dim=1).indices  # (B, count)
    return torch.zeros_like(candidate).scatter(1, best, True) & candidate


def ranking_loss(
    first: Tensor,
    last: Tensor,
    videos: Tensor,
    hard: bool,
    settings: Pretraining,
    generator: torch.Generator,
) -> RankingResult:
    """Loss of B pairs: unit features of first and last patches (B, D), video numbers (B,).

    The numbers are best on the CPU, where looking at them waits for no GPU.

    Raises InputError when all pairs are of one video, since no patch could be a negative.
    """
    pairs = len(first)
    patches = torch.cat([first, last])  # (2B, D)
    candidate = videos[:, None] != torch.cat([videos, videos])[None, :]  # (B, 2B)
    if not candidate.any():
        raise InputError(
            f"All {len(videos)} pairs of a batch are of one video, so there are no negatives; mine "
            "more videos or raise pretraining.batch_pairs."
        )
    candidate = candidate.to(first.device)
    anchors = patches if settings.anchors == "both" else first  # (A, D), A is B or 2B
    similarity = anchors @ patches.T  # (A, 2B)
    positive = (first * last).sum(dim=1, keepdim=True)  # (B, 1)
    chosen = choose_negatives(
        similarity[:pairs].detach(), positive.detach(), candidate, hard, settings, generator
    )
    turns = len(anchors) // pairs
    positive, chosen = positive.repeat(turns, 1), chosen.repeat(turns, 1)  # (A, 1), (A, 2B)
    losses = F.relu(similarity - positive + settings.margin) * chosen  # (A, 2B)
    count = chosen.sum().clamp(min=1)
    alive = patches.detach().any(dim=1).to(patches.dtype)  # (2B,) |feature|^2: 1, or 0
    if settings.loss == "infonce":
        loss = _info_nce(similarity, positive, chosen, settings.temperature)
    elif settings.divisor == "constant":
        possible = pairs * settings.negatives if settings.negatives else candidate.sum()
        loss = losses.sum() / (turns * possible)
    else:
        loss = losses.sum() / count
    return RankingResult(
        loss=loss,
        violated_share=(losses.detach() > 0).sum() / count,
        spread=alive.mean() - patches.detach().mean(dim=0).square().sum(),
    )


def _info_nce(similarity: Tensor, positive: Tensor, chosen: Tensor, temperature: float) -> Tensor:
    """-log of the partner's share of the softmax over itself and the chosen; mean over anchors."""
    others = similarity.masked_fill(~chosen, -torch.inf)
    logits = torch.cat([positive, others], dim=1) / temperature  # (A, 1 + 2B)
    return (logits.logsumexp(dim=1) - logits[:, 0]).mean()
