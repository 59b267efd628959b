"""Requests as all sources make them: http(s) only, paced, tried again where that may heal."""

import http.cookiejar
import random
import string
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.videos.faults import diagnose
from trackssl.videos.pacing import Pace
from trackssl.videos.sources import UnavailableError
from trackssl.web_opener import open_web_only

_GAIN_BYTES = 1 << 20
_T = TypeVar("_T")
_AGENT = "trackssl"


class Web:
    """What the requests of a job share: settings, cookies, and each host's pace."""

    def __init__(self, settings: Videos, store: Path) -> None:
        """Raises InputError when the file of cookies cannot be read."""
        self.settings = settings
        self.pace = Pace(store / ".hosts", settings.min_seconds_between_requests)
        self.cookies = _cookies(settings.cookies)
        self._opener = open_web_only(
            urllib.request.HTTPRedirectHandler(), urllib.request.HTTPCookieProcessor(self.cookies)
        )

    def open(self, address: str, headers: Mapping[str, str]) -> Any:
        """The answer to a GET, as urllib gives it. Raises what urllib raises."""
        request = urllib.request.Request(
            urllib.parse.quote(address, safe=string.punctuation),
            headers={"User-Agent": _AGENT, "Accept-Encoding": "identity", **headers},
        )
        return self._opener.open(request, timeout=self.settings.timeout_seconds)


class Visit:
    """The dealings with the web for the sake of one video; `attempts` counts its tries."""

    def __init__(self, web: Web) -> None:
        self.web, self.settings = web, web.settings
        self.attempts = 1
        self._gained, self._most = False, 0

    def progressed(self, have: int) -> None:
        """So many bytes are there: with 1 MB more than ever, failures count from 0 again."""
        if have >= self._most + _GAIN_BYTES:
            self._gained, self._most = True, have

    def persist(self, action: Callable[[], _T], address: str = "", *, asked: bool = False) -> _T:
        """What `action` gives; after faults that may heal it is called again, later and later.

        If it begins with a request, `address` tells whose line it waits in; `asked`: the first was
        made already. Raises UnavailableError with the fault's reason when it cannot heal or did
        not, and whatever else `action` raises.
        """
        failures, longest = 0, self.settings.max_wait_seconds
        while True:
            if address and not asked:
                self.web.pace.wait(address)
            self._gained = asked = False
            try:
                return action()
            except UnavailableError:
                raise
            except Exception as error:
                fault = diagnose(error)
                if fault is None:
                    raise
                failures = 1 if self._gained else failures + 1
                over = failures >= self.settings.max_attempts or fault.wait > longest
                if over or not fault.may_heal:
                    raise UnavailableError(fault.reason) from error
            if fault.wait and address:
                self.web.pace.hold(address, fault.wait)
            else:
                wait = self.settings.backoff_seconds * 2 ** (failures - 1)
                time.sleep(min(wait * random.uniform(0.75, 1.25), longest))
            self.attempts += 1


def _cookies(path: str | None) -> http.cookiejar.CookieJar:
    jar = http.cookiejar.MozillaCookieJar()
    if path is not None:
        try:
            jar.load(path, ignore_discard=True, ignore_expires=True)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a file of cookies"
            raise InputError(
                f"videos.cookies: {path} cannot be read ({reason}); give a file of cookies in "
                "Netscape's format."
            ) from None
        for cookie in jar:
            if cookie.expires == 0:  # how browsers write one of a session
                cookie.expires, cookie.discard = None, True
    return jar
