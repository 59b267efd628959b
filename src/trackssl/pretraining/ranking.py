"""The ranking loss of pairs of patches (Wang & Gupta 2015, sec. 3; released: caffe-video_triplet).

    D(a, b) = 1 - cos(a, b)        L = max(0, D(x, x+) - D(x, x-) + M)

The anchor x is a pair's first patch, x+ its second one, and x- is one of K negatives: patches of
the batch, first or second ones, from another video. At first they are drawn at random, later they
are the K with the highest loss, or `hard_share` of them are (an option; the released code mixes
too).

Where the paper is silent, ours: the loss is the mean over all chosen (pair, negative), K a pair
(the released code divides by a constant and takes both patches of a pair as anchors in turn); an
anchor with fewer than K candidates in its batch takes them all.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from trackssl.config import Pretraining
from trackssl.errors import InputError


class RankingResult(NamedTuple):
    """Loss of a batch and two signs of its health; scalars.

    `violated_share`: share of the chosen negatives with a loss above 0. `spread`: 1 - |mean
    feature|^2, the mean cosine distance of two patches of the batch: 0 when features collapse.
    """

    loss: Tensor
    violated_share: Tensor
    spread: Tensor


def choose_negatives(
    similarity: Tensor,
    candidate: Tensor,
    negatives: int,
    hard_share: float,
    generator: torch.Generator,
) -> Tensor:
    """Mark K candidates a row: (B, P) cosines, (B, P) bool -> (B, P) bool.

    `hard_share` of the K are the hardest, which are the most similar ones, as the loss grows with
    the cosine; the others are drawn at random, on the CPU, so that every device takes the same.
    """
    hard = round(hard_share * negatives)
    chosen = _mark_largest(similarity.detach(), candidate, hard)
    if hard < negatives:
        draws = torch.rand(similarity.shape, generator=generator).to(similarity.device)
        chosen = chosen | _mark_largest(draws, candidate & ~chosen, negatives - hard)
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

    Raises InputError when all pairs are of one video, since no patch could be a negative.
    """
    patches = torch.cat([first, last])  # (2B, D)
    candidate = videos[:, None] != torch.cat([videos, videos])[None, :]  # (B, 2B)
    if not candidate.any():
        raise InputError(
            f"All {len(videos)} pairs of a batch are of one video, so there are no negatives; mine "
            "more videos or raise pretraining.batch_pairs."
        )
    similarity = first @ patches.T  # (B, 2B)
    hard_share = settings.hard_share if hard else 0.0
    chosen = choose_negatives(similarity, candidate, settings.negatives, hard_share, generator)
    positive = (first * last).sum(dim=1, keepdim=True)  # (B, 1)
    losses = F.relu(similarity - positive + settings.margin) * chosen  # (B, 2B)
    count = chosen.sum()
    return RankingResult(
        loss=losses.sum() / count,
        violated_share=(losses.detach() > 0).sum() / count,
        spread=1 - patches.detach().mean(dim=0).square().sum(),
    )
