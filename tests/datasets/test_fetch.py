import hashlib
import json
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

import trackssl.miniworld.voc
from trackssl.cli import app
from trackssl.config import Voc
from trackssl.datasets.fetch import fetch_voc
from trackssl.errors import InputError

XML = (
    "<annotation><size><width>9</width><height>9</height></size><object><name>dog</name><bndbox>"
    "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)


def write_devkit(folder: Path, year: int = 2012, image: str = "a") -> None:
    root = folder / f"VOC{year}"
    files = {
        "JPEGImages": {f"{image}.jpg": ""},
        "Annotations": {f"{image}.xml": XML},
        "ImageSets/Main": {"train.txt": image, "val.txt": image},
    }
    for name, contents in files.items():
        (root / name).mkdir(parents=True)
        for file, text in contents.items():
            (root / name / file).write_text(text)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a server of tmp_path/served, which holds voc.tar."""
    served = tmp_path / "served"
    write_devkit(served / "VOCdevkit")
    with tarfile.open(served / "voc.tar", "w") as tar:
        tar.add(served / "VOCdevkit", "VOCdevkit")
    handler = partial(SimpleHTTPRequestHandler, directory=served)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def settings(tmp_path: Path, source: str, **more: object) -> Voc:
    return Voc(source=source, devkit=str(tmp_path / "VOCdevkit"), **more)


def test_a_devkit_is_downloaded_once_and_indexed(tmp_path: Path, server: str):
    voc = settings(tmp_path, "download")
    checksum = md5(tmp_path / "served" / "voc.tar")
    index = fetch_voc(voc, f"{server}/voc.tar", checksum)
    assert index.classes == ("dog",)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["VOCdevkit", "served"]
    assert fetch_voc(voc, "http://127.0.0.1:1/none", "") == index


def test_a_wrong_checksum_leaves_nothing(tmp_path: Path, server: str):
    with pytest.raises(InputError, match=r"voc\.tar: the file's MD5 is .*, not 0000"):
        fetch_voc(settings(tmp_path, "download"), f"{server}/voc.tar", "0000")
    assert [path.name for path in tmp_path.iterdir()] == ["served"]


@pytest.mark.parametrize("address", ["{}/none.tar", "http://127.0.0.1:1/voc.tar", "nonsense"])
def test_an_address_that_gives_nothing_is_one_sentence(tmp_path: Path, server: str, address: str):
    with pytest.raises(InputError, match=r"404|cannot be fetched|no http"):
        fetch_voc(settings(tmp_path, "download"), address.format(server), "0000")
    assert not (tmp_path / "VOCdevkit").exists()


def test_an_archive_that_leaves_its_folder_is_refused(tmp_path: Path, server: str):
    tar = tmp_path / "served" / "voc.tar"
    with tarfile.open(tar, "w") as file:
        file.add(tar.with_name("VOCdevkit") / "VOC2012/Annotations/a.xml", "../../outside.xml")
    with pytest.raises(InputError, match="cannot be extracted"):
        fetch_voc(settings(tmp_path, "download"), f"{server}/voc.tar", md5(tar))
    assert not (tmp_path / "VOCdevkit").exists()


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds that the miniworld was drawn with; a devkit of one image in its place."""
    seeds: list[int] = []

    def render(folder: Path, year: int, train_images: int, test_images: int, seed: int) -> None:
        seeds.append(seed)
        write_devkit(folder, year, f"drawn_{seed}")

    monkeypatch.setattr(trackssl.miniworld.voc, "render_devkit", render)
    return seeds


def test_the_miniworld_is_drawn_again_only_for_other_settings(tmp_path: Path, renders: list[int]):
    fetch_voc(settings(tmp_path, "miniworld", seed=1))
    fetch_voc(settings(tmp_path, "miniworld", seed=1))
    assert renders == [1]
    index = fetch_voc(settings(tmp_path, "miniworld", seed=2))
    assert renders == [1, 2]
    assert index.images("val") == ["drawn_2"]


def test_a_killed_drawing_leaves_no_devkit(
    tmp_path: Path, renders: list[int], monkeypatch: pytest.MonkeyPatch
):
    fetch_voc(settings(tmp_path, "miniworld", seed=1))

    def fail(folder: Path, **_: int) -> None:
        (folder / "VOC2012").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(trackssl.miniworld.voc, "render_devkit", fail)
    with pytest.raises(KeyboardInterrupt):
        fetch_voc(settings(tmp_path, "miniworld", seed=2))
    assert fetch_voc(settings(tmp_path, "miniworld", seed=1)).images("val") == ["drawn_1"]


def test_the_miniworld_never_replaces_another_devkit(tmp_path: Path, renders: list[int]):
    write_devkit(tmp_path / "VOCdevkit")
    with pytest.raises(InputError, match="was not drawn by the miniworld and is left alone"):
        fetch_voc(settings(tmp_path, "miniworld"))
    assert fetch_voc(settings(tmp_path, "devkit")).images("val") == ["a"]


def test_the_command_writes_the_index(tmp_path: Path):
    write_devkit(tmp_path / "VOCdevkit")
    text = json.dumps({"source": "devkit", "devkit": str(tmp_path / "VOCdevkit")})
    out = tmp_path / "index.json"
    ran = CliRunner().invoke(app, ["fetch-voc", "--settings", text, "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    written = json.loads(out.read_text())
    assert written["splits"]["train"] == {"images": ["a"], "objects": 1, "difficult": 0}
    assert written["classes"] == ["dog"]
