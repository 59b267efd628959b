"""Archives from elsewhere: right ones come out whole, hostile ones not at all."""

import bz2
import gzip
import io
import lzma
import random
import shutil
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from trackssl.datasets.archives import MAX_BYTES, extract
from trackssl.errors import InputError

FILES = {"VOCdevkit/VOC2012/Annotations/a.xml": b"<annotation/>", "Images/bar/b, c.jpg": b"\0" * 9}
GIGABYTES = 10 * 10**9


def tar_bytes(add: Callable[[tarfile.TarFile], None]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        add(tar)
    return file.getvalue()


def add_files(tar: tarfile.TarFile) -> None:
    folder = tarfile.TarInfo("VOCdevkit")
    folder.type = tarfile.DIRTYPE
    tar.addfile(folder)
    for name, data in FILES.items():
        member = tarfile.TarInfo(f"./{name}")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


def zip_bytes(files: dict[str, bytes] = FILES) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(zipfile.ZipInfo("VOCdevkit/"), b"")
        for name, data in files.items():
            zipped.writestr(name, data)
    return file.getvalue()


PLAIN = tar_bytes(add_files)


@pytest.mark.parametrize(
    "data",
    [PLAIN, gzip.compress(PLAIN), bz2.compress(PLAIN), lzma.compress(PLAIN), zip_bytes()],
    ids=["tar", "gz", "bz2", "xz", "zip"],
)
def test_an_archive_comes_out_whole(tmp_path: Path, data: bytes):
    (tmp_path / "a.archive").write_bytes(data)
    extract(tmp_path / "a.archive", tmp_path / "out")
    found = {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in found} == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.archive", "out"]


def refused(tmp_path: Path, data: bytes, **bounds: int) -> str:
    """The sentence that extraction ends with, which leaves nothing anywhere."""
    inside = tmp_path / "inside"
    inside.mkdir(exist_ok=True)
    (inside / "a.archive").write_bytes(data)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"a\.archive: .*cannot be (extracted|written)") as caught:
        extract(inside / "a.archive", inside / "out", **bounds)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    return str(caught.value)


NAMES = {
    "../outside.txt": "leads out of the folder",
    "a/../../outside.txt": "leads out of the folder",
    "a/..": "leads out of the folder",
    "/tmp/trackssl_outside.txt": "has an absolute path",
    "C:/outside.txt": "has an absolute path",
    "..\\outside.txt": "has a name with odd characters",
    "a\nb.txt": "has a name with odd characters",
    "x/" * 100 + "n" * 300: "cannot be written",
}


@pytest.mark.parametrize(("name", "why"), NAMES.items())
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str, why: str):
    def add(tar: tarfile.TarFile) -> None:
        add_files(tar)
        tar.addfile(tarfile.TarInfo(name))

    assert why in refused(tmp_path, tar_bytes(add))
    assert why in refused(tmp_path, zip_bytes({**FILES, name: b""}))
    assert not Path("/tmp/trackssl_outside.txt").exists()


@pytest.mark.parametrize(
    ("kind", "target", "why"),
    [
        (tarfile.SYMTYPE, "/etc/passwd", "is a link"),
        (tarfile.SYMTYPE, "VOCdevkit", "is a link"),
        (tarfile.LNKTYPE, "../../outside", "is a link"),
        (tarfile.LNKTYPE, "Images/bar/b, c.jpg", "is a link"),
        (tarfile.CHRTYPE, "", "is a device"),
        (tarfile.BLKTYPE, "", "is a device"),
        (tarfile.FIFOTYPE, "", "is a device"),
        (b"Z", "", "is a device"),
    ],
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes, target: str, why: str):
    def add(tar: tarfile.TarFile) -> None:
        add_files(tar)
        member = tarfile.TarInfo("odd")
        member.type, member.linkname, member.devmajor, member.devminor = kind, target, 1, 3
        tar.addfile(member)

    said = refused(tmp_path, tar_bytes(add))
    assert "'odd'" in said and why in said


@pytest.mark.parametrize(
    ("mode", "why"), [(0o120777, "is a link"), (0o020644, "is a device"), (0o010644, "is a device")]
)
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, mode: int, why: str):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        member = zipfile.ZipInfo("odd")
        member.external_attr = mode << 16
        zipped.writestr(member, "/etc/passwd")
    assert why in refused(tmp_path, file.getvalue())


def test_an_encrypted_zip_is_refused(tmp_path: Path):
    data = bytearray(zip_bytes({"a": b"x"}))
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.rindex(sign)
        data[start + place] |= 1
    assert "is encrypted" in refused(tmp_path, bytes(data))


def test_too_many_members_are_refused(tmp_path: Path):
    def add(tar: tarfile.TarFile) -> None:
        for number in range(50):
            tar.addfile(tarfile.TarInfo(f"{number}"))

    assert "'40' is one too many of 40" in refused(tmp_path, tar_bytes(add), max_files=40)
    many = zip_bytes({str(number): b"" for number in range(50)})
    assert "is one too many of 40" in refused(tmp_path, many, max_files=40)


