import io
import time

from trackssl.videos.manifest import Row
from trackssl.videos.reporting import Reporting


def test_a_log_gets_a_line_now_and_then(tmp_path):
    log = io.StringIO()
    with Reporting(400, every_seconds=0.05, stream=log) as report:
        report.add(Row("a", "ok", "", "a.mp4", "x", bytes=2_100_000_000))
        report.add(Row("b", "failed", "removed", "", "x"))
        until = time.monotonic() + 30
        while not log.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
    assert "2 of 400 videos, 1 failed, 2.1 GB, 0 minutes\n" in log.getvalue()


def test_a_short_job_says_nothing():
    log = io.StringIO()
    with Reporting(1, stream=log):
        pass
    assert log.getvalue() == ""


def test_a_person_at_a_terminal_sees_a_bar():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    with Reporting(2, stream=screen) as report:
        report.add(Row("a", "failed", "removed", "", "x"))
    assert "1 failed" in screen.getvalue()
