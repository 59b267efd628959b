import json
from pathlib import Path

import numpy as np
import pytest

from trackssl.datasets.voc import VOC_CLASSES, Devkit, make_index, parse_annotation, read_index
from trackssl.errors import InputError
from trackssl.images import read_image


def xml(
    box: str = "<xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>20</ymax>", name="dog"
) -> bytes:
    return (
        "<annotation><size><width>30</width><height>20</height></size><object>"
        f"<part><name>head</name><bndbox><xmin>99</xmin></bndbox></part><bndbox>{box}</bndbox>"
        f"<truncated>1</truncated><difficult>0</difficult><name>{name}</name></object></annotation>"
    ).encode()


def corners(x0: object, y0: object, x1: object, y1: object) -> str:
    return f"<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"


def test_a_box_becomes_edges_from_zero_and_parts_are_no_objects():
    found = parse_annotation(xml(), "a.xml")
    assert (found.width, found.height, found.classes) == (30, 20, ("dog",))
    assert found.boxes.tolist() == [[0, 1, 30, 20]]
    assert found.truncated.tolist() == [True]
    assert found.difficult.tolist() == [False]


@pytest.mark.parametrize(
    ("box", "edges"),
    [
        (corners(1.5, 2.25, 10.75, 12), [0.5, 1.25, 10.75, 12]),
        (corners(0, 0, 30, 20), [-1, -1, 30, 20]),
        (corners(1, 1, 30.5, 20.75), [0, 0, 30.5, 20.75]),
        (corners(5, 5, 5, 5), [4, 4, 5, 5]),
    ],
)
def test_fractions_zeros_and_the_last_pixel_are_inside(box: str, edges: list[float]):
    assert parse_annotation(xml(box), "a.xml").boxes.tolist() == [edges]


@pytest.mark.parametrize(
    ("box", "words"),
    [
        (corners(1, 1, 31, 20), "1 1 31 20 lies outside the image of 30 x 20"),
        (corners(1, 1, 30, 21), "lies outside"),
        (corners(-1, 1, 30, 20), "lies outside"),
        (corners(9, 1, 8, 20), "has no area"),
        (corners(1, 9, 8, 7), "has no area"),
        (corners("nan", 1, 8, 7), "<xmin> is 'nan', not a number"),
        (corners(1, 1, 8, ""), "<ymax> is '', not a number"),
    ],
)
def test_a_wrong_box_names_file_and_object(box: str, words: str):
    with pytest.raises(InputError, match=r"a\.xml: object 1 \('dog'\)") as error:
        parse_annotation(xml(box), "a.xml")
    assert words in str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        b"no xml",
        b"",
        b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>',
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>',
        b"<!DOCTYPE a ["
        + b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 40))
        + b"]><annotation>&e39;</annotation>",
        xml()[:-20],
        xml().replace(b"<width>30", b"<width>nan"),
        b"<annotation/>",
        xml(name="../x"),
    ],
)
def test_what_is_no_voc_xml_is_one_sentence(data: bytes):
    with pytest.raises(InputError, match=r"^a\.xml: "):
        parse_annotation(data, "a.xml")


def test_a_wrong_second_object_is_the_one_named():
    good, bad = (xml(corners(1, 1, 8, y)) for y in (8, 99))
    second = bad[bad.index(b"<object>") : -len(b"</annotation>")]
    with pytest.raises(InputError, match=r"a\.xml: object 2 \('dog'\): its box 1 1 8 99 lies out"):
        parse_annotation(good.replace(b"</annotation>", second + b"</annotation>"), "a.xml")


def test_a_class_that_is_not_in_the_list_is_named(tmp_path: Path):
    devkit = small(tmp_path)
    assert make_index(devkit, ["train"], VOC_CLASSES).classes == ("dog",)
    devkit.annotation_path("b").write_bytes(xml(name="dgo"))
    assert make_index(devkit, ["train"]).classes == ("dgo", "dog")
    with pytest.raises(
        InputError, match=r"b\.xml: object 1 \('dgo'\) is of a class not in the list"
    ):
        make_index(devkit, ["train"], VOC_CLASSES)


@pytest.mark.real_data
def test_a_corrupt_photograph_is_named(real_data: Path, tmp_path: Path):
    photographs = Devkit(real_data / "voc" / "VOCdevkit", 2012).root / "JPEGImages"
    whole = next(photographs.glob("*.jpg")).read_bytes()
    path = tmp_path / "a.jpg"
    for data in (b"", b"no image", whole[: len(whole) // 2], whole[: -len(whole) // 4], whole[9:]):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"a\.jpg: this is not an image that can be decoded"):
            read_image(path)


@pytest.mark.real_data
def test_all_real_annotations_read(real_data: Path, tmp_path: Path):
    devkit = Devkit(real_data / "voc" / "VOCdevkit", 2012)
    index = make_index(devkit, ["train", "val"], VOC_CLASSES)
    held = index.splits.values()
    assert index.classes == VOC_CLASSES
    assert [len(split["images"]) for split in held] == [60, 40]
    assert sum(split["objects"] for split in held) == 273
    assert sum(split["difficult"] for split in held) == 38
    path = tmp_path / "index.json"
    path.write_text(json.dumps(index.to_json()))
    assert read_index(path) == index
    areas = [a.boxes for _, a in index.annotations("val")]
    assert np.concatenate(areas).min() >= 0


def test_the_index_changes_with_any_annotation(tmp_path: Path):
    devkit = small(tmp_path)
    before = make_index(devkit, ["train"])
    devkit.annotation_path("b").write_bytes(xml(corners(1, 1, 8, 8)))
    assert make_index(devkit, ["train"]).sha256 != before.sha256


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (lambda d: d.list_path("train").unlink(), "train.txt: cannot be read"),
        (lambda d: d.list_path("train").write_text(""), "the list is empty"),
        (lambda d: d.list_path("train").write_text("a\na\n"), "'a' stands there twice"),
        (lambda d: d.list_path("train").write_text("../a\n"), "'../a' is no image id"),
        (lambda d: d.image_path("a").unlink(), "a.jpg: the image is absent"),
        (lambda d: d.annotation_path("b").unlink(), "b.xml: cannot be read"),
    ],
)
def test_a_broken_devkit_names_the_file(tmp_path: Path, breaks, words: str):
    devkit = small(tmp_path)
    breaks(devkit)
    with pytest.raises(InputError) as error:
        make_index(devkit, ["train"])
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"devkit": 1}'])
def test_another_file_is_no_index(tmp_path: Path, text: str):
    path = tmp_path / "index.json"
    path.write_text(text)
    with pytest.raises(InputError, match="cannot be read as a VOC index"):
        read_index(path)


def small(folder: Path) -> Devkit:
    devkit = Devkit(folder, 2012)
    for image in "ab":
        for path in (devkit.annotation_path(image), devkit.image_path(image)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(xml())
    devkit.list_path("train").parent.mkdir(parents=True)
    devkit.list_path("train").write_text("a\nb\n")
    return devkit
