"""A real HTTP server on 127.0.0.1 that misbehaves by rule and counts; tables of small files."""

import csv
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from trackssl.datasets import table

Rule = Callable[["Handler"], None]


@dataclass
class Site:
    """Files by their names, and a rule for each that does not simply answer."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # name, Range
    sent: list[list] = field(default_factory=list)  # name, first byte, how many
    pace: float = 0  # seconds before each block that is sent
    block: int = 1 << 16
    closing: threading.Event = field(default_factory=threading.Event)

    def at(self, name: str) -> str:
        return f"{self.address}/{name}"

    def add(self, name: str, size: int = 300_000) -> bytes:
        """A new file of noise."""
        self.files[name] = np.random.default_rng(len(name)).bytes(size)
        return self.files[name]

    def requests(self, name: str) -> list[str | None]:
        return [asked for found, asked in self.asked if found == name]

    def bytes_sent(self, name: str) -> int:
        return sum(count for found, _, count in self.sent if found == name)


class Handler(BaseHTTPRequestHandler):
    """Serves a `Site`; rules call `serve` with what is to go wrong."""

    site: Site

    def do_GET(self) -> None:
        self.name = self.path.lstrip("/")
        self.site.asked.append((self.name, self.headers.get("Range")))
        if self.name not in self.site.files and self.name not in self.site.rules:
            self.status(404)
            return
        self.count = len(self.site.requests(self.name))
        self.site.rules.get(self.name, Handler.serve)(self)

    def status(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def serve(
        self,
        data: bytes | None = None,
        *,
        ranges: bool = True,
        etag: str | None = "of its content",
        drop_after: int | None = None,
        length_said: int | None = None,
        kind: str = "application/x-tar",
        stall: bool = False,
    ) -> None:
        """Answer with the file or a stretch of it; `drop_after` so many bytes the line breaks."""
        data = self.site.files[self.name] if data is None else data
        if etag == "of its content":
            etag = f'"{hashlib.md5(data).hexdigest()}"'
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if self.headers.get("If-Range", etag) != etag:
            asked = None
        start, end = 0, len(data)
        if asked and ranges:
            start, end = int(asked[1]), min(len(data), int(asked[2] or len(data)) + 1)
            if start >= len(data):
                self.status(416, Content_Range=f"bytes */{len(data)}")
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        else:
            self.send_response(200)
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(end - start if length_said is None else length_said))
        self.end_headers()
        last = end if drop_after is None else min(end, start + drop_after)
        sent = [self.name, start, 0]
        self.site.sent.append(sent)
        try:
            for place in range(start, last, self.site.block):
                if self.site.pace:
                    time.sleep(self.site.pace)
                block = data[place : min(last, place + self.site.block)]
                sent[2] += len(block)  # before the other side can have it
                self.wfile.write(block)
        except OSError:
            pass  # the other side was killed
        if stall:
            self.site.closing.wait(30)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    """A server of its own for each test."""
    site = Site()
    handler = type("SiteHandler", (Handler,), {"site": site})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    site.address = f"http://127.0.0.1:{httpd.server_port}"
    yield site
    site.closing.set()
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def know(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., None]:
    """Put a table of data sets in the place of the real one: `know(Path, ...)` keeps its rows.

    Rows of these files get their sizes and MD5 sums; `checksums=False` leaves these out.
    """

    def know(*files: Path, checksums: bool = True) -> None:
        path = tmp_path_factory.mktemp("table") / "datasets.csv"
        with REAL_TABLE.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row |= {"checksum_kind": "", "checksum": "", "bytes": ""}
            for known in files:
                if row["file"] == known.name and checksums:
                    data = known.read_bytes()
                    row |= {"checksum_kind": "MD5", "checksum": hashlib.md5(data).hexdigest()}
                    row["bytes"] = str(len(data))
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, table.COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        monkeypatch.setattr(table, "TABLE", path)

    return know


REAL_TABLE = table.TABLE
