"""What went wrong on the way to a video: its reason, and whether it may heal."""

import errno
import http.client
import math
import socket
import ssl
import urllib.error
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from trackssl.videos.sources import PASSING

# Of this machine's disk, not of the network.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OF_FILES = (*DISK_FULL, errno.EROFS, errno.EACCES, errno.EIO, errno.ENOENT, errno.EISDIR)

_STATUS = {
    HTTPStatus.UNAUTHORIZED: "refused",
    HTTPStatus.FORBIDDEN: "refused",
    HTTPStatus.NOT_FOUND: "not found",
    HTTPStatus.GONE: "not found",
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: "not in this country",
    HTTPStatus.REQUEST_TIMEOUT: "timeout",
    HTTPStatus.TOO_MANY_REQUESTS: "throttled",
}


@dataclass(frozen=True)
class Fault:
    """Why a request failed, one of the manifest's reasons; `wait`: seconds the server asks for."""

    reason: str
    wait: float = 0.0
    heals: bool = True  # a passing reason may still be one that more tries do not heal

    @property
    def may_heal(self) -> bool:
        """Whether the same request is worth another try."""
        return self.heals and self.reason in PASSING


class StalledError(Exception):
    """A server that sends next to nothing."""


class DroppedError(Exception):
    """A connection that ended before its body did."""


def diagnose(error: BaseException) -> Fault | None:
    """The fault behind an error of urllib, http.client, ssl or yt-dlp; None for any other error."""
    status = getattr(error, "status", None)  # of both libraries' HTTPError
    if isinstance(status, int):
        return _of_status(error, status)
    if isinstance(error, (StalledError, TimeoutError)):
        return Fault("timeout")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Fault("bad certificate")
    if isinstance(error, socket.gaierror):
        return Fault("no connection", heals=error.errno == socket.EAI_AGAIN)
    if isinstance(error, (DroppedError, http.client.IncompleteRead, ssl.SSLError)):
        return Fault("connection dropped")
    if isinstance(error, (http.client.InvalidURL, UnicodeError)):
        return Fault("not a web address")
    if isinstance(error, (ConnectionResetError, BrokenPipeError, http.client.HTTPException)):
        return Fault("connection dropped")  # RemoteDisconnected is both
    cause = getattr(error, "reason", None) or getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        return diagnose(cause)
    if isinstance(error, urllib.error.URLError) or (isinstance(cause, str) and cause):
        return Fault("not a web address" if "url type" in str(cause) else "no connection")
    if isinstance(error, OSError) and error.errno not in _OF_FILES:
        return Fault("no connection")
    return None


def _of_status(error: BaseException, status: int) -> Fault:
    headers = getattr(error, "headers", None)
    if headers is None:
        headers = getattr(getattr(error, "response", None), "headers", {})
    if 300 <= status < 400:
        loops = getattr(error, "redirect_loop", False) or "infinite loop" in str(error)
        return Fault("redirect loop" if loops else "not a web address")
    if status >= 500:
        reason = "server error"
    else:
        reason = _STATUS.get(HTTPStatus(status) if status in _STATUS else HTTPStatus.OK, "")
    return Fault(reason or "download failed", _retry_after(headers))


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of the header Retry-After, which is a number or a date; 0 where it is neither."""
    text = (headers.get("Retry-After") or "").strip()
    try:
        wait = float(text)
    except ValueError:
        try:
            wait = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return max(wait, 0.0) if math.isfinite(wait) else 0.0
