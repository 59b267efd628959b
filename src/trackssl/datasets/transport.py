"""One request for a file or a stretch of it, and what the answer means for the next one."""

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import IO
from urllib.parse import urlsplit

from trackssl import __version__
from trackssl.errors import InputError
from trackssl.web_opener import open_web_only

_CHUNK_BYTES = 1 << 18
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_WEB_PAGE = (b"<!doctype html", b"<html")
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
_FULL = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class Limits:
    """How a download behaves; the defaults are for large files and slow servers."""

    connections: int = 4
    piece_bytes: int = 16 << 20
    tries: int = 6  # of a piece without much new of it, before the next address is asked
    timeout_seconds: float = 60  # to connect, and of silence
    min_bytes_per_second: int = 1024  # over `timeout_seconds`; slower counts as silence
    first_wait_seconds: float = 1  # between tries, then twice as long each time
    max_wait_seconds: float = 120  # a server that asks for more is given up


class FailureError(Exception):
    """A request came to nothing; the text is a clause for the user."""


class RefusedError(FailureError):
    """Asking this address again will not help."""


class ChangedError(FailureError):
    """The address holds another file than the part that is here already."""


class PassingError(FailureError):
    """May heal. `wait_seconds`: what the server asked for; `full`: it has too much to do."""

    def __init__(self, text: str, wait_seconds: float = 0, full: bool = False) -> None:
        super().__init__(text)
        self.wait_seconds = wait_seconds
        self.full = full


class UnreachableError(PassingError):
    """No server at all: worth a wait only where there was one before."""


def check_address(address: str) -> None:
    """Raise InputError unless this is an http or https address."""
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        known = False
    if not known or re.search(r"[\s\x00-\x1f\x7f]", address):
        raise InputError(f"{address!r}: is no http(s) address; write one.")


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = 10
    max_repeats = 2

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise RefusedError(f"the server redirects to {newurl[:200]!r}, no http(s) address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass
class Answer:
    """A server's answer: bytes `start` to `end` (not included, None if not said) of `length`.

    `identity` is what If-Range takes: a strong ETag or a date. `ranges`: it gave just what was
    asked for, else the whole file from its beginning.
    """

    body: http.client.HTTPResponse
    ranges: bool
    start: int
    end: int | None
    length: int | None
    identity: str | None

    def chunks(self, limits: Limits) -> Iterator[bytes]:
        """The body as it arrives. Raises FailureError if it breaks off, stalls or is a page."""
        left = None if self.end is None else self.end - self.start
        since, lately = time.monotonic(), 0
        first = self.start == 0
        with self.body as body:
            while left != 0:
                size = _CHUNK_BYTES if left is None else min(left, _CHUNK_BYTES)
                try:
                    chunk = body.read1(size)
                except TimeoutError:
                    raise PassingError("the server fell silent") from None
                except (OSError, http.client.HTTPException) as error:
                    raise PassingError(f"the connection broke off ({error})") from None
                if not chunk:
                    if left is None:
                        return
                    raise PassingError(f"the connection broke off, {left} bytes were to come")
                if first and chunk[:512].lstrip().lower().startswith(_WEB_PAGE):
                    raise RefusedError("the server answers with a web page in place of the file")
                first = False
                left = None if left is None else left - len(chunk)
                lately += len(chunk)
                yield chunk
                if (passed := time.monotonic() - since) > limits.timeout_seconds:
                    if lately < limits.min_bytes_per_second * passed:
                        raise PassingError("the server sends next to nothing")
                    since, lately = time.monotonic(), 0


def ask(
    address: str,
    limits: Limits,
    stretch: tuple[int, int] | None = None,
    identity: str | None = None,
) -> Answer:
    """Request a file, or bytes `stretch` (first, behind the last) of it, if it is still `identity`.

    Raises FailureError of one kind or another for anything but the file.
    """
    headers = {"User-Agent": f"trackssl/{__version__}", "Accept-Encoding": "identity"}
    if stretch is not None:
        headers["Range"] = f"bytes={stretch[0]}-{stretch[1] - 1}"
        if identity is not None:
            headers["If-Range"] = identity
    try:
        request = urllib.request.Request(address, headers=headers)
        body = open_web_only(_Redirects()).open(request, timeout=limits.timeout_seconds)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error, limits) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _no_answer(error) from None
    answer = _read_headers(body)
    if stretch is not None and answer.ranges and answer.start != stretch[0]:
        body.close()
        raise RefusedError("the server answers with another stretch of the file than was asked for")
    return answer


def _read_headers(body: http.client.HTTPResponse) -> Answer:
    said = body.headers
    if said.get_content_type() == "text/html":
        body.close()
        raise RefusedError("the server answers with a web page in place of the file")
    etag, date = said.get("ETag"), said.get("Last-Modified")
    identity = etag if etag and not etag.startswith("W/") else date
    found = _CONTENT_RANGE.fullmatch(said.get("Content-Range", "").strip())
    if body.status == HTTPStatus.PARTIAL_CONTENT and found:
        start, last, length = map(int, found.groups())
        return Answer(body, True, start, last + 1, length, identity)
    if body.status != HTTPStatus.OK:
        body.close()
        raise RefusedError(f"the server answers {body.status} {body.reason}")
    size = said.get("Content-Length", "").strip()
    whole = int(size) if size.isdecimal() and not said.get("Transfer-Encoding") else None
    return Answer(body, False, 0, whole, whole, identity)


def _refusal(error: urllib.error.HTTPError, limits: Limits) -> FailureError:
    said = f"the server answers {error.code} {error.reason}"
    if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return ChangedError(said)
    if "infinite loop" in said:
        return RefusedError("the server redirects without end")
    if error.code not in _PASSING and error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return RefusedError(said)
    wait = _wait_seconds(error.headers.get("Retry-After", ""))
    if wait > limits.max_wait_seconds:
        return RefusedError(f"{said} and asks to come back in {wait:.0f} s")
    return PassingError(said, wait, full=error.code in _FULL)


def _wait_seconds(said: str) -> float:
    """Seconds of a Retry-After, which is a number or a date; 0 where it says nothing of use."""
    if said.strip().isdecimal():
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return 0.0


def _no_answer(error: Exception) -> FailureError:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return PassingError("the server does not answer in time")
    if isinstance(reason, ssl.SSLCertVerificationError) or isinstance(error, ValueError):
        return RefusedError(f"the address cannot be opened ({reason})")
    if isinstance(reason, ConnectionResetError | http.client.HTTPException):
        return PassingError(f"the connection broke off ({reason})")
    return UnreachableError(f"the server cannot be reached ({reason})")
