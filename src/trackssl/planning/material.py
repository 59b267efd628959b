"""How much there is to work on: videos with their windows and pairs, images of the benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trackssl.config import Config, Videos, Voc
from trackssl.errors import InputError
from trackssl.planning.figures import Figures
from trackssl.videos import folder
from trackssl.videos.fetch import SOURCES


@dataclass(frozen=True)
class Guess:
    """What the user says of videos that nobody has seen yet; None for the table's own figure."""

    minutes_per_video: float | None = None
    mb_per_video: float | None = None
    success_share: float | None = None


@dataclass(frozen=True)
class Footage:
    """The videos of a run: how many are asked for, how many there will be, and what they hold.

    `said_by` says where that is from, `figures` are those that it was computed from.
    """

    listed: int
    videos: float
    hours: float
    frames: float
    bytes: float
    said_by: str
    windows: float = 0.0
    pairs: float = 0.0
    figures: frozenset[str] = frozenset()


def footage(
    run: Config, guess: Guess, manifests: Sequence[Path], figures: Figures, root: Path
) -> Footage:
    """What the videos of a run will be; manifests say it for those that they list.

    A manifest is a file or a folder of them. Where the config gives no number of videos, they are
    counted: `root` is the folder that its paths start from. Raises InputError where neither says
    how many there are.
    """
    with figures.noting() as used:
        if manifests:
            found = _of_manifests(run, manifests)
        elif run.videos.source == "miniworld":
            found = _drawn(run.videos, figures)
        else:
            found = _guessed(run, guess, figures, root)
        drawn = "drawn_" if run.videos.source == "miniworld" else ""
        windows = (
            found.frames / run.mining.start_every_frames * _windows_a_frame(run, drawn, figures)
        )
        pairs = windows * figures[f"{drawn}pairs_share"]
    return replace(found, windows=windows, pairs=pairs, figures=frozenset(used))


def _windows_a_frame(run: Config, drawn: str, figures: Figures) -> float:
    """Of a tried frame: measured with at most one window and with three, between them by a line."""
    one = figures[f"{drawn}windows_1"]
    most = min(run.mining.windows_per_frame, 3)
    if most == 1:
        return one
    return one * (1 + (most - 1) / 2 * (figures["windows_3"] / figures["windows_1"] - 1))


def _of_manifests(run: Config, given: Sequence[Path]) -> Footage:
    rows = pd.concat([_read(path) for path in _files(given)])
    if rows.empty:
        raise InputError(f"{given[0]}: lists no videos; give manifests that do.")
    ok = rows[rows["status"] == "ok"]
    listed = max(run.videos.count or 0, len(rows))
    times = listed / len(rows)  # shards that are not there yet are taken for those that are
    said_by = f"manifests of {len(rows):,} videos, {len(ok):,} of them ok"
    if times > 1:
        said_by += f"; taken {times:.3g} times"
    return Footage(
        listed,
        len(ok) * times,
        ok["seconds"].sum() / 3600 * times,
        ok["frames"].sum() * times,
        ok["bytes"].sum() * times,
        said_by,
    )


def _files(given: Sequence[Path]) -> list[Path]:
    """The manifests of a list of files and folders. Raises InputError for an empty folder."""
    files: list[Path] = []
    for path in given:
        here = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not here:
            raise InputError(f"{path}: holds no manifest (*.parquet); name the folder that does.")
        files += here
    return files


def _read(path: Path) -> pd.DataFrame:
    """The columns of a manifest that count here: a million rows take a second."""
    try:
        return pq.read_table(path, columns=["status", "seconds", "frames", "bytes"]).to_pandas()
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"{path}: this is not a manifest of videos ({reason}); make it with `trackssl "
            "fetch-videos`."
        ) from None


def _drawn(settings: Videos, figures: Figures) -> Footage:
    count = settings.count or 0
    seconds = count * figures["drawn_seconds"]
    return Footage(
        count,
        count,
        seconds / 3600,
        seconds * figures["drawn_fps"],
        count * figures["drawn_video_bytes"],
        "drawn, all alike",
    )


