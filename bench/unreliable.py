"""A web site on 127.0.0.1 that serves videos and misbehaves by rule, for tests and acquisition.py.

    /<rule>/<name>.mp4

Every name has a video of its own; the rule says what goes wrong with it, and `RULES` what must come
of that: "ok", or the reason in the manifest.
"""

import contextlib
import io
import random
import re
import socket
import struct
import time
from collections import Counter
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

import av
import numpy as np

RULES = {
    "fine": "ok",
    "missing": "not found",
    "gone": "not found",
    "forbidden": "refused",
    "throttled_once": "ok",
    "throttled": "throttled",
    "error_once": "ok",
    "error": "server error",
    "drop": "ok",
    "drop_twice": "ok",
    "drop_without_ranges": "ok",
    "changed": "ok",
    "stall_once": "ok",
    "stall": "timeout",
    "length_too_short": "truncated",
    "length_too_long": "ok",
    "length_too_long_without_ranges": "connection dropped",
    "truncated": "connection dropped",
    "without_ranges": "ok",
    "without_length": "ok",
    "redirect": "ok",
    "loop": "redirect loop",
    "to_file": "not a web address",
    "to_ftp": "not a web address",
    "page": "not a video page",
    "page_as_video": "not a video",
    "playlist": "not a single video",
    "ten_hours": "too long",
    "large": "too many bytes",
    "endless": "too many bytes",
}
LARGE_BYTES = 1 << 33
_BLOCK_BYTES = 1 << 14
_PAGE = b"<!doctype html><html><title>no video</title><p>Here is none.</p></html>"


class UnreliableSite:
    """The server and what was asked of it. `sent` counts the bytes of bodies by path."""

    def __init__(self, size_bytes: int = 100_000, seconds_a_block: float = 0.0) -> None:
        self.size_bytes, self.seconds_a_block = size_bytes, seconds_a_block
        self.sent: Counter[str] = Counter()
        self.asked: list[tuple[str, str]] = []  # path, Range
        self.ending = Event()
        self._clip = clip()
        self._long_clip = clip(rate=Fraction(1, 1200))  # 30 frames, 20 minutes apart
        self._lock = Lock()
        self._tries: Counter[str] = Counter()
        site = self

        class Handler(_Handler):
            def __init__(self, *args: Any) -> None:
                self.site = site
                super().__init__(*args)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "UnreliableSite":
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()

    def video(self, path: str) -> bytes:
        """The video of a path, whatever its rule: one clip with bytes of its own at the end."""
        data = self._long_clip if path.startswith("/ten_hours/") else self._clip
        own = random.Random(path.rpartition("/")[2]).randbytes(self.size_bytes)
        return data + struct.pack(">I4s", 8 + len(own), b"free") + own

    def asks(self, path: str, wanted: str) -> int:
        """Count a request -> how many there were for this path before."""
        with self._lock:
            self.asked.append((path, wanted))
            self._tries[path] += 1
            return self._tries[path] - 1

    def count(self, path: str, size: int) -> None:
        """Count bytes that were sent."""
        with self._lock:
            self.sent[path] += size

    def forget(self) -> None:
        """Count anew."""
        with self._lock:
            self.sent.clear()
            self.asked.clear()
            self._tries.clear()


