from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest

MakeVideo = Callable[..., Path]


@pytest.fixture
def encode(tmp_path) -> MakeVideo:
    """Encodes images of one size as a video; `at` are their times in milliseconds."""

    def write(
        name: str,
        images: Sequence[np.ndarray],
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        options: dict[str, str] | None = None,
        at: Sequence[int] | None = None,
        rotation: int = 0,
        layout: str = "bgr24",
        muxer: dict[str, str] | None = None,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", options=muxer or {}) as container:
            stream = container.add_stream(codec, rate=10, options=options or {})
            first = av.VideoFrame.from_ndarray(np.ascontiguousarray(images[0]), layout)
            stream.height, stream.width = first.height, first.width
            stream.pix_fmt = pix_fmt
            stream.codec_context.thread_count = 1
            if at:
                stream.codec_context.time_base = Fraction(1, 1000)
            if rotation:
                stream.set_display_rotation(rotation)
            for k, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), layout)
                frame = frame.reformat(format=pix_fmt)
                if at:
                    frame.pts, frame.time_base = at[k], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture
def make_video(encode) -> MakeVideo:
    """Writes a short H.264 video whose frame k is a grey ramp that moves by 8 columns a frame."""

    def make(
        name: str = "clip.mp4",
        frames: int = 30,
        width: int = 64,
        height: int = 48,
        pix_fmt: str = "yuv420p",
        muxer: dict[str, str] | None = None,
    ) -> Path:
        ramp = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
        images = [np.repeat(np.roll(ramp, 8 * k, 1)[..., None], 3, 2) for k in range(frames)]
        options = {"crf": "18", "g": "10"}
        return encode(name, images, "libx264", pix_fmt, options, muxer=muxer)

    return make


@pytest.fixture
def make_sound(tmp_path) -> MakeVideo:
    """Writes a second of silence without any picture."""

    def make(name: str = "sound.mp4") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=44100)
            for k in range(40):
                frame = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
                )
                frame.rate, frame.pts = 44100, 1024 * k
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make


class Site:
    """A web site on 127.0.0.1: `pages` maps a path to (status, type, body); `asked` is its log."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, str, bytes]] = {}
        self.asked: list[str] = []
        self.cookies: list[str | None] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                site.cookies.append(self.headers.get("Cookie"))
                status, kind, body = site.pages.get(self.path, (404, "text/html", b"gone"))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site(monkeypatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()
    thread = Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()
    site.server.server_close()