def _guessed(run: Config, guess: Guess, figures: Figures, root: Path) -> Footage:
    listed, size = _count(run.videos, root)
    share = guess.success_share
    if share is None:
        share = 1.0 if run.videos.source == "folder" else figures["success_share"]
    minutes = guess.minutes_per_video or figures["minutes_per_video"]
    videos = listed * share
    if guess.mb_per_video is not None:
        each = guess.mb_per_video * 1e6
    elif size is not None:
        each = size / listed
    else:
        each = minutes * figures["mb_per_minute"] * 1e6
    frames = videos * minutes * 60 * figures["frames_per_second"]
    said_by = (
        f"by options, or assumed: {share:.0%} of the list, {minutes:g} minutes and "
        f"{each / 1e6:.3g} MB a video"
    )
    return Footage(listed, videos, videos * minutes / 60, frames, videos * each, said_by)


def _count(settings: Videos, root: Path) -> tuple[int, float | None]:
    """Number of videos and, of a folder that is there, their bytes."""
    there = root / (settings.folder or "")
    if settings.source == "folder" and there.is_dir():
        found = folder.items(settings.model_copy(update={"folder": str(there)}))[: settings.count]
        return len(found), float(sum(Path(item.source).stat().st_size for item in found))
    if settings.count is not None:
        return settings.count, None
    listed = root / (settings.list or "")
    if settings.source in ("youtube", "http") and listed.is_file():
        by_list = settings.model_copy(update={"list": str(listed)})
        return len(SOURCES[settings.source].items(by_list)), None
    raise InputError(
        "videos.count is null and the videos are not here to be counted; set it, or give "
        "--manifest, or --directory, the run's folder."
    )


class Images:
    """The images of a run's benchmarks, by its config and what the data sets' makers say."""

    def __init__(self, run: Config, figures: Figures) -> None:
        self.run, self.figures = run, figures

    def voc(self, part: Voc, split: str) -> float:
        """Images of a split."""
        if part.source == "miniworld":
            return part.train_images if split == part.train_split else part.test_images
        key = f"voc{part.year}_{split}_images"
        return self.figures[key if key in self.figures else "voc_other_images"]

    def voc_classes(self, part: Voc) -> float:
        """Classes of the objects."""
        if part.classes:
            return len(part.classes)
        return self.figures["drawn_classes" if part.source == "miniworld" else "voc_classes"]

    def px(self, source: str) -> float:
        """Pixels of an image."""
        return self.figures["drawn_image_px" if source == "miniworld" else "real_image_px"]

    def windows(self, part: Voc, split: str) -> float:
        """Proposals of a split and its objects: rows of its features."""
        return self.voc(part, split) * (self.windows_each(part) + self.figures["objects_per_image"])

    def windows_each(self, part: Voc) -> float:
        """Proposals of an image, in proportion to its area."""
        settings = self.run.proposals
        if settings.mode == "file":
            return settings.max_windows or self.figures["given_windows"]
        found = self.figures["proposed_windows"] * self.px(part.source) / self.px("")
        if settings.mode == "quality":
            found *= self.figures["proposed_quality_times"]
        return min(found, settings.max_windows or found)

    def scenes(self, split: str) -> float:
        """Images of MIT Indoor 67, or of the drawn kinds."""
        settings = self.run.scenes
        if settings.source == "miniworld":
            each = settings.train_images if split == "train" else settings.test_images
            return each * self.scene_classes()
        return self.figures[f"mit67_{split}_images"]

    def scene_classes(self) -> float:
        """Kinds of scenes."""
        drawn = self.run.scenes.source == "miniworld"
        return self.figures["drawn_classes" if drawn else "mit67_classes"]

    def rooms(self, split: str) -> float:
        """Frames of NYU Depth v2, or drawn rooms."""
        settings = self.run.nyuv2
        if settings.source == "miniworld":
            return settings.train_images if split == "train" else settings.test_images
        return self.figures[f"nyuv2_{split}_images"]