def zeros_gz(header: bytes, size: int) -> bytes:
    """A gzip of a tar's header and so many zeros, made without making them all."""
    block = 100_000_000
    pieces = [gzip.compress(header)]
    whole = gzip.compress(bytes(block), 9)
    pieces += [whole] * (size // block)  # gzip files joined are a gzip file
    return b"".join(pieces)


def test_a_bomb_of_ten_gigabytes_is_refused_at_once(tmp_path: Path):
    assert GIGABYTES > MAX_BYTES
    member = tarfile.TarInfo("zeros")
    member.size = GIGABYTES
    bomb = zeros_gz(member.tobuf(tarfile.GNU_FORMAT), GIGABYTES)
    assert len(bomb) < 12_000_000
    begin = time.process_time()
    assert "'zeros' passes the bound of 8,589.9 MB in all" in refused(tmp_path, bomb)
    assert time.process_time() - begin < 5


def test_many_members_may_not_pass_the_bound_together(tmp_path: Path):
    def add(tar: tarfile.TarFile) -> None:
        for number in range(5):
            member = tarfile.TarInfo(f"{number}")
            member.size = 3000
            tar.addfile(member, io.BytesIO(bytes(3000)))

    said = refused(tmp_path, gzip.compress(tar_bytes(add)), max_bytes=10_000)
    assert "'3' passes the bound of 0.0 MB" in said


def test_a_bomb_that_hides_in_a_header_is_refused_without_reading_it(tmp_path: Path):
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        member = tarfile.TarInfo("././@LongLink")
        member.type, member.size = kind, GIGABYTES
        bomb = zeros_gz(member.tobuf(tarfile.GNU_FORMAT), 200_000_000)
        assert "a header of it is too large" in refused(tmp_path, bomb)


def test_a_sparse_file_is_refused(tmp_path: Path):
    member = tarfile.TarInfo("sparse")
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[483:495] = b"%011o\0" % (1 << 33)  # its size when written out: 8 GiB
    header[148:156] = b"        "
    header[148:155] = b"%06o\0" % sum(header)
    assert "special file" in refused(tmp_path, bytes(header) + bytes(1024))


def lying_zip(size_said: int, data: bytes) -> bytes:
    """A zip whose member is larger than it says, in both of its headers."""
    zipped = bytearray(zip_bytes({"zeros": data}))
    for sign, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = zipped.rindex(sign)
        assert struct.unpack_from("<I", zipped, start + place)[0] == len(data)
        struct.pack_into("<I", zipped, start + place, size_said)
    return bytes(zipped)


def test_a_zip_that_lies_about_its_size_is_stopped(tmp_path: Path):
    data = bytes(50_000_000)
    assert "Bad CRC-32" in refused(tmp_path, lying_zip(10, data), max_bytes=1_000_000)
    assert "passes the bound" in refused(tmp_path, zip_bytes({"zeros": data}), max_bytes=1_000_000)
    huge = lying_zip(0xFFFFFFF0, b"small")
    bounds = {"max_bytes": 1 << 40}
    assert "another number of bytes" in refused(tmp_path, huge, **bounds)


def test_a_cut_archive_is_told_wherever_it_is_cut(tmp_path: Path):
    for data in (PLAIN[:2560], gzip.compress(PLAIN), zip_bytes(), lzma.compress(PLAIN)):
        for end in range(20, len(data) - 1, max(1, len(data) // 23)):
            refused(tmp_path, data[:end])
    for end in range(0, 2560, 512):  # between two members too
        refused(tmp_path, PLAIN[:end])
    refused(tmp_path, b"<html>Sign in</html>" * 100)
    refused(tmp_path, b"")


def test_damaged_archives_end_in_a_sentence_or_come_out(tmp_path: Path):
    draws = random.Random(0)
    for data in (PLAIN, gzip.compress(PLAIN), zip_bytes(), bz2.compress(PLAIN)):
        for number in range(60):
            damaged = bytearray(data)
            for _ in range(draws.randint(1, 8)):
                damaged[draws.randrange(len(damaged))] = draws.randrange(256)
            (tmp_path / "a.archive").write_bytes(damaged)
            try:
                extract(tmp_path / "a.archive", tmp_path / f"out{number}", max_bytes=10**6)
            except InputError:
                assert not (tmp_path / f"out{number}").exists()
            outside = [p for p in tmp_path.iterdir() if not p.name.startswith("out")]
            assert [path.name for path in outside] == ["a.archive"]
        for path in tmp_path.glob("out*"):
            shutil.rmtree(path)


def test_two_members_that_cannot_both_be_are_refused(tmp_path: Path):
    def add(tar: tarfile.TarFile) -> None:
        for name in ("a", "a/b"):
            tar.addfile(tarfile.TarInfo(name))

    assert "'a/b' has the name of another one" in refused(tmp_path, tar_bytes(add))
