"""How many objects proposals find, by the number of windows taken of each image."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from rich.table import Table

from trackssl.boxes import overlaps
from trackssl.datasets.voc import VocIndex
from trackssl.detection.proposals import ProposalFile
from trackssl.errors import InputError

COUNTS = (50, 100, 200, 500, 1_000, 2_000, None)  # None: all


def proposal_recall(
    index: VocIndex,
    split: str,
    proposals: ProposalFile,
    iou: float = 0.5,
    counts: Sequence[int | None] = COUNTS,
) -> pd.DataFrame:
    """A row a number of windows: of each image the first so many, in the order they stand in.

    Columns: windows (an integer, or `all`), mean_windows of an image, recall (0..1: the share of
    the objects which one of the windows overlaps at IoU `iou` or more), best_overlap (the mean of
    each object's best IoU), both of the objects that are not difficult, objects (their number), and
    the same of all objects: recall_with_difficult, objects_with_difficult. Raises InputError for a
    split in which nothing but difficult objects are.
    """
    sizes: list[int] = []
    difficult: list[bool] = []
    best: list[list[float]] = []  # (objects, counts)
    for position, (_, annotation) in enumerate(index.annotations(split)):
        boxes = proposals[position]
        sizes.append(len(boxes))
        difficult += annotation.difficult.tolist()
        each = overlaps(annotation.boxes, boxes)
        best += np.stack([each[:, :n].max(axis=1, initial=0) for n in counts], axis=1).tolist()
    found, easy = np.array(best), ~np.array(difficult, bool)
    if not easy.any():
        raise InputError(f"no object of '{split}' counts, all are difficult; take another split.")
    rows = []
    for column, count in enumerate(counts):
        rows.append(
            {
                "windows": "all" if count is None else str(count),
                "mean_windows": float(np.minimum(sizes, count or max(sizes)).mean()),
                "recall": float((found[easy, column] >= iou).mean()),
                "best_overlap": float(found[easy, column].mean()),
                "objects": int(easy.sum()),
                "recall_with_difficult": float((found[:, column] >= iou).mean()),
                "objects_with_difficult": len(easy),
            }
        )
    return pd.DataFrame(rows)


def drawn(table: pd.DataFrame, title: str) -> Table:
    """A table of `proposal_recall` for the terminal."""
    first = table.iloc[0]
    caption = (
        f"{first['objects']} objects, {first['objects_with_difficult']} with the difficult ones; "
        "mean windows: so many there are."
    )
    result = Table(title=title, caption=caption)
    for name in ("windows", "mean windows", "recall %", "mean best IoU", "recall % with difficult"):
        result.add_column(name, justify="right", no_wrap=True)
    for row in table.to_dict("records"):
        result.add_row(
            row["windows"],
            f"{row['mean_windows']:.0f}",
            f"{100 * row['recall']:.1f}",
            f"{row['best_overlap']:.3f}",
            f"{100 * row['recall_with_difficult']:.1f}",
        )
    return result