class _Handler(BaseHTTPRequestHandler):
    site: UnreliableSite

    def setup(self) -> None:
        # What lies in buffers when a client is killed must stay small.
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BLOCK_BYTES)
        super().setup()

    def do_GET(self) -> None:
        rule = self.path.split("/")[1]
        before = self.site.asks(self.path, self.headers.get("Range") or "")
        with contextlib.suppress(OSError):
            self.answer(rule, before)

    def answer(self, rule: str, before: int) -> None:
        whole = self.site.video(self.path)
        cut = random.Random(f"{self.path} {before}").randrange(1000, len(whole) - 1000)
        match rule:
            case "missing" | "gone" | "forbidden" | "error":
                status = {"missing": 404, "gone": 410, "forbidden": 403, "error": 500}
                self.page(status[rule])
            case "error_once" if before < 1:
                self.page(503)
            case "throttled_once" if before < 1:
                self.page(429, {"Retry-After": "1"})
            case "throttled":
                self.page(429, {"Retry-After": "86400"})
            case "redirect" | "loop" | "to_file" | "to_ftp":
                name = self.path.rpartition("/")[2]
                other = 1 - before % 2
                where = {
                    "redirect": f"/fine/{name}",
                    "loop": f"/loop/{other}/{name}",
                    "to_file": "file:///etc/passwd",
                    "to_ftp": f"ftp://127.0.0.1:9/{name}",
                }
                self.page(302, {"Location": where[rule]})
            case "page":
                self.page(200)
            case "page_as_video":
                self.page(200, {"Content-Type": "video/mp4"}, 99)
            case "playlist":
                videos = "".join(
                    f'<video src="{self.site.address}/fine/{k}.mp4"></video>' for k in range(3)
                )
                self.body(f"<!doctype html><html>{videos}</html>".encode(), kind="text/html")
            case "drop" | "stall_once" if before < 1:
                self.body(whole, cut, stall=rule == "stall_once")
            case "drop_twice" if before < 2:
                self.body(whole, min(cut, len(whole) // 2))
            case "drop_without_ranges":
                self.body(whole, None if before else cut, ranges=False)
            case "changed":  # the second time it is another file
                old = whole[:-1] + bytes([whole[-1] ^ 1])
                self.body(whole if before else old, None if before else cut, tag=f'"{before > 0}"')
            case "stall":
                self.body(whole, 1000, stall=True)
            case "length_too_short":
                self.body(whole, length=len(self.site._clip) // 2, ranges=False)
            case "length_too_long":
                self.body(whole, length=len(whole) + 1000)
            case "length_too_long_without_ranges":
                self.body(whole, length=len(whole) + 1000, ranges=False)
            case "truncated":
                self.body(whole, len(whole) // 2, ranges=False)
            case "without_ranges":
                self.body(whole, ranges=False)
            case "without_length":
                self.body(whole, ranges=False, length=-1)
            case "large":
                self.body(whole, length=LARGE_BYTES, ranges=False)
            case "endless":
                self.body(whole * 60, length=-1, ranges=False)
            case _:
                self.body(whole)

    def page(self, status: int, more: dict[str, str] | None = None, repeat: int = 1) -> None:
        """A page of HTML, or what `more` headers say."""
        self.send_response(status)
        headers = {"Content-Type": "text/html", "Content-Length": str(len(_PAGE) * repeat)}
        for name, value in (headers | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(_PAGE * repeat)

    def body(
        self,
        data: bytes,
        cut: int | None = None,
        *,
        stall: bool = False,
        ranges: bool = True,
        length: int | None = None,
        kind: str = "video/mp4",
        tag: str = "",
    ) -> None:
        """Send data up to `cut`, then close or stall; the header says `length`, -1 for nothing."""
        wanted = re.fullmatch(r"bytes=([0-9]+)-", self.headers.get("Range") or "")
        begin = int(wanted[1]) if wanted and ranges else 0
        if tag and self.headers.get("If-Range") not in (None, tag):
            begin = 0
        if begin >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.end_headers()
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Type", kind)
        said = len(data) if length is None else length
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{said - 1}/{said}")
        if said >= 0:
            self.send_header("Content-Length", str(said - begin))
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        end = len(data) if cut is None else max(cut, begin)
        for at in range(begin, end, _BLOCK_BYTES):
            block = data[at : min(at + _BLOCK_BYTES, end)]
            self.wfile.write(block)
            self.site.count(self.path, len(block))
            time.sleep(self.site.seconds_a_block)
        if stall:
            self.wfile.flush()
            self.site.ending.wait(30)

    def log_message(self, *args: object) -> None: ...


def clip(frames: int = 30, rate: Fraction | int = 10) -> bytes:
    """A short H.264 video whose index stands at the end; `rate` in frames a second."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "28", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.thread_count = 1
        noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
        for k in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(noise, k, 1), "bgr24")))
        container.mux(stream.encode())
    return file.getvalue()
