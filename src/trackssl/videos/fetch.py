"""One shard of the videos: put them in the store, and one row each in the manifest."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.files import Progress, file_sha256, write_json
from trackssl.videos import addresses, folder, miniworld, tars, youtube
from trackssl.videos.decode import VideoError, VideoInfo
from trackssl.videos.examine import Examiner
from trackssl.videos.faults import DISK_FULL
from trackssl.videos.manifest import Row, write_manifest
from trackssl.videos.reporting import Reporting
from trackssl.videos.sources import PASSING, Item, UnavailableError
from trackssl.videos.store import Note, Stored, iso
from trackssl.videos.web import Visit, Web

SOURCES: dict[str, ModuleType] = {
    "miniworld": miniworld,
    "folder": folder,
    "youtube": youtube,
    "http": addresses,
    "tar": tars,
}
# How it is fetched, not what: may change while a shard is under way.
_MANNERS = {
    "min_success_share", "min_seconds_between_requests", "max_attempts", "backoff_seconds",
    "max_wait_seconds", "timeout_seconds", "cookies", "fetch_locally",
}  # fmt: skip


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

    A video that lies in the store is not fetched again. Killed, it goes on at the byte where it
    stopped, with equal output but for `PASSING_COLUMNS`. Raises InputError when the disk is full,
    or the share of successes is too small; the next run then tries the failed ones again.
    """
    items = shard_items(settings, shard)
    with _disk_full_said(store):
        progress = Progress(
            progress_folder,
            {"videos": settings.model_dump(exclude=_MANNERS), "shard": shard},
            "fetching",
        )
        with Examiner() as examiner, Reporting(len(items)) as report:
            fetching = _Fetching(settings, store, examiner)
            rows = []
            for item in items:
                rows.append(fetching.resumed_row(item, progress))
                report.add(rows[-1])
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
    reasons = failures(rows)
    failed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    done = len(rows) - reasons.total()
    return f"{done} of {len(rows)} videos could be had" + (f" (failed: {failed})" if failed else "")


def failures(rows: Sequence[Row]) -> Counter[str | None]:
    """Videos by the reason for which they could not be had."""
    return Counter(row.reason for row in rows if row.status == "failed")


def _share(rows: Sequence[Row]) -> float:
    return sum(row.status == "ok" for row in rows) / len(rows)


@contextmanager
def _disk_full_said(store: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        place = error.filename or store
        raise InputError(
            f"{place}: the disk is full ({error.strerror}); make room and start again, it goes on."
        ) from None


class _Fetching:
    """The work on one video after the other."""

    def __init__(self, settings: Videos, store: Path, examiner: Examiner) -> None:
        self._settings, self._store, self._examiner = settings, store, examiner
        self._source = SOURCES[settings.source]
        self._web = Web(settings, store)

    def resumed_row(self, item: Item, progress: Progress) -> Row:
        """The row of an item, from the progress of a killed run if it still holds."""
        kept = progress / f"{item.video}.row.json"
        if kept.exists():
            row = Row(**json.loads(kept.read_text(encoding="utf-8")))
            same = (row.source, row.query) == (item.source, item.query)
            if same and (row.status == "failed" or Path(row.path).exists()):
                return row
        row = self._row(item)
        write_json(kept, asdict(row))
        return row

    def _row(self, item: Item) -> Row:
        visit = Visit(self._web)
        row = Row(
            item.video, "failed", "", "", item.source,
            start=item.start, end=item.end, query=item.query,
        )  # fmt: skip
        try:
            if self._settings.source == "folder":
                path = Path(item.source)
                info = self._examiner.examine(path)
                note = Note(item.source, 0, iso(path.stat().st_mtime))
            else:
                path, info, note = self._stored(item, visit)
            if item.start is not None and item.start >= max(info.seconds, info.declared_seconds):
                raise UnavailableError("begins after its end")
        except (UnavailableError, VideoError) as error:
            return replace(row, reason=error.reason, attempts=visit.attempts, when=iso(time.time()))
        return replace(
            row,
            status="ok",
            reason="" if info.whole else "breaks off",
            path=str(path),
            sha256=file_sha256(path),
            bytes=path.stat().st_size,
            width=info.width,
            height=info.height,
            fps=info.fps,
            seconds=info.seconds,
            frames=info.frames,
            container=info.container,
            codec=info.codec,
            attempts=note.attempts,
            when=note.when,
        )

    def _stored(self, item: Item, visit: Visit) -> tuple[Path, VideoInfo, Note]:
        """The item's file in the store, made when it is not there or no video.

        Raises UnavailableError and VideoError.
        """
        place = Stored(self._store, item.stem)
        if info := self._found(place):
            return place.path, info, place.note
        with place.part() as part:
            if info := self._found(place):  # another job was at it
                place.forget_part()
                return place.path, info, place.note
            try:
                made = self._source.obtain(item, self._settings, part, visit)
                info = self._fitting(made)
            except (UnavailableError, VideoError) as error:
                if error.reason not in PASSING:
                    place.forget_part()
                raise
            note = Note(item.source, visit.attempts, iso(time.time()))
            place.take(made, note)
            place.forget_part()
        return place.path, info, note

    def _found(self, place: Stored) -> VideoInfo | None:
        try:
            return self._fitting(place.path)
        except VideoError:
            return None
        except UnavailableError as error:
            if error.reason == "too long":  # to fetch it again would change nothing
                raise
            return None

    def _fitting(self, path: Path) -> VideoInfo:
        """What a file holds, if it is not too long. Raises UnavailableError and VideoError."""
        info = self._examiner.examine(path)
        longest = self._settings.max_minutes * 60
        drawn = self._settings.source == "miniworld"
        if not drawn and max(info.seconds, info.declared_seconds) > longest:
            raise UnavailableError("too long")
        return info
