"""The figures that a plan is made of, with their sources: figures.csv beside this file."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

# measured: on the machine that the source names; published: by the data's makers; assumed: a guess
# whose reason the source gives.
Basis = Literal["measured", "published", "assumed"]
# What it is about: work of cores or of GPUs, the disk, or how much there is to work on.
Subject = Literal["core", "gpu", "disk", "amount"]


@dataclass(frozen=True)
class Figure:
    """One number: `source` says how it was measured, who published it or why it is assumed."""

    key: str
    value: float
    unit: str
    of: Subject
    basis: Basis
    date: str
    source: str


@dataclass
class Figures:
    """All figures by key; remembers which were used."""

    by_key: dict[str, Figure]
    used: set[str] = field(default_factory=set)

    def __getitem__(self, key: str) -> float:
        self.used.add(key)
        return self.by_key[key].value

    def __contains__(self, key: str) -> bool:
        return key in self.by_key

    @contextmanager
    def noting(self) -> Iterator[set[str]]:
        """The keys that are used within the block."""
        before, self.used = self.used, set()
        try:
            yield self.used
        finally:
            before |= self.used
            self.used = before

    def assumed(self, keys: Iterable[str], of: Subject) -> list[str]:
        """Those of these keys that are assumed: about a subject, or how much there is to do."""
        found = [self.by_key[key] for key in keys]
        return sorted(f.key for f in found if f.basis == "assumed" and f.of in (of, "amount"))


def read_figures() -> Figures:
    """The package's table."""
    text = files("trackssl.planning").joinpath("figures.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return Figures({row["key"]: _figure(row) for row in rows})


def _figure(row: dict[str, str]) -> Figure:
    values: dict[str, Any] = {**row, "value": float(row["value"])}
    return Figure(**values)
