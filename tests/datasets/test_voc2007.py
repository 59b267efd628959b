import hashlib
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trackssl.config import Voc, parse
from trackssl.datasets.fetch import fetch_voc
from trackssl.errors import InputError

Know = Callable[..., None]
TARS = {"trainval": "VOCtrainval_06-Nov-2007.tar", "test": "VOCtest_06-Nov-2007.tar"}
XML = (
    "<annotation><folder>VOC2007</folder><size><width>9</width><height>9</height></size><object>"
    "<name>{}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    "</object></annotation>"
)


def pack(folder: Path, split: str, image: str, label: str = "dog") -> None:
    """One of VOC 2007's archives, with one image."""
    root = folder / split / "VOCdevkit" / "VOC2007"
    for name, text in {
        f"JPEGImages/{image}.jpg": "",
        f"Annotations/{image}.xml": XML.format(label),
        f"ImageSets/Main/{split}.txt": image,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    with tarfile.open(folder / TARS[split], "w") as tar:
        tar.add(folder / split / "VOCdevkit", "VOCdevkit")


class Server(SimpleHTTPRequestHandler):
    """Answers, and keeps what was asked for."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def mirror(tmp_path: Path, know: Know) -> Iterator[str]:
    """Address of a folder that holds both archives, small, and their checksums known."""
    served = tmp_path / "served"
    pack(served, "trainval", "000005")
    pack(served, "test", "000001", "cat")
    know(*served.glob("*.tar"))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=served))
    threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
    Server.asked.clear()
    yield f"http://127.0.0.1:{httpd.server_port}/"
    httpd.shutdown()
    httpd.server_close()


def voc(tmp_path: Path, **more: object) -> Voc:
    return Voc(year=2007, devkit=str(tmp_path / "VOCdevkit"), **more)


def test_both_archives_make_one_devkit_beside_other_years(tmp_path: Path, mirror: str):
    other = tmp_path / "VOCdevkit" / "VOC2012" / "kept"
    other.parent.mkdir(parents=True)
    other.write_text("")
    index = fetch_voc(voc(tmp_path), mirror)
    assert index.images("trainval") == ["000005"]
    assert index.images("test") == ["000001"]
    assert index.classes == ("cat", "dog")
    assert other.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["VOCdevkit", "served"]
    assert Server.asked == [f"/{name}" for name in TARS.values()]
    assert fetch_voc(voc(tmp_path), mirror) == index
    assert len(Server.asked) == 2


def test_an_archive_that_is_there_is_not_fetched_again(tmp_path: Path, mirror: str):
    second = tmp_path / "served" / TARS["test"]
    second.rename(second.with_suffix(".away"))
    with pytest.raises(InputError, match=r"VOCtest_06-Nov-2007\.tar: the server answers 404"):
        fetch_voc(voc(tmp_path), mirror)
    assert not (tmp_path / "VOCdevkit").exists()
    second.with_suffix(".away").rename(second)
    assert fetch_voc(voc(tmp_path), mirror).images("test") == ["000001"]
    assert Server.asked.count(f"/{TARS['trainval']}") == 1


def test_a_wrong_archive_is_named_and_nothing_is_left_of_it(tmp_path: Path, mirror: str):
    pack(tmp_path / "served", "test", "000002")
    with pytest.raises(InputError, match=r"VOCtest_06-Nov-2007\.tar: the file's MD5 is"):
        fetch_voc(voc(tmp_path), mirror)
    left = sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("."))
    assert left == [TARS["trainval"], "served"]


def test_a_class_that_voc_does_not_have_is_refused_in_what_is_downloaded(
    tmp_path: Path, mirror: str, know: Know
):
    pack(tmp_path / "served", "test", "000001", "unicorn")
    know(*(tmp_path / "served").glob("*.tar"))
    with pytest.raises(InputError, match=r"000001\.xml: object 1 \('unicorn'\) is of a class not"):
        fetch_voc(voc(tmp_path), mirror)
    mine = voc(tmp_path, source="devkit")
    assert fetch_voc(mine).classes == ("dog", "unicorn")
    with pytest.raises(InputError, match=r"not in the list \(unicorn\)"):
        fetch_voc(voc(tmp_path, source="devkit", classes=["unicorn"]))


def test_one_archive_may_stand_for_all_with_its_checksum(tmp_path: Path, mirror: str):
    served = tmp_path / "served"
    with tarfile.open(served / "all.tar", "w") as tar:
        for split in TARS:
            tar.add(served / split / "VOCdevkit", "VOCdevkit")
    with pytest.raises(InputError, match=r"all\.tar: what is downloaded needs a checksum"):
        fetch_voc(voc(tmp_path), f"{mirror}all.tar")
    md5 = hashlib.md5((served / "all.tar").read_bytes()).hexdigest()
    assert fetch_voc(voc(tmp_path), f"{mirror}all.tar", md5).images("test") == ["000001"]


def test_an_archive_of_another_year_is_refused(tmp_path: Path, mirror: str):
    settings = Voc(year=2012, devkit=str(tmp_path / "VOCdevkit"))
    name = TARS["test"]
    md5 = hashlib.md5((tmp_path / "served" / name).read_bytes()).hexdigest()
    with pytest.raises(InputError, match="no VOCdevkit/VOC2012 in it"):
        fetch_voc(settings, mirror + name, md5)
    assert not (tmp_path / "VOCdevkit").exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (2012, "train", "val", "area")),
        ({"year": 2012}, (2012, "train", "val", "area")),
        ({"year": 2007}, (2007, "trainval", "test", "11-point")),
        ({"year": 2007, "rule": "area"}, (2007, "trainval", "test", "area")),
        ({"year": 2007, "test_split": "val"}, (2007, "trainval", "val", "11-point")),
        ({"year": 2007, "source": "miniworld"}, (2007, "train", "val", "11-point")),
        ({"year": 2012, "rule": "11-point"}, (2012, "train", "val", "11-point")),
    ],
)
def test_a_year_has_its_own_splits_and_rule(given: dict, expected: tuple):
    section = parse(Voc, given, "voc")
    assert (section.year, section.train_split, section.test_split, section.rule) == expected
    assert parse(Voc, section.model_dump(), "voc") == section


@pytest.mark.parametrize("year", [2008, "2007", None])
def test_another_year_is_refused(year: object):
    with pytest.raises(InputError, match="'year' is"):
        parse(Voc, {"year": year}, "voc")
