import os
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.datasets.voc import VOC_CLASSES, Devkit
from trackssl.errors import InputError


@pytest.fixture
def detections(tmp_path: Path) -> Path:
    """Files of all twenty classes, one of them empty, and some of another split."""
    folder = tmp_path / "detections"
    folder.mkdir()
    for number, name in enumerate(VOC_CLASSES):
        text = f"2008_000001 0.{number}5 1 1 10 10\n" if number else ""
        (folder / f"comp3_det_test_{name}.txt").write_text(text)
    (folder / "comp3_det_val_dog.txt").write_text("nonsense")
    return folder


def submit(folder: Path, out: Path, *more: object) -> None:
    arguments = ["voc-submission", str(folder), "--out", str(out), *map(str, more)]
    ran = CliRunner().invoke(app, arguments)
    if ran.exception:
        raise ran.exception


def test_the_archive_is_as_the_server_takes_it(detections: Path, tmp_path: Path):
    out = tmp_path / "results.tar.gz"
    submit(detections, out, "--comp", "comp4")
    with tarfile.open(out, "r:gz") as tar:
        names = [f"results/VOC2012/Main/comp4_det_test_{name}.txt" for name in VOC_CLASSES]
        assert tar.getnames() == names
        assert tar.extractfile(names[1]).read() == b"2008_000001 0.15 1 1 10 10\n"
        assert tar.extractfile(names[0]).read() == b""
        assert {(member.mtime, member.uid, member.uname) for member in tar} == {(0, 0, "")}


def test_equal_files_make_equal_bytes(detections: Path, tmp_path: Path):
    one, two = tmp_path / "one.tar.gz", tmp_path / "two.tgz"
    submit(detections, one, "--comp", "comp3")
    for path in detections.iterdir():
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600)
    submit(detections, two, "--comp", "comp3")
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes()[4:8] == bytes(4)  # gzip's own time
    (detections / "comp3_det_test_dog.txt").write_text("")
    submit(detections, two, "--comp", "comp3")
    assert one.read_bytes() != two.read_bytes()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("test_dog", "a 0.5 1 1 9 9\na nan 1 1 9 9\n", "dog.txt, line 2: a score or a corner"),
        ("test_dog", None, "no file for dog; the server wants all"),
        ("test_unicorn", "", "'unicorn' is no class of VOC"),
    ],
)
def test_what_the_server_would_refuse_leaves_no_archive(
    detections: Path, tmp_path: Path, name: str, text: str | None, words: str
):
    path = detections / f"comp3_det_{name}.txt"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(InputError) as error:
        submit(detections, tmp_path / "r.tar.gz", "--comp", "comp3")
    assert words in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["detections"]


def test_only_the_servers_kind_of_archive_is_written(detections: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"r\.tar: the server takes \.tar\.gz or \.tgz only"):
        submit(detections, tmp_path / "r.tar", "--comp", "comp3")


def test_image_ids_are_checked_where_the_list_is_known(detections: Path, tmp_path: Path):
    devkit = Devkit(tmp_path / "VOCdevkit", 2012)
    devkit.list_path("test").parent.mkdir(parents=True)
    devkit.list_path("test").write_text("2008_000001\n")
    more = ("--comp", "comp3", "--devkit", devkit.folder)
    submit(detections, tmp_path / "r.tar.gz", *more)
    devkit.list_path("test").write_text("2008_000002\n")
    with pytest.raises(InputError, match=r"bicycle\.txt, line 1: the image '2008_000001'"):
        submit(detections, tmp_path / "r.tar.gz", *more)
