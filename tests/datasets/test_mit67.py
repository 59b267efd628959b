import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.config import Scenes
from trackssl.datasets.fetch_mit67 import CHECKSUMS, fetch_mit67
from trackssl.datasets.image_index import read_image_index
from trackssl.datasets.mit67 import LISTS, read_list, read_tree
from trackssl.errors import InputError
from trackssl.files import file_sha256
from trackssl.images import read_image

LINES = {
    "train": ["bar/a.jpg", "garage/Garage inside.jpg"],
    "test": ["bar/b, c.jpg", "garage/d.jpg"],
}
PIXELS = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8), (0, 0), 3
)
Write = Callable[..., Path]


def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
    """The picture as Pillow writes it."""
    file = io.BytesIO()
    Image.fromarray(PIXELS[..., ::-1]).convert(mode).save(file, kind, **options)
    return file.getvalue()


JPEG = encoded("JPEG", quality=95)


@pytest.fixture
def write_tree(tmp_path: Path) -> Write:
    """Write a tree of the lines given, its files by name, and its lists."""

    def write(
        lines: dict[str, list[str]] = LINES,
        files: dict[str, bytes] | None = None,
        end: str = "\n",
        folder: str = "tree",
    ) -> Path:
        root = tmp_path / folder
        names = {name: JPEG for listed in lines.values() for name in listed} | (files or {})
        for name, data in names.items():
            path = root / "Images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for split, file in LISTS.items():
            (root / file).write_bytes(end.join(lines[split]).encode())
        return root

    return write


@pytest.mark.real_data
def test_the_official_lists_parse(real_data: Path):
    names = {"TrainImagesNo.txt": 5360, "TestImages.txt": 1340}
    listed = {name: read_list(real_data / "mit67" / name) for name in names}
    assert {name: len(found) for name, found in listed.items()} == names
    classes = [{label for label, _ in found} for found in listed.values()]
    assert classes[0] == classes[1]
    assert len(classes[0]) == 67
    assert ("garage", "Garage inside.jpg") in listed["TrainImagesNo.txt"]
    prefixed = read_list(real_data / "mit67" / "TrainImagesYes.txt")  # lines begin with Images/
    assert set(prefixed) <= set(listed["TrainImagesNo.txt"])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_names_with_spaces_and_commas_are_read_in_the_lists_order(write_tree: Write, end: str):
    root = write_tree(end=end)
    index = read_tree(root, "mine")
    assert (index.name, index.classes) == ("mine", ["bar", "garage"])
    for split, lines in LINES.items():
        assert index.splits[split].paths == [root / "Images" / line for line in lines]
        np.testing.assert_array_equal(index.splits[split].labels, [[1, -1], [-1, 1]])


def test_capital_letters_may_differ_unless_two_files_fit(write_tree: Write):
    root = write_tree()
    (root / "Images" / "bar" / "a.jpg").rename(root / "Images" / "bar" / "A.JPG")
    (root / "Images" / "garage").rename(root / "Images" / "Garage")
    paths = read_tree(root, "mine").splits["train"].paths
    assert [path.relative_to(root / "Images").as_posix() for path in paths] == [
        "bar/A.JPG",
        "Garage/Garage inside.jpg",
    ]
    (root / "Images" / "bar" / "a.JPG").write_bytes(JPEG)
    with pytest.raises(InputError, match=r"bar/a\.jpg: is in a list, but the tree has A\.JPG and"):
        read_tree(root, "mine")


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        (encoded("GIF"), 20),
        (encoded("GIF", save_all=True, append_images=[Image.new("RGB", (40, 30))] * 3)[:-30], 20),
        (encoded("PNG"), 0),
        (encoded("BMP"), 0),
        (encoded("WEBP", lossless=True), 0),
        (encoded("JPEG", "CMYK", quality=95), 8),
        (encoded("JPEG", "L", quality=95), None),
    ],
    ids=["gif", "cut gif", "png", "bmp", "webp", "cmyk", "grey"],
)
def test_what_bears_jpg_may_be_something_else(write_tree: Write, data: bytes, tolerance):
    root = write_tree(files={"bar/a.jpg": data})
    found = read_image(read_tree(root, "mine").splits["train"].paths[0]).astype(int)
    assert found.shape == PIXELS.shape
    if tolerance is None:
        assert (found[..., 0] == found[..., 2]).all()
    else:
        assert np.abs(found - PIXELS).max() <= tolerance


def test_the_gif_that_is_cut_needs_more_than_opencv():
    data = encoded("GIF", save_all=True, append_images=[Image.new("RGB", (40, 30))] * 3)[:-30]
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is None


