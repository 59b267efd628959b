"""What survives a kill, and a disk that is full."""

import ctypes
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from trackssl.datasets.archives import extract
from trackssl.datasets.download import download
from trackssl.datasets.transport import Limits
from trackssl.errors import InputError

PIECE_BYTES = 1 << 15
CONNECTIONS = 3
PROGRAM = f"""
import sys
from pathlib import Path
from trackssl.datasets.download import download
from trackssl.datasets.transport import Limits
print("ready", flush=True)
limits = Limits(connections={CONNECTIONS}, piece_bytes={PIECE_BYTES})
download(sys.argv[1], Path(sys.argv[2]), sys.argv[3], limits=limits)
"""


def test_a_killed_download_fetches_no_byte_twice_but_those_of_open_pieces(site, tmp_path):
    data = site.add("a.tar", 3_000_000)
    site.block, site.pace = 1 << 12, 0.005
    path, notes = tmp_path / "a.tar", tmp_path / "a.tar.part.json"
    checksum = hashlib.sha256(data).hexdigest()
    command = [sys.executable, "-c", PROGRAM, site.at("a.tar"), str(path), checksum]
    draws = random.Random(7)
    whole: set[int] = set()  # pieces that the notes of a killed run call whole
    twice, kills = [], 0
    while not path.exists():
        before = len(site.asked)
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert run.stdout is not None
        run.stdout.readline()
        wait = draws.uniform(0.01, 0.3) if kills < 10 else 60
        try:
            run.wait(wait)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            kills += 1
        _, errors = run.communicate()
        assert run.returncode in (0, -signal.SIGKILL), errors.decode()
        for _, asked in site.asked[before:]:
            assert asked is not None
            first = int(asked.removeprefix("bytes=").split("-")[0])
            twice += [piece for piece in whole if piece == first // PIECE_BYTES]
        if notes.exists():
            had = json.loads(notes.read_text())["had"]
            whole = {piece for piece, count in enumerate(had) if count == PIECE_BYTES}
            assert not path.exists()
    assert path.read_bytes() == data
    assert not twice, f"pieces {twice} were whole and were asked for again"
    assert kills >= 3
    most = len(data) + kills * CONNECTIONS * (PIECE_BYTES + site.block)
    time.sleep(0.1)
    assert site.bytes_sent("a.tar") <= most
    assert [found.name for found in tmp_path.iterdir()] == ["a.tar"]
    print(f"{kills} kills: {site.bytes_sent('a.tar') - len(data)} bytes of {len(data)} sent twice")


DEVKIT_PROGRAM = """
import sys
from trackssl.config import Voc
from trackssl.datasets.fetch import fetch_voc
from trackssl.files import write_json
from pathlib import Path
print("ready", flush=True)
index = fetch_voc(Voc(devkit=sys.argv[1]), sys.argv[2], sys.argv[3])
write_json(Path(sys.argv[1]).with_name("index.json"), index.to_json())
"""
XML = (
    "<annotation><size><width>9</width><height>9</height></size><object><name>dog</name><bndbox>"
    "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)


def test_a_devkit_that_is_killed_while_it_is_fetched_or_extracted_ends_as_an_unbroken_one(
    site, tmp_path
):
    names = [f"2008_{number:06d}" for number in range(150)]
    files = {f"ImageSets/Main/{split}.txt": "\n".join(names) for split in ("train", "val")}
    files |= {f"Annotations/{name}.xml": XML for name in names}
    files |= {f"JPEGImages/{name}.jpg": "x" * 2000 for name in names}
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"VOCdevkit/VOC2012/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    data = site.files["voc.tar"] = file.getvalue()
    site.pace = 0.1
    draws, kills = random.Random(3), 0
    md5 = hashlib.md5(data).hexdigest()
    for run_name in ("unbroken", "killed"):
        folder = tmp_path / run_name
        folder.mkdir()
        command = [sys.executable, "-c", DEVKIT_PROGRAM, str(folder / "VOCdevkit")]
        command += [site.at("voc.tar"), md5]
        for attempt in range(6):
            run = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert run.stdout is not None
            run.stdout.readline()
            try:
                last = run_name == "unbroken" or attempt == 5
                run.wait(100 if last else draws.uniform(0.05, 1.2))
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                kills += 1
            run.communicate()
            assert run.returncode in (0, -signal.SIGKILL)
            if run.returncode == 0:
                break
            devkit = folder / "VOCdevkit" / "VOC2012"
            if devkit.exists():
                assert len(list(devkit.rglob("*.*"))) == len(files)
    assert kills >= 1
    index = [
        json.loads((tmp_path / name / "index.json").read_text()) for name in ("unbroken", "killed")
    ]
    assert index[0] == {**index[1], "devkit": index[0]["devkit"]}
    assert not (tmp_path / "killed" / "voc.tar").exists()


def test_two_processes_that_want_one_file_fetch_it_once(site, tmp_path):
    data = site.add("a.tar", 400_000)
    site.block, site.pace = 1 << 13, 0.01
    path = tmp_path / "a.tar"
    command = [sys.executable, "-c", PROGRAM, site.at("a.tar"), str(path)]
    command.append(hashlib.sha256(data).hexdigest())
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert path.read_bytes() == data
    assert site.bytes_sent("a.tar") == len(data)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=1m") != 0:
        pytest.skip(f"no tmpfs can be mounted here ({os.strerror(ctypes.get_errno())})")
    yield folder
    libc.umount2(os.fsencode(folder), 2)


def test_a_download_that_fills_the_disk_goes_on_when_there_is_room(site, small_disk):
    data = site.add("a.tar", 700_000)
    path, ballast = small_disk / "a.tar", small_disk / "ballast"
    site.block, site.pace = 1 << 13, 0.002
    limits = Limits(connections=2, piece_bytes=1 << 16, first_wait_seconds=0.01)

    def fill(handler) -> None:
        """Others write to the disk while the file is fetched."""
        if handler.count == 4:
            ballast.write_bytes(bytes(500_000))
        handler.serve()

    site.rules["a.tar"] = fill
    with pytest.raises(InputError, match=r"a\.tar.*: the disk is full while it is downloaded"):
        download(site.at("a.tar"), path, hashlib.sha256(data).hexdigest(), limits=limits)
    assert not path.exists()
    assert (small_disk / "a.tar.part").exists()
    with pytest.raises(InputError, match=r"a\.tar needs 0\.\d MB there, but 0\.0 MB are free"):
        download(site.at("a.tar"), path, hashlib.sha256(data).hexdigest(), limits=limits)
    had = sum(json.loads((small_disk / "a.tar.part.json").read_text())["had"])
    assert had > 100_000
    ballast.unlink()
    sent = site.bytes_sent("a.tar")
    download(site.at("a.tar"), path, hashlib.sha256(data).hexdigest(), limits=limits)
    assert path.read_bytes() == data
    # The server counts what was still under way to the run that stopped: a piece or two.
    twice = site.bytes_sent("a.tar") - sent - (len(data) - had)
    assert 0 <= twice <= limits.connections * limits.piece_bytes
    assert [found.name for found in small_disk.iterdir()] == ["a.tar"]


def test_a_file_without_ranges_that_fills_the_disk_leaves_nothing(site, small_disk):
    data = site.add("a.tar", 3_000_000)
    path = small_disk / "a.tar"
    site.rules["a.tar"] = lambda h: h.serve(ranges=False)
    with pytest.raises(InputError, match=r"a\.tar needs 3\.0 MB there, but 1\.0 MB are free"):
        download(site.at("a.tar"), path, hashlib.sha256(data).hexdigest())

    def unknown(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(data)

    site.rules["a.tar"] = unknown
    with pytest.raises(InputError, match="the disk is full"):
        download(site.at("a.tar"), path, hashlib.sha256(data).hexdigest())
    assert not list(small_disk.iterdir())


@pytest.mark.parametrize("kind", ["tar", "gz", "zip"])
def test_an_archive_that_fills_the_disk_leaves_nothing_half(tmp_path, small_disk, kind: str):
    archive = tmp_path / f"a.{kind}"
    files = {f"Images/{number}.jpg": bytes(150_000) for number in range(8)}
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, data in files.items():
                zipped.writestr(name, data)
    else:
        with tarfile.open(archive, "w:gz" if kind == "gz" else "w") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    said = r"a\.gz: the disk is full while it is extracted" if kind == "gz" else "MB are free"
    with pytest.raises(InputError, match=rf"{said}; make room and start again"):
        extract(archive, small_disk / "out")
    assert not list(small_disk.iterdir())
    assert archive.exists()
