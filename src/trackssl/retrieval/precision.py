"""How many of the nearest windows show the class that was looked for."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DEPTHS = (1, 5, 10, 20)


def class_precision(
    found: NDArray[np.int64], wanted: NDArray[np.int64], classes: Sequence[str]
) -> pd.DataFrame:
    """Precision of each class with queries: columns class, queries, and p1, p5, p10, p20 in 0..1.

    `found` (Q, 20) are the classes of each query's nearest windows, best first, `wanted` (Q,) its
    own. p20 is the share of the 20 nearest that show the class, the mean over its queries.
    """
    right = found == wanted[:, None]
    numbers = np.unique(wanted)
    of_class = [right[wanted == number] for number in numbers]
    return pd.DataFrame(
        {
            "class": [classes[number] for number in numbers],
            "queries": [len(mine) for mine in of_class],
        }
        | {f"p{depth}": [mine[:, :depth].mean() for mine in of_class] for depth in DEPTHS}
    )


def overall(table: pd.DataFrame) -> dict[str, float]:
    """Means in percent: p20 over queries and over classes, then all precisions over queries."""
    names = [f"p{depth}" for depth in DEPTHS]
    means = {name: 100 * float(np.average(table[name], weights=table["queries"])) for name in names}
    by_class = 100 * float(table["p20"].mean())
    return {"top20_by_query": means["p20"], "top20_by_class": by_class} | means
