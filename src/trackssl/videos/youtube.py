"""Source `youtube`: a list of ids and addresses, fetched with yt-dlp as a library.

yt-dlp is kept from reading the user's configuration, plugins, cookies and cache, and from starting
other programs: no ffmpeg, no downloader, no JavaScript engine.
"""

import re
from pathlib import Path
from typing import Any

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.videos.decode import probe
from trackssl.videos.sources import Item, UnavailableError, safe_name, short_hash

_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_ADDRESS = re.compile(r"https?://[^\s\x00-\x1f\x7f/?#][^\s\x00-\x1f\x7f]*")
_YOUTUBE = re.compile(
    r"https?://(?:(?:www\.|m\.)?youtube\.com/(?:watch\?(?:[^#]*&)?v=|shorts/)|youtu\.be/)"
    r"([A-Za-z0-9_-]{11})(?:[?&#/].*)?"
)

# What yt-dlp and the sites say, in lower case, and what stands in the manifest.
REASONS = {
    "private": "private",
    "members-only": "private",
    "confirm your age": "age limit",
    "not a bot": "throttled",
    "http error 429": "throttled",
    "requested format": "no fitting stream",
    "no video formats": "no fitting stream",
    "in your country": "not in this country",
    "has been removed": "removed",
    "terminated": "removed",
    "video unavailable": "removed",
    "not available": "removed",
    "http error 404": "not found",
    "http error 410": "not found",
    "http error 403": "refused",
    "http error 401": "refused",
    "http error 5": "server error",
    "unsupported url": "not a video page",
    "timed out": "timeout",
    "connection refused": "no connection",
    "failed to resolve": "no connection",
    "name resolution": "no connection",
    "unreachable": "no connection",
}


def items(settings: Videos) -> list[Item]:
    """The list's videos in its order, each once. Blank lines and comments (`# ...`) are allowed.

    Raises InputError that names the line which is neither an id nor an http(s) address.
    """
    path = Path(settings.list or "")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(
            f"videos.list: {path} cannot be read ({reason}); check the path."
        ) from None
    found: dict[str, Item] = {}
    for number, line in enumerate(lines, 1):
        if text := re.sub(r"(^|\s)#.*", "", line).strip(" \t\r"):
            video, address = _parse(text, f"{path}, line {number}")
            found.setdefault(video, Item(video, address, len(found)))
    if not found:
        raise InputError(f"videos.list: {path} lists no videos; write one id or address a line.")
    return list(found.values())


def _parse(text: str, where: str) -> tuple[str, str]:
    """A line of the list -> id, address."""
    if match := _YOUTUBE.fullmatch(text):
        text = match[1]
    if _ID.fullmatch(text):
        return text, f"https://www.youtube.com/watch?v={text}"
    if _ADDRESS.fullmatch(text):
        name = re.split(r"[?#]", text)[0].rstrip("/").rpartition("/")[2]
        return f"{safe_name(name.rpartition('.')[0] or name)}_{short_hash(text)}", text
    raise InputError(
        f"{where}: {text[:80]!r} is neither a video id of 11 characters nor an http(s) address; "
        "correct it or remove the line."
    )


def obtain(item: Item, settings: Videos, path: Path) -> None:
    """Download the best stream of at most `max_height_px`, sound left out where that is possible.

    Raises UnavailableError with one of the values of `REASONS` or another short reason.
    """
    import yt_dlp
    from yt_dlp.globals import plugin_dirs

    plugin_dirs.value = []
    try:
        with yt_dlp.YoutubeDL(_options(settings, path)) as downloader:
            downloader.extract_info(item.source, download=True)
    except UnavailableError:
        raise
    except Exception as error:  # whatever a site does to an extractor, a dead link is a row
        if "no space left" in str(error).lower():
            raise InputError(f"{path.parent}: the disk is full; make room and go on.") from None
        raise UnavailableError(_reason(str(error))) from None
    if not path.exists():
        raise UnavailableError("not a single video")
    if probe(path).seconds > settings.max_minutes * 60:
        raise UnavailableError("too long")


def _reason(message: str) -> str:
    said = message.lower()
    return next((reason for text, reason in REASONS.items() if text in said), "download failed")


def _options(settings: Videos, path: Path) -> dict[str, Any]:
    def refuse(info: dict[str, Any], *, incomplete: bool = False) -> None:
        if info.get("playlist") is not None:
            raise UnavailableError("not a single video")
        if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
            raise UnavailableError("live")
        if (info.get("duration") or 0) > settings.max_minutes * 60:
            raise UnavailableError("too long")

    fits = f"[height<=?{settings.max_height_px}]"
    fits += "[protocol~='^(https?|http_dash_segments|m3u8_native)$']"
    return {
        "format": f"bestvideo{fits}/best{fits}",
        "format_sort": ["res", "vcodec:h264"],
        "outtmpl": {"default": str(path).replace("%", "%%")},
        "match_filter": refuse,
        "noplaylist": True,
        "extract_flat": "in_playlist",
        # A video with holes would not be the video: all of it or none.
        "skip_unavailable_fragments": False,
        "retries": 3,
        "fragment_retries": 3,
        "extractor_retries": 3,
        "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor"), lambda n: 2**n),
        "socket_timeout": 20,
        "continuedl": False,
        "cachedir": False,
        "hls_prefer_native": True,
        "ffmpeg_location": str(path.parent / "none"),
        "js_runtimes": {},
        "fixup": "never",
        "color": "never",
        "logger": _Silent(),
        "noprogress": True,
    }


class _Silent:
    """A logger for yt-dlp; what matters comes as an exception."""

    def debug(self, message: str) -> None: ...

    warning = error = info = debug
