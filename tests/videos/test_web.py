import email.message
import socket
import time
import urllib.error
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.videos.faults import diagnose
from trackssl.videos.pacing import Pace
from trackssl.videos.sources import UnavailableError
from trackssl.videos.web import Visit, Web


def answer(status: int, **headers: str) -> urllib.error.HTTPError:
    message = email.message.Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return urllib.error.HTTPError("http://x/", status, "", message, None)


@pytest.mark.parametrize(
    "error, reason, heals",
    [
        (answer(404), "not found", False),
        (answer(410), "not found", False),
        (answer(403), "refused", False),
        (answer(451), "not in this country", False),
        (answer(418), "download failed", False),
        (answer(500), "server error", True),
        (answer(503), "server error", True),
        (answer(429), "throttled", True),
        (TimeoutError(), "timeout", True),
        (ConnectionResetError(), "connection dropped", True),
        (urllib.error.URLError(ConnectionRefusedError(111, "")), "no connection", True),
        (urllib.error.URLError(socket.gaierror(socket.EAI_NONAME, "")), "no connection", False),
        (urllib.error.URLError("unknown url type: ftp"), "not a web address", False),
    ],
)
def test_only_what_may_heal_is_tried_again(error, reason, heals):
    fault = diagnose(error)
    assert fault.reason == reason and fault.may_heal is heals


def test_errors_of_the_disk_are_not_the_networks():
    assert diagnose(OSError(28, "No space left on device")) is None
    assert diagnose(KeyError()) is None


def test_a_server_says_when_to_come_again():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert diagnose(answer(429, Retry_After="7")).wait == 7
    assert 90 < diagnose(answer(503, Retry_After=later)).wait <= 100
    for text in ("soon", "-3", "nan", "inf", ""):
        assert diagnose(answer(429, Retry_After=text)).wait == 0


def test_jobs_that_share_a_folder_share_the_pace_of_each_host(tmp_path):
    jobs = [Pace(tmp_path, 0.2) for _ in range(2)]
    begun = time.monotonic()
    for _ in range(2):
        for job in jobs:
            job.wait("http://a.org/x")
    assert 0.6 <= time.monotonic() - begun < 30
    begun = time.monotonic()
    jobs[0].wait("http://b.org/x")
    assert time.monotonic() - begun < 0.2


def test_a_host_that_asks_for_a_pause_has_it_from_all_jobs(tmp_path):
    Pace(tmp_path, 0).hold("http://a.org/x", 0.5)
    begun = time.monotonic()
    Pace(tmp_path, 0).wait("http://A.org/y")
    assert time.monotonic() - begun > 0.4


def test_a_broken_file_of_times_stops_nobody(tmp_path):
    pace = Pace(tmp_path, 0.01)
    pace.wait("http://a.org/x")
    for text in ("soon", "9e99", "nan", ""):
        next(tmp_path.iterdir()).write_text(text)
        pace.wait("http://a.org/x")


def test_the_number_of_tries_is_bounded_and_counted(tmp_path):
    chosen = Videos(list="-", min_seconds_between_requests=0.0, backoff_seconds=0.0, max_attempts=3)
    visit, calls = Visit(Web(chosen, tmp_path)), []

    def fails():
        calls.append(1)
        raise answer(500)

    with pytest.raises(UnavailableError, match="server error"):
        visit.persist(fails, "http://a.org/")
    assert len(calls) == visit.attempts == 3


def test_a_file_of_cookies_that_is_none_is_named(tmp_path):
    path = tmp_path / "cookies.txt"
    for text in (None, "no cookies"):
        if text:
            path.write_text(text)
        with pytest.raises(InputError, match=r"videos\.cookies: .*cookies\.txt cannot be read"):
            Web(Videos(list="-", cookies=str(path)), tmp_path)


def test_cookies_are_sent_and_their_file_stays_as_it_was(tmp_path, site):
    path = tmp_path / "cookies.txt"
    text = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tkey\tvalue\n"
    path.write_text(text)
    site.pages["/a"] = (200, "video/mp4", b"x")
    web = Web(Videos(list="-", cookies=str(path)), tmp_path)
    web.open(f"{site.address}/a", {}).close()
    assert site.cookies == ["key=value"] and path.read_text() == text
