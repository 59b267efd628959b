"""The table of data sets, what it says of the world, and files that are put in place by hand."""

import io
import json
import re
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from torchvision.models import AlexNet_Weights
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.config import Nyuv2, Scenes, Voc
from trackssl.datasets import fetch_nyuv2, overview
from trackssl.datasets.fetch import fetch_voc
from trackssl.datasets.fetch_mit67 import CHECKSUMS, download_tree
from trackssl.datasets.table import TABLE, entries, read_table
from trackssl.datasets.transport import check_address
from trackssl.errors import InputError
from trackssl.files import file_sha256

REPOSITORY = Path(__file__).parents[2]
XML = (
    "<annotation><size><width>9</width><height>9</height></size><object><name>dog</name><bndbox>"
    "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)


def test_the_workflows_table_is_the_packages():
    assert (REPOSITORY / "workflow/datasets.csv").read_bytes() == TABLE.read_bytes()


def test_the_table_names_each_file_once_with_addresses_that_can_be_asked():
    rows = read_table()
    assert len({row.file for row in rows}) == len(rows) >= 14
    for row in rows:
        assert row.licence and row.note and row.version
        for address in row.addresses:
            check_address(address)
            assert address.endswith(f"/{row.file}")
        if row.checksum is None:
            assert "dead" in row.note or "no checksum is known" in row.note
    assert [row.file for row in entries("voc", "2007")] == [
        "VOCtrainval_06-Nov-2007.tar",
        "VOCtest_06-Nov-2007.tar",
    ]


def test_the_table_agrees_with_torchvision():
    (row,) = entries("alexnet")
    assert row.addresses[0] == AlexNet_Weights.IMAGENET1K_V1.url
    assert row.checksum is not None and row.file == f"alexnet-owt-{row.checksum[:8]}.pth"
    assert overview.torch_cache().name == "checkpoints"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("SHA-1,0b25", "SHA-1,0b2", "line 6: 'SHA-1' with .* is no checksum"),
        ("SHA-1,0b25", "CRC,0b25", "line 6: 'CRC' with"),
        ("460032000", "many", "line 2: 'many' is no number of bytes"),
        (",VOC2012test.tar,", ",../VOC2012test.tar,", "line 5: '../VOC2012test.tar' is no file's"),
        ("name,version", "name,year", "line 2: the columns must be name, version, file"),
        (",research,MIT Indoor", ",MIT Indoor", "line 6: the columns must be"),
    ],
)
def test_a_table_that_is_wrong_is_told_by_line(tmp_path: Path, old: str, new: str, said: str):
    text = TABLE.read_text()
    assert old in text
    (tmp_path / "t.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=said):
        read_table(tmp_path / "t.csv")


def run(*arguments: str) -> str:
    ran = CliRunner().invoke(app, list(arguments))
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_the_command_shows_what_is_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, know
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "resources/voc/VOCdevkit/VOC2012").mkdir(parents=True)
    splits = tmp_path / "resources/nyuv2/splits.mat"
    splits.parent.mkdir()
    splits.write_bytes(b"splits")
    know(splits)
    (tmp_path / "color_model.caffemodel.part").write_bytes(b"")
    (tmp_path / "trainlist.txt").write_bytes(b"a 1")
    shown = {}
    for line in run("datasets", "--check").splitlines():
        if found := re.search(
            r" (\S+\.(?:tar|mat|txt|zip|pth|caffemodel)) .* {2}(\S+(?: \S+)*) *$", line
        ):
            shown[found[1]] = found[2]
    assert shown["VOCtrainval_11-May-2012.tar"] == "extracted: resources/voc/VOCdevkit/VOC2012"
    assert shown["VOCtest_06-Nov-2007.tar"] == "no"
    assert shown["splits.mat"] == "right: resources/nyuv2/splits.mat"
    assert shown["color_model.caffemodel"] == "begun: color_model.caffemodel.part"
    assert shown["trainlist.txt"] == "there: trainlist.txt"
    splits.write_bytes(b"others")
    assert "another file: resources/nyuv2/splits.mat" in run("datasets", "--check")


def test_one_file_is_fetched_by_its_name(tmp_path: Path, site, know) -> None:
    data = site.add("gray_model.caffemodel", 1000)
    know()
    arguments = ["fetch-file", "gray_model.caffemodel", "--out", str(tmp_path)]
    said = run(*arguments, "--mirror", site.address)
    got = tmp_path / "gray_model.caffemodel"
    assert got.read_bytes() == data
    assert f"{file_sha256(got)}  {got}" in said
    assert (tmp_path / "gray_model.caffemodel.sha256").read_text() == (
        f"{file_sha256(got)}  gray_model.caffemodel\n"
    )
    run(*arguments, "--mirror", "http://127.0.0.1:1")
    with pytest.raises(InputError, match=r"none\.tar: is not in the table of data sets; it"):
        CliRunner().invoke(app, ["fetch-file", "none.tar"], catch_exceptions=False)


