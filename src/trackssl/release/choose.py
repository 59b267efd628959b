"""Which files of a run are released, by its config: pairs of a path in the run and a new name."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trackssl.config import Config


@dataclass(frozen=True)
class Item:
    """A file of a run, by its path from the run's folder, and its name within the release."""

    source: str
    name: str


def tables(config: Config, run: Path) -> list[Item]:
    """Every table of the run, its summary over the seeds and the differences of its methods."""
    return [
        Item(f"results/{table}{what}.csv", f"{table}{what}.csv")
        for table in config.result_tables
        for what in ("", "_summary", "_differences")
    ]


def models(config: Config, run: Path) -> list[Item]:
    """Weights, logs and SVMs of the config's networks and methods that are there.

    They lie in the release as in `results/`, so that `trackssl detect` finds a method's networks.
    """
    found = []
    for path in _models(config):
        if (run / "results" / path).is_file():
            found.append(Item(f"results/{path}", path))
    return found


def pairs(config: Config, run: Path) -> list[Item]:
    """All shards of pairs, their counts and the order that makes the sets; none unless wanted."""
    if not config.release.pairs:
        return []
    shards = [f"{shard:04d}" for shard in range(config.videos.shards)]
    names = [f"{shard}.{ending}" for shard in shards for ending in ("arrow", "json")]
    return [Item(f"results/pairs/{name}", name) for name in ["sets.parquet", *names]]


def _models(config: Config) -> Iterator[str]:
    """Paths under results/ that the config's models may have."""
    seeds = config.trained_seeds
    for year in config.voc_by_year:
        if "pretraining" in config.release.models:
            for network in config.networks:
                folder = f"pretraining{year}/{network}"
                yield f"{folder}/weights.safetensors"  # imported: one for all seeds
                for seed in seeds:
                    yield f"{folder}/seed{seed}/weights.safetensors"
                    yield f"{folder}/seed{seed}/log.jsonl"
        if "detection" in config.release.models:
            for network in config.networks:
                for seed in seeds:
                    folder = f"detection{year}/networks/{network}/seed{seed}"
                    yield f"{folder}/weights.safetensors"
                    yield f"{folder}/log.jsonl"
            for method in config.methods:
                for seed in config.seeds:
                    yield f"detection{year}/methods/{method}/seed{seed}/svms.safetensors"
