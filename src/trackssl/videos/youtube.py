"""Source `youtube`: ids and addresses of pages; yt-dlp as a library says where the video lies.

yt-dlp is kept from reading the user's configuration, plugins and cache, and from starting other
programs: no ffmpeg, no downloader, no JavaScript engine. Its requests are paced and tried again as
all others; files are fetched by `transfer`, streams in pieces (DASH, HLS) by yt-dlp itself.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.videos.faults import diagnose
from trackssl.videos.lists import read_list
from trackssl.videos.sources import Item, UnavailableError
from trackssl.videos.transfer import Part, download
from trackssl.videos.web import Visit

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
    "redirect loop": "redirect loop",
    "unsupported url": "not a video page",
    "timed out": "timeout",
    "bytes read": "connection dropped",
    "connection refused": "no connection",
    "failed to resolve": "no connection",
    "name resolution": "no connection",
    "unreachable": "no connection",
}
_DIRECT = "direct"  # the address is the file's own


def items(settings: Videos) -> list[Item]:
    """The list's videos in its order, each once. Raises InputError as `read_list`."""
    return read_list(Path(settings.list or ""))


def obtain(item: Item, settings: Videos, folder: Path, visit: Visit) -> Path:
    """Fetch the best stream of at most `max_height_px`, sound left out where that is possible.

    Returns a file in `folder`, where also a part stays from which the next call goes on. Raises
    UnavailableError.
    """
    begun = Part(folder).remote
    if begun and begun.kind == _DIRECT and begun.address:
        return download(visit, begun.address, folder, _DIRECT)
    asker = _asker(settings, folder, visit)
    with asker:
        info = _information(asker, item, visit)
        if info.get("protocol") in ("http", "https"):
            return _file(asker, info, folder, visit)
        return _pieces(asker, info, folder)


def _information(asker: Any, item: Item, visit: Visit) -> dict[str, Any]:
    """What yt-dlp finds out about a video, its chosen format joined in. Raises UnavailableError."""

    def ask() -> dict[str, Any] | None:
        asker.refused = ""
        try:
            found: dict[str, Any] | None = asker.extract_info(item.source, download=False)
        except Exception as error:  # whatever a site does to an extractor, a dead link is a row
            raise _explained(error, asker.refused) from None
        return found

    asker.extracting = True
    info = visit.persist(ask)
    asker.extracting = False
    if not info or info.get("_type", "video") != "video" or info.get("playlist") is not None:
        raise UnavailableError("not a single video")
    if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
        raise UnavailableError("live")
    if (info.get("duration") or 0) > visit.settings.max_minutes * 60:
        raise UnavailableError("too long")
    if not info.get("url"):
        raise UnavailableError("no fitting stream")
    return info


def _file(asker: Any, info: dict[str, Any], folder: Path, visit: Visit) -> Path:
    answer = asker.answer_to(info["url"])
    if info.get("direct"):
        return download(visit, info["url"], folder, _DIRECT, answer=answer)
    if (info.get("filesize") or 0) > visit.settings.max_bytes:
        raise UnavailableError("too many bytes")
    chunk_bytes = (info.get("downloader_options") or {}).get("http_chunk_size")
    kind = f"format {info.get('format_id')}"
    for cookie in asker.cookiejar:
        visit.web.cookies.set_cookie(cookie)
    return download(visit, info["url"], folder, kind, info.get("http_headers"), chunk_bytes)


def _pieces(asker: Any, info: dict[str, Any], folder: Path) -> Path:
    """Let yt-dlp fetch a stream of pieces; it keeps in the folder what it has."""
    # A part of another format must not be continued.
    path = folder / f"stream_{''.join(c for c in str(info.get('format_id')) if c.isalnum())[:32]}"
    if path.exists():
        return path
    try:
        fetched, _ = asker.dl(str(path), info)
    except (UnavailableError, InputError):
        raise
    except Exception as error:
        if "no space left" in str(error).lower():
            raise InputError(
                f"{folder.parent}: the disk is full; make room and start again, it goes on."
            ) from None
        raise UnavailableError(asker.refused or _reason(str(error))) from None
    if not fetched or not path.exists():
        raise UnavailableError(asker.refused or "download failed")
    return path


