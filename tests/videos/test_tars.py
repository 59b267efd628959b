import io
import tarfile

import pytest

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.videos import tars
from trackssl.videos.fetch import fetch_videos
from trackssl.videos.manifest import read_manifest


def pack(path, members):
    """A tar of members: a name and bytes, or a TarInfo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def link(name, kind, target):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def settings(folder, **more):
    return Videos(source="tar", folder=str(folder), count=None, shards=1, **more)


def test_videos_come_out_of_archives_and_hostile_members_have_their_reason(tmp_path, make_video):
    clip = make_video().read_bytes()
    hostile = [
        ("../../evil.mp4", clip), ("/evil.mp4", clip),
        (link("link.mp4", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (link("hard.mp4", tarfile.LNKTYPE, "a/0.mp4"), b""),
        (link("pipe.mp4", tarfile.FIFOTYPE, ""), b""),
        ("large.mp4", b"x" * (len(clip) + 1)), ("empty.mp4", b""),
    ]  # fmt: skip
    pack(tmp_path / "tars" / "0.tar", [("a/0.mp4", clip), ("a/0.json", b"{}"), ("a/1.mp4", b"no")])
    pack(tmp_path / "tars" / "1.tar", [("b/0.mp4", clip), *hostile])
    out = tmp_path / "0.parquet"
    chosen = settings(tmp_path / "tars", max_bytes=len(clip))
    fetch_videos(chosen, 0, out, tmp_path / "store", tmp_path / "p")
    rows = read_manifest(out)
    found = {row.source.partition("#")[2]: row.reason or row.status for row in rows[2:]}
    assert [(row.status, row.reason) for row in rows[:2]] == [("ok", ""), ("failed", "not a video")]
    assert found == {
        "b/0.mp4": "ok",
        "../../evil.mp4": "unsafe name",
        "/evil.mp4": "unsafe name",
        "link.mp4": "not a plain file",
        "hard.mp4": "not a plain file",
        "pipe.mp4": "not a plain file",
        "large.mp4": "too many bytes",
        "empty.mp4": "empty file",
    }
    assert len({row.video for row in rows}) == len(rows)
    there = {path.relative_to(tmp_path / "store") for path in (tmp_path / "store").rglob("*.mp4")}
    assert len(there) == 2 and all(len(path.parts) == 2 for path in there)
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("content", [b"", b"x" * 2000, b"\x1f\x8b" + b"0" * 600])
def test_what_is_no_archive_is_named(tmp_path, content):
    (tmp_path / "bad.tar").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.tar: this is no whole|no \.tar files with videos"):
        tars.items(settings(tmp_path))


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path):
    member = tarfile.TarInfo("a.mp4")
    member.type, member.size = tarfile.XHDTYPE, 10 << 30
    (tmp_path / "bomb.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + b"\0" * 10240)
    with pytest.raises(InputError, match=r"bomb\.tar: this is no whole"):
        tars.items(settings(tmp_path))


def test_an_archive_that_breaks_off_is_named(tmp_path, make_video):
    path = tmp_path / "half.tar"
    pack(path, [(f"{k}.mp4", make_video().read_bytes()) for k in range(3)])
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"half\.tar: this is no whole"):
        tars.items(settings(tmp_path))


def test_a_folder_without_archives_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"holds no \.tar files"):
        tars.items(settings(tmp_path))
    with pytest.raises(InputError, match="there is no folder"):
        tars.items(settings(tmp_path / "none"))
