"""What a run's folder holds, as the page's sections look for it."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from trackssl.config import Config
from trackssl.errors import InputError
from trackssl.tables import metric_names, read_csv

# In the order of the page. What each is called, and what its rows are measured in.
TABLES = {
    "voc_map": "Detection on PASCAL VOC",
    "voc_retrieval": "Nearest windows",
    "voc07_classification": "Classes of whole images",
    "mit67_accuracy": "Scenes of MIT Indoor 67",
    "nyu_normals": "Surface normals of NYU Depth v2",
}


@dataclass(frozen=True)
class Run:
    """A folder with results/ and what lies beside it; `config` is None where it was not given."""

    folder: Path
    config: Config | None
    page: Path  # where the page will lie: links start from there

    @property
    def results(self) -> Path:
        """The folder of the results."""
        return self.folder / "results"

    @cached_property
    def name(self) -> str:
        """The name in results/run.json. Raises InputError for a folder that is no run's."""
        mark = self.results / "run.json"
        try:
            return str(json.loads(mark.read_text(encoding="utf-8"))["name"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{mark}: there is no run here; give the folder in which snakemake made results/."
            ) from None

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The results tables by their file's stem; detection of a second year follows the first."""
        found = {}
        for stem in TABLES:
            for path in sorted(self.results.glob(f"{stem}.csv")) + self._of_years(stem):
                table = read_csv(path)
                if not table.empty:
                    found[path.stem] = table
        return found

    def _of_years(self, stem: str) -> list[Path]:
        return sorted(self.results.glob(f"{stem}_[0-9][0-9][0-9][0-9].csv"))

    @cached_property
    def comparable(self) -> bool:
        """Whether any table's rows may be set beside the paper's."""
        return any(bool(table["comparable"].any()) for table in self.tables.values())

    @cached_property
    def drawn(self) -> bool:
        """Whether the videos, or else the tables' data, are the built-in world's."""
        if self.config:
            return self.config.videos.source == "miniworld"
        return any((table["data"] == "miniworld").any() for table in self.tables.values())

    @cached_property
    def label(self) -> str:
        """What stands on each picture of a run that the paper does not compare with, or ""."""
        if self.comparable:
            return ""
        if self.drawn:
            return f"{self.name}: a drawn world, not comparable with the paper"
        return f"{self.name}: not comparable with the paper" if self.tables else ""

    @cached_property
    def networks(self) -> dict[str, list[int]]:
        """Networks of the ranking task and their seeds, those of the config's order first."""
        found: dict[str, list[int]] = {}
        for path in self.results.glob("pretraining/*/seed*/weights.safetensors"):
            found.setdefault(path.parts[-3], []).append(int(path.parts[-2].removeprefix("seed")))
        order = list(self.config.networks) if self.config else []
        rank = {name: place for place, name in enumerate(order)}
        names = sorted(found, key=lambda name: (rank.get(name, len(rank)), name))
        return {name: sorted(found[name]) for name in names}

    def weights(self, network: str, seed: int) -> Path:
        """The file of a network of the ranking task."""
        return self.results / f"pretraining/{network}/seed{seed}/weights.safetensors"

    @cached_property
    def main_network(self) -> str | None:
        """The network whose filters and units are shown: of those that only saw pairs, the last."""
        if not self.networks:
            return None
        specs = self.config.networks if self.config else {}
        plain = [n for n in self.networks if n not in specs or specs[n].init == "pairs"]
        return (plain or list(self.networks))[-1]

    @cached_property
    def shards(self) -> list[Path]:
        """The files of pairs."""
        return sorted(self.results.glob("pairs/*.arrow"))

    def link(self, path: Path) -> str:
        """A relative link from the page to a file of the run."""
        return quote(Path(os.path.relpath(path, self.page.parent)).as_posix())


def headline(table: pd.DataFrame) -> str:
    """The metric that a table is read for."""
    return metric_names(table)[0]


def per_method(table: pd.DataFrame, metric: str) -> Iterator[tuple[str, Sequence[float]]]:
    """(method, its values over the seeds) in the table's order."""
    for method, rows in table.groupby("method", sort=False):
        yield str(method), [float(value) for value in rows[metric].dropna()]
