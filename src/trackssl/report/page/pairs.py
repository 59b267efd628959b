"""Pairs of patches on the page: some drawn at random, those of the best and the worst tracks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trackssl.images import Image, decode_image
from trackssl.pairs.store import Pair, PairShard
from trackssl.randomness import generator
from trackssl.report.page.blocks import Chart, Tile, Tiles
from trackssl.report.page.images import jpeg_uri, shrunk
from trackssl.report.page.run import Run
from trackssl.report.page.svg import ACCENT, QUIET, bare, draw
from trackssl.report.page.words import count, number

SHOWN, EXTREMES = 24, 8
PATCH_PX = 112
_MOST_SHARDS = 16  # that are looked into: a shard holds thousands of pairs


@dataclass(frozen=True)
class Looked:
    """Pairs of the shards that were looked into, at most `_MOST_SHARDS` drawn of all."""

    shards: Sequence[PairShard]
    scores: Sequence[NDArray[np.float32]]  # track scores of each shard, (N,)

    @classmethod
    def into(cls, paths: Sequence[Path]) -> "Looked":
        """Open shards and read their scores; of each pair nothing else is read."""
        order = generator("report", "shards").permutation(len(paths))[:_MOST_SHARDS]
        shards = [PairShard(paths[i]) for i in sorted(order)]
        return cls(shards, [_scores(shard) for shard in shards])

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def pair(self, index: int) -> Pair:
        """A pair by its number among all that were looked into."""
        for shard in self.shards:
            if index < len(shard):
                return shard[index]
            index -= len(shard)
        raise IndexError(index)

    def drawn(self, most: int, *key: str) -> list[int]:
        """Numbers of pairs, drawn at random by a key, in their order."""
        rng = generator("report", *key)
        many = len(self)
        return sorted(rng.choice(many, min(most, many), replace=False).tolist()) if many else []


def _scores(shard: PairShard) -> NDArray[np.float32]:
    columns = [batch.column("track_score") for batch in shard.batches]
    joined = pa.chunked_array(columns, pa.float32())
    return np.asarray(joined.to_numpy())


def pair_blocks(run: Run) -> list[object]:
    """The sheets of pairs and the chart of their scores; nothing where there are no pairs."""
    looked = Looked.into(run.shards)
    if not len(looked):
        return []
    scores = np.concatenate(looked.scores)
    ranking = np.argsort(-scores, kind="stable")
    best, worst = ranking[:EXTREMES], ranking[::-1][:EXTREMES]
    of = f"of the {count(len(looked))} pairs that were looked at"
    if len(looked.shards) < len(run.shards):
        of += f", in {len(looked.shards)} of {len(run.shards)} shards"
    first = looked.pair(0)
    apart = first.last_frame - first.first_frame
    return [
        _sheet(
            run, looked, looked.drawn(SHOWN, "pairs"),
            "Pairs drawn at random",
            f"Each pair is a patch and the patch it was tracked to, {apart} frames later; "
            f"drawn {of}, so this is what pre-training sees. Below: the track's score.",
        ),
        _score_chart(run, scores),
        _sheet(
            run, looked, best.tolist(), "The surest tracks",
            f"The highest scores {of}. A high score means a steady look, "
            "which also makes an easy pair.",
        ),
        _sheet(
            run, looked, worst.tolist(), "The least sure tracks that were kept",
            f"The lowest scores {of}, just above the threshold. If these end on something else, "
            "the threshold is too low.",
        ),
    ]  # fmt: skip


def _sheet(run: Run, looked: Looked, chosen: Sequence[int], title: str, caption: str) -> Tiles:
    tiles = []
    for index in chosen:
        pair = looked.pair(index)
        uris = [_patch(jpeg, f"a patch of {pair.video}") for jpeg in _both(pair)]
        tiles.append(Tile(uris, pair.video, number(pair.track_score)))
    alt = f"{len(tiles)} pairs of patches cut from videos, each the same thing at two moments."
    return Tiles(tiles, alt, title, caption, run.label)


def _both(pair: Pair) -> tuple[bytes, bytes]:
    return pair.first_jpeg, pair.last_jpeg


def _patch(jpeg: bytes, name: str) -> str:
    patch: Image = decode_image(jpeg, name)
    return jpeg_uri(shrunk(patch, PATCH_PX))


def _score_chart(run: Run, scores: NDArray[np.float32]) -> Chart:
    threshold = run.config.mining.min_track_score if run.config else None
    top = float(np.quantile(scores, 0.99)) + 1

    def plot(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        width = threshold / 4 if threshold else top / 40
        bins = np.arange(0, top + width, width)
        axes.hist(np.clip(scores, 0, top), bins=bins, color=ACCENT, alpha=0.8)  # type: ignore[arg-type]
        if threshold:
            axes.axvline(threshold, color=QUIET, linestyle="--", linewidth=1.2)
            axes.annotate(
                f"lost below {threshold:g}", (threshold, 0.97), (-6, 0),
                xycoords=("data", "axes fraction"), textcoords="offset points",
                ha="right", va="top", size=10, color=QUIET, rotation=90,
            )  # fmt: skip
        axes.set_xlabel("lowest peak to sidelobe ratio of the track")
        axes.set_ylabel("pairs")
        axes.set_xlim(0, top)
        bare(axes, "bottom")

    low, middle, high = np.quantile(scores, [0.05, 0.5, 0.95])
    return draw(
        "scores", plot, (260, 240), run.label,
        alt=f"A histogram of {count(len(scores))} track scores: half lie above {middle:.1f}, nine "
        f"of ten between {low:.1f} and {high:.1f}.",
        title="How sure the tracks are",
        caption="A track's score is the lowest peak to sidelobe ratio of the filter's response on "
        "its way; higher is surer.",
    )  # fmt: skip