def _explained(error: Exception, refused: str) -> Exception:
    """The network's error if the answer broke off, which may heal, or why there is no video.

    `refused` is the reason of the last request if it failed for good.
    """
    cause = getattr((getattr(error, "exc_info", None) or (None, None))[1], "cause", None)
    if isinstance(cause, Exception) and diagnose(cause):
        return UnavailableError(refused) if refused else cause
    reason = _reason(str(error))
    return UnavailableError(refused if refused and reason == "download failed" else reason)


def _reason(message: str) -> str:
    said = message.lower()
    return next((reason for text, reason in REASONS.items() if text in said), "download failed")


def _asker(settings: Videos, folder: Path, visit: Visit) -> Any:
    """A YoutubeDL whose requests go the way of all others, over http and https alone."""
    import yt_dlp
    from yt_dlp.globals import plugin_dirs
    from yt_dlp.networking._urllib import UrllibRH

    plugin_dirs.value = []

    class WebRH(UrllibRH):  # type: ignore[misc]
        _SUPPORTED_URL_SCHEMES = ("http", "https")

        def _create_instance(self, *args: Any, **kwargs: Any) -> Any:
            opener = super()._create_instance(*args, **kwargs)
            for scheme in ("ftp", "data", "file"):  # where a redirect might lead
                opener.handle_open.pop(scheme, None)
            return opener

    class Asker(yt_dlp.YoutubeDL):  # type: ignore[misc]
        refused = ""  # the reason of the last request, if it failed
        extracting = False

        def __init__(self, options: dict[str, Any]) -> None:
            self._kept: Any = None
            super().__init__(options)
            for cookie in visit.web.cookies:
                self.cookiejar.set_cookie(cookie)

        def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
            return super().build_request_director([WebRH], preferences)

        def urlopen(self, request: Any) -> Any:
            """Send a request. An answer that is a video is kept for the one who asks again."""
            address = request if isinstance(request, str) else request.url
            if self.extracting and self._kept is not None and self._kept.url == address:
                return self._kept
            send: Callable[[], Any] = lambda: yt_dlp.YoutubeDL.urlopen(self, request)  # noqa: E731
            self.refused = ""
            try:
                answer = visit.persist(send, address)
            except UnavailableError as error:
                self.refused = error.reason
                cause = error.__cause__
                raise cause if isinstance(cause, Exception) else error from None
            kind = answer.headers.get("Content-Type") or ""
            if self.extracting and kind.lower().startswith("video/"):
                self._kept = answer
            return answer

        def answer_to(self, address: str) -> Any:
            """The kept answer to this address as urllib's, with its body unread, or None."""
            kept = self._kept  # it closes its connection when it is forgotten
            return kept.fp if kept is not None and kept.url == address else None

    return Asker(_options(settings, folder, visit))


def _options(settings: Videos, folder: Path, visit: Visit) -> dict[str, Any]:
    fits = f"[height<=?{settings.max_height_px}]"
    fits += "[protocol~='^(https?|http_dash_segments|m3u8_native)$']"

    def bound(progress: dict[str, Any]) -> None:
        have = progress.get("downloaded_bytes") or 0
        visit.progressed(have)
        if have > settings.max_bytes:
            raise UnavailableError("too many bytes")

    return {
        "format": f"bestvideo{fits}/best{fits}",
        "format_sort": ["res", "vcodec:h264"],
        "noplaylist": True,
        "extract_flat": "in_playlist",
        "progress_hooks": [bound],
        # A video with holes would not be the video: all of it or none.
        "skip_unavailable_fragments": False,
        # The requests themselves are tried again; these are for pieces that break off.
        "retries": 2,
        "fragment_retries": 2,
        "extractor_retries": 0,
        "socket_timeout": settings.timeout_seconds,
        "continuedl": True,
        "cachedir": False,
        "hls_prefer_native": True,
        "ffmpeg_location": str(folder / "none"),
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