def test_broken_images_are_refused_or_left_out(write_tree: Write):
    lines = LINES | {"train": [*LINES["train"], "bar/more.jpg"]}
    root = write_tree(lines, {"bar/a.jpg": JPEG[:200]})
    with pytest.raises(InputError, match=r"1 of its images cannot be decoded \(.*a\.jpg\).*skip"):
        read_tree(root, "mine")
    index = read_tree(root, "mine", skip_broken=True)
    assert index.name == "mine, 1 broken images left out"
    assert [path.name for path in index.splits["train"].paths] == [
        "Garage inside.jpg",
        "more.jpg",
    ]
    (root / "Images" / "bar" / "more.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="no usable image of the class 'bar'"):
        read_tree(root, "mine", skip_broken=True)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"train": ["bar/a.jpg"]}, "TrainImages.txt: has no usable image of the class 'garage'"),
        ({"test": ["bar/b, c.jpg"]}, "TestImages.txt: has no usable image of the class 'garage'"),
        ({"test": LINES["train"]}, r"a\.jpg: is in TrainImages\.txt and in TestImages\.txt"),
        ({"test": [*LINES["test"], "bar/none.jpg"]}, r"none\.jpg: is in a list, but .* no such"),
        ({"train": ["bar/a.jpg", "bar/a.jpg"]}, "line 2: 'bar/a.jpg' stands in line 1"),
        ({"train": []}, "names no image"),
    ],
)
def test_lists_that_do_not_fit_are_refused(write_tree: Write, lines: dict, message: str):
    root = write_tree()
    for split, listed in lines.items():
        (root / LISTS[split]).write_text("\n".join(listed))
    with pytest.raises(InputError, match=message):
        read_tree(root, "mine")


@pytest.mark.parametrize(
    "line", ["../a.jpg", "bar/../../a.jpg", "/etc/passwd", "a.jpg", "bar/", "bar/..", "bar/a\0.jpg"]
)
def test_a_path_that_leaves_the_tree_is_refused(tmp_path: Path, line: str):
    (tmp_path / "list.txt").write_text(f"bar/a.jpg\n{line}\n")
    with pytest.raises(InputError, match=r"line 2: .* is not of the form class/file"):
        read_list(tmp_path / "list.txt")


def test_a_list_that_is_absent_or_no_text_is_refused(write_tree: Write):
    root = write_tree()
    (root / "TestImages.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"TestImages\.txt: cannot be read as a list"):
        read_tree(root, "mine")
    (root / "TestImages.txt").unlink()
    with pytest.raises(InputError, match=r"TestImages\.txt: cannot be read as a list"):
        read_tree(root, "mine")


@pytest.fixture
def server(write_tree: Write, tmp_path: Path, know: Callable[..., None]) -> Iterator[str]:
    """Address of a folder that holds the archive and the lists."""
    served = write_tree(folder="served")
    with tarfile.open(served / "indoorCVPR_09.tar", "w") as tar:
        tar.add(served / "Images", "Images")
    know()
    handler = partial(SimpleHTTPRequestHandler, directory=served)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}/"
    httpd.shutdown()
    httpd.server_close()


def test_a_download_is_extracted_once_and_its_checksums_written_down(tmp_path: Path, server: str):
    settings = Scenes(folder=str(tmp_path / "mit67"))
    index = fetch_mit67(settings, server)
    assert index.name == "MIT Indoor 67"
    sums = dict(line.split("  ")[::-1] for line in _lines(tmp_path / "mit67" / CHECKSUMS))
    assert sums == {p.name: file_sha256(p) for p in (tmp_path / "served").glob("*.t*")}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mit67", "served"]
    assert fetch_mit67(settings, "http://127.0.0.1:1/").sha256 == index.sha256


def test_another_archive_than_the_config_names_is_refused(tmp_path: Path, server: str):
    settings = Scenes(folder=str(tmp_path / "mit67"), archive_sha256="0" * 64)
    with pytest.raises(InputError, match=r"indoorCVPR_09\.tar: the file's SHA-256 is .*, not 0000"):
        fetch_mit67(settings, server)
    assert not (tmp_path / "mit67").exists()


def test_an_archive_that_leaves_its_folder_is_refused(tmp_path: Path, server: str):
    with tarfile.open(tmp_path / "served" / "indoorCVPR_09.tar", "w") as tar:
        tar.add(tmp_path / "served" / "TrainImages.txt", "../outside.txt")
    with pytest.raises(InputError, match="cannot be extracted"):
        fetch_mit67(Scenes(folder=str(tmp_path / "mit67")), server)
    assert not (tmp_path / "mit67").exists()
    assert not (tmp_path / "outside.txt").exists()


def test_the_command_draws_the_miniature_and_leaves_a_strangers_folder_alone(tmp_path: Path):
    drawn, out = tmp_path / "indoor", tmp_path / "index.json"
    world = f'"source": "miniworld", "train_images": 1, "test_images": 1, "folder": "{drawn}"'
    run = CliRunner().invoke(app, ["fetch-mit67", "--settings", f"{{{world}}}", "--out", str(out)])
    assert run.exit_code == 0, run.output
    index = read_image_index(out)
    assert (index.name, len(index.classes)) == ("miniworld", 10)
    stranger = tmp_path / "mine"
    stranger.mkdir()
    with pytest.raises(InputError, match="was not drawn by the miniworld and is left alone"):
        fetch_mit67(Scenes(source="miniworld", folder=str(stranger)))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()
