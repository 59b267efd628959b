"""Look-alikes of an image in a folder, by the cosine of features that are kept between searches.

Each number of a feature is first set in relation to its mean and spread in the folder: else what
all photographs have in common makes all of them alike (cosines above .9).
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trackssl import __version__
from trackssl.errors import InputError
from trackssl.files import file_sha256, fingerprint, whole_file
from trackssl.images import read_image
from trackssl.pretraining.embed import Encoder, Features, encode_files, image_files
from trackssl.retrieval.search import nearest

_SAVED_IMAGES = 4096  # so often the features are saved while they are computed
_MIN_IMAGES = 10
OnBad = Callable[[InputError], None]


@dataclass(frozen=True)
class Match:
    """An image that was found, and the cosine of its features with the query's."""

    path: Path
    cosine: float


@dataclass(frozen=True)
class Matches:
    """The nearest images, best first; how many were searched, and computed anew for it."""

    found: Sequence[Match]
    searched: int
    computed: int


def search(
    query: Path,
    folder: Path,
    encoder: Encoder,
    count: int,
    cache: Path | None,
    on_bad: OnBad,
) -> Matches:
    """The `count` images of a folder, searched recursively, that are nearest to the query.

    Features are kept in the folder `cache`, in a file by folder, weights and layer; an image is
    computed anew when its size or time has changed. `on_bad` is told of images that cannot be
    decoded, which are left out; the query itself is, where it lies in the folder.

    Raises InputError for a query that cannot be decoded, and a folder without any usable image.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder of images; check the path.")
    wanted = encoder(encoder.crop(read_image(query))[None])
    kept = _Kept(cache / _cache_name(folder, encoder) if cache else None, encoder.dim)
    computed = kept.update(folder, encoder, on_bad)
    names = [name for name in kept.rows if (folder / name).resolve() != query.resolve()]
    if not names:
        raise InputError(f"{folder}: there is no image to be found in it besides the query.")
    gallery = np.stack([kept.rows[name][1] for name in names])
    wanted, gallery = in_relation(wanted, gallery)
    rows, cosines = nearest(wanted, [gallery], count)
    found = [
        Match(folder / names[row], float(cosine))
        for row, cosine in zip(rows[0], cosines[0], strict=True)
    ]
    return Matches(found, len(names), computed)


def in_relation(wanted: Features, gallery: Features) -> tuple[Features, Features]:
    """Both (Q, D) and (G, D) less the gallery's mean, divided by its standard deviation; of fewer
    than 10 images neither says much, and both stay as they are.
    """
    if len(gallery) < _MIN_IMAGES:
        return wanted, gallery
    mean, spread = gallery.mean(axis=0), gallery.std(axis=0)
    scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-6)
    return (wanted - mean) * scale, (gallery - mean) * scale


def default_cache() -> Path:
    """Where features are kept where nothing else is said: the user's folder of caches."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "trackssl" / "search"


def _cache_name(folder: Path, encoder: Encoder) -> str:
    key = [str(folder.resolve()), file_sha256(encoder.weights), encoder.layer, __version__]
    return f"{fingerprint(key)}.parquet"


Stamp = tuple[int, int]  # bytes, time of the last change in ns


class _Kept:
    """Features by the images' names below their folder, in a parquet file or in memory alone."""

    def __init__(self, path: Path | None, dim: int) -> None:
        self.path, self.dim = path, dim
        self.schema = pa.schema(
            [
                ("name", pa.string()),
                ("bytes", pa.int64()),
                ("changed_ns", pa.int64()),
                ("feature", pa.list_(pa.float32(), dim)),
            ]
        )
        self.rows: dict[str, tuple[Stamp, Features]] = dict(self._read())

    def update(self, folder: Path, encoder: Encoder, on_bad: OnBad) -> int:
        """Bring the rows up to the folder's images as they are -> how many were computed."""
        known, self.rows = self.rows, {}
        stamps: dict[Path, Stamp] = {}
        for path in image_files([folder]):
            try:
                about = path.stat()
            except OSError as error:
                on_bad(InputError(f"{path}: this image cannot be used ({error.strerror})."))
                continue
            stamp, name = (about.st_size, about.st_mtime_ns), str(path.relative_to(folder))
            if name in known and known[name][0] == stamp:
                self.rows[name] = known[name]
            else:
                stamps[path] = stamp
        changed, computed = len(self.rows) != len(known), 0
        for paths, features in encode_files(stamps, encoder, on_bad=on_bad):
            for path, feature in zip(paths, features, strict=True):
                self.rows[str(path.relative_to(folder))] = stamps[path], feature
            before, computed = computed, computed + len(paths)
            if computed // _SAVED_IMAGES > before // _SAVED_IMAGES:
                self._write()
        if changed or computed:
            self._write()
        return computed

    def _read(self) -> Iterator[tuple[str, tuple[Stamp, Features]]]:
        """The rows of the file; none where there is none, or one that is broken or of others."""
        if self.path is None:
            return
        try:
            table = pq.read_table(self.path)
        except (OSError, pa.ArrowException):
            return
        if not table.schema.equals(self.schema) or any(c.null_count for c in table.columns):
            return
        features = table["feature"].combine_chunks().flatten().to_numpy().reshape(-1, self.dim)
        columns = (table[name].to_pylist() for name in ("name", "bytes", "changed_ns"))
        for name, size, changed, feature in zip(*columns, features, strict=True):
            yield name, ((size, changed), feature)

    def _write(self) -> None:
        """Keep the rows; what cannot be written is done without, as it only saves time."""
        if self.path is None:
            return
        values = list(self.rows.values())
        features = np.concatenate([feature for _, feature in values] or [np.empty(0, np.float32)])
        columns = [
            pa.array(list(self.rows), pa.string()),
            pa.array([stamp[0] for stamp, _ in values], pa.int64()),
            pa.array([stamp[1] for stamp, _ in values], pa.int64()),
            pa.FixedSizeListArray.from_arrays(pa.array(features, pa.float32()), self.dim),
        ]
        try:
            with whole_file(self.path) as part:
                pq.write_table(pa.table(columns, schema=self.schema), part, store_schema=True)
        except OSError:
            self.path = None
