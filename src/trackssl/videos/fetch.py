"""One shard of the videos: put them in the store, and one row each in the manifest."""

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.progress import track

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.files import Progress, file_sha256, write_json
from trackssl.videos import folder, miniworld, youtube
from trackssl.videos.decode import VideoError, is_video, probe
from trackssl.videos.manifest import Row, write_manifest
from trackssl.videos.sources import Item, UnavailableError

SOURCES: dict[str, ModuleType] = {"miniworld": miniworld, "folder": folder, "youtube": youtube}


def shard_items(settings: Videos, shard: int) -> list[Item]:
    """The items of a shard: item i of the source's first `count` is in shard i mod `shards`.

    Raises InputError when the source has no videos, or there is no such shard.
    """
    if not 0 <= shard < settings.shards:
        raise InputError(
            f"--shard {shard}: there are {settings.shards} shards, counted from 0; "
            "choose one of them or raise videos.shards."
        )
    return SOURCES[settings.source].items(settings)[: settings.count][shard :: settings.shards]


def fetch_videos(
    settings: Videos, shard: int, out: Path, store: Path, progress_folder: Path
) -> list[Row]:
    """Fetch a shard's videos and write its manifest to `out`; the rows come back too.

    A video that lies in the store is not fetched again. Killed, it goes on at the video where it
    stopped, with equal output. Raises InputError when the share of successes is too small; the next
    run then tries the failed ones again.
    """
    items = shard_items(settings, shard)
    progress = Progress(
        progress_folder, {"videos": settings.model_dump(), "shard": shard}, "fetching"
    )
    console = Console(stderr=True)
    bar = track(items, "videos", console=console, transient=True, disable=not sys.stderr.isatty())
    rows = [_resumed(item, settings, store, progress) for item in bar]
    if items and _share(rows) < settings.min_success_share:
        progress.finish()
        raise InputError(
            f"shard {shard}: only {summary(rows)}, less than videos.min_success_share "
            f"{settings.min_success_share:g}; mend the source, or lower that share."
        )
    write_manifest(out, rows)
    progress.finish()
    return rows


def summary(rows: Sequence[Row]) -> str:
    """Such as `97 of 100 videos could be had (failed: 2 not found, 1 private)`."""
    reasons = Counter(row.reason for row in rows if row.status == "failed")
    failed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    done = len(rows) - reasons.total()
    return f"{done} of {len(rows)} videos could be had" + (f" (failed: {failed})" if failed else "")


def _share(rows: Sequence[Row]) -> float:
    return sum(row.status == "ok" for row in rows) / len(rows)


def _resumed(item: Item, settings: Videos, store: Path, progress: Progress) -> Row:
    """The row of an item, from the progress of a killed run if it still holds."""
    kept = progress / f"{item.video}.row.json"
    if kept.exists():
        row = Row(**json.loads(kept.read_text(encoding="utf-8")))
        if row.source == item.source and (row.status == "failed" or Path(row.path).exists()):
            return row
    row = _row(item, settings, store)
    write_json(kept, asdict(row))
    return row


def _row(item: Item, settings: Videos, store: Path) -> Row:
    try:
        path = Path(item.source) if settings.source == "folder" else _stored(item, settings, store)
        info = probe(path)
    except (UnavailableError, VideoError) as error:
        reason = error.reason if isinstance(error, VideoError) else str(error)
        return Row(item.video, "failed", reason, "", item.source)
    return Row(
        item.video, "ok", "" if info.whole else "breaks off", str(path), item.source,
        file_sha256(path), path.stat().st_size,
        info.width, info.height, info.fps, info.seconds, info.frames,
    )  # fmt: skip


def _stored(item: Item, settings: Videos, store: Path) -> Path:
    """The item's file in the store, made when it is not there. Raises as `obtain` and `probe`."""
    path = store / item.video[:2] / f"{item.video}.mp4"
    if not is_video(path):
        with _workplace(path.with_name(f".{item.video}.part")) as place:
            new = place / path.name
            SOURCES[settings.source].obtain(item, settings, new)
            probe(new)
            new.replace(path)
    return path


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """An empty folder for what a download leaves behind, removed at the end; a kill's too."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
