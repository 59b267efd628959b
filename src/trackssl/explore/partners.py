"""How often a patch finds its tracked partner among patches of other videos."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackssl.pretraining.embed import Features
from trackssl.retrieval.search import unit_rows

DEPTHS = (1, 5, 20)


def partner_ranks(
    first: Features, last: Features, videos: NDArray[np.str_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of N pairs, the rank of each first patch's partner by cosine, and among how many, both (N,).

    The partner stands among the last patches of all other videos: those of its own video may show
    the same thing. Of equal cosines the rank is the middle one, so that equal features are no
    better than chance.
    """
    cosines = unit_rows(first) @ unit_rows(last).T  # (N, N)
    own = cosines.diagonal()[:, None]
    others = videos[:, None] != videos[None, :]
    ahead = (others & (cosines > own)).sum(axis=1)
    level = (others & (cosines == own)).sum(axis=1)
    return 1 + ahead + level / 2, 1 + others.sum(axis=1)


def partner_table(
    ranks: NDArray[np.float64], among: NDArray[np.int64], rows: NDArray[np.bool_]
) -> dict[str, Any]:
    """Shares in percent of some rows' partners among the 1, 5 and 20 nearest, and by chance."""
    table: dict[str, Any] = {"pairs": int(rows.sum()), "candidates": float(among[rows].mean())}
    for depth in DEPTHS:
        table[f"found_{depth}"] = 100 * float((ranks[rows] <= depth).mean())
        table[f"chance_{depth}"] = 100 * float(np.minimum(depth / among[rows], 1).mean())
    return table