def voc_tar(path: Path, image: str = "a") -> Path:
    root = "VOCdevkit/VOC2012"
    files = {f"{root}/ImageSets/Main/{split}.txt": image for split in ("train", "val")}
    files |= {f"{root}/Annotations/{image}.xml": XML, f"{root}/JPEGImages/{image}.jpg": ""}
    with tarfile.open(path, "w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def test_an_archive_put_in_place_by_hand_is_taken_and_stays(tmp_path: Path, know, capfd) -> None:
    tar = voc_tar(tmp_path / "VOCtrainval_11-May-2012.tar")
    know(tar)
    index = fetch_voc(Voc(devkit=str(tmp_path / "VOCdevkit")), "http://127.0.0.1:1/")
    assert index.images("val") == ["a"]
    assert "is there and taken, not fetched" in capfd.readouterr().err
    assert tar.exists()


def test_another_archive_put_in_place_by_hand_is_told_and_stays(tmp_path: Path, know) -> None:
    tar = voc_tar(tmp_path / "VOCtrainval_11-May-2012.tar")
    know(tar)
    voc_tar(tar, "b")
    with pytest.raises(InputError, match=r"May-2012\.tar: the file's MD5 is .* or remove it"):
        fetch_voc(Voc(devkit=str(tmp_path / "VOCdevkit")), "http://127.0.0.1:1/")
    assert tar.exists() and not (tmp_path / "VOCdevkit").exists()


def test_the_rule_takes_a_file_put_in_place_by_hand(tmp_path: Path, know) -> None:
    """As fetch_voc's shell line gives it, settings as JSON."""
    know(voc_tar(tmp_path / "VOCtrainval_11-May-2012.tar"))
    settings = json.dumps({"source": "download", "devkit": str(tmp_path / "VOCdevkit")})
    out = tmp_path / "index.json"
    run("fetch-voc", "--settings", settings, "--out", str(out))
    assert json.loads(out.read_text())["splits"]["val"]["images"] == ["a"]


def test_lists_put_in_place_by_hand_are_taken_and_what_was_fetched_is_removed(
    tmp_path: Path, know, site, capfd
) -> None:
    know()
    (tmp_path / "TrainImages.txt").write_text("bar/a.jpg\n")
    site.files["TestImages.txt"] = b"bar/b.jpg\n"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        folder = tarfile.TarInfo("Images/bar")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    site.files["indoorCVPR_09.tar"] = archive.getvalue()
    download_tree(tmp_path / "tree", None, site.address)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["TrainImages.txt", "tree"]
    assert len((tmp_path / "tree" / CHECKSUMS).read_text().splitlines()) == 3
    said = capfd.readouterr().err
    assert "TrainImages.txt: is there and taken, not fetched" in said
    assert "TestImages.txt: no checksum of it is known; its SHA-256 is " in said


def test_normals_are_fetched_where_a_folder_of_them_is_named(tmp_path: Path, site, know) -> None:
    know()
    picture = cv2.imencode(".png", np.zeros((480, 640, 3), np.uint8))[1].tobytes()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("nyu_normals_gt/test/00002.png", picture)
        zipped.writestr("nyu_normals_gt/train/00001.png", picture)
        zipped.writestr("masks/0000.png", picture)
    site.files["nyu_normals_gt.zip"] = file.getvalue()
    (entry,) = entries("nyuv2_normals")
    folder = tmp_path / "normals"
    fetch_nyuv2.download_normals(folder, entry.at(site.address))
    found = {str(p.relative_to(folder)) for p in folder.rglob("*.png")}
    assert found == {"test/00002.png", "train/00001.png", "masks/0000.png"}
    assert [path.name for path in tmp_path.iterdir()] == ["normals"]


def test_nyus_files_are_fetched_with_their_checksums(tmp_path: Path, site, know) -> None:
    for name in ("nyu_depth_v2_labeled.mat", "splits.mat"):
        (tmp_path / name).write_bytes(site.add(name, 5000))
    know(*tmp_path.glob("*.mat"))
    for path in tmp_path.glob("*.mat"):
        path.unlink()
    mat, splits = tmp_path / "deep/nyu.mat", tmp_path / "deep/splits.mat"
    settings = Nyuv2(source="download", mat=str(mat), splits=str(splits))
    with pytest.raises(InputError, match="not a whole HDF5 file"):  # noise, but the right noise
        fetch_nyuv2.fetch_nyuv2(settings, site.address)
    assert mat.read_bytes() == site.files["nyu_depth_v2_labeled.mat"]
    splits.write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"splits\.mat: the file's MD5 is"):
        fetch_nyuv2.fetch_nyuv2(settings, site.address)


def test_torchvisions_weights_come_from_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, know
) -> None:
    from trackssl.networks.torchvision_alexnet import read_state

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub/checkpoints/alexnet-owt-7be5be79.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"by hand, but no weights")
    with pytest.raises(InputError, match=r"7be5be79\.pth: the file's SHA-256 is .*, not 7be5be79"):
        read_state(None)
    know(path)
    with pytest.raises(InputError, match=r"7be5be79\.pth: these are not torchvision's AlexNet"):
        read_state(None)


def test_places_follow_the_config(tmp_path: Path) -> None:
    settings = (
        Voc(devkit=str(tmp_path / "v/VOCdevkit")),
        Scenes(folder=str(tmp_path / "m/tree")),
        Nyuv2(mat=str(tmp_path / "n/a.mat"), normals=str(tmp_path / "n/gt")),
    )
    places = {row.file: overview.place_of(row, *settings) for row in read_table()}
    assert places["VOCtest_06-Nov-2007.tar"] == (
        tmp_path / "v/VOCtest_06-Nov-2007.tar",
        tmp_path / "v/VOCdevkit/VOC2007",
    )
    assert places["TestImages.txt"] == (tmp_path / "m/TestImages.txt", tmp_path / "m/tree")
    assert places["nyu_depth_v2_labeled.mat"] == (tmp_path / "n/a.mat", None)
    assert places["nyu_normals_gt.zip"] == (
        tmp_path / "n/nyu_normals_gt.zip",
        tmp_path / "n/gt",
    )
