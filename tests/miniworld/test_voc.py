import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest

from trackssl import miniworld
from trackssl.miniworld.objects import CLASSES
from trackssl.miniworld.voc import draw_image, render_devkit


@pytest.fixture(scope="module")
def devkit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("VOCdevkit")
    render_devkit(folder, 2012, train_images=30, test_images=20, seed=5)
    return folder / "VOC2012"


@pytest.fixture(scope="module")
def drawn():
    return [draw_image(0, split, index) for split in ("train", "val") for index in range(100)]


def lines(devkit, name):
    return (devkit / "ImageSets" / "Main" / f"{name}.txt").read_text().splitlines()


def boxes(devkit, name):
    for item in ElementTree.parse(devkit / "Annotations" / f"{name}.xml").getroot().iter("object"):
        box = item.find("bndbox")
        yield (
            item.findtext("name"),
            item.findtext("difficult") == "1",
            *(int(box.findtext(corner)) for corner in ("xmin", "ymin", "xmax", "ymax")),
        )


def content(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*.*")}


def test_the_same_seed_gives_the_same_bytes_and_more_images_change_none(devkit, tmp_path):
    render_devkit(tmp_path / "again", 2012, 30, 20, 5)
    assert content(tmp_path / "again" / "VOC2012") == content(devkit)
    render_devkit(tmp_path / "fewer", 2012, 3, 2, 5)
    fewer = content(tmp_path / "fewer" / "VOC2012")
    kept = {path: data for path, data in fewer.items() if "ImageSets" not in path.parts}
    assert len(kept) == 10
    assert kept.items() <= content(devkit).items()
    render_devkit(tmp_path / "other", 2012, 3, 2, 6)
    other = content(tmp_path / "other" / "VOC2012")
    assert all(other[path] != data for path, data in kept.items() if path.suffix == ".jpg")


def test_the_lists_name_every_image_once(devkit):
    train, test = lines(devkit, "train"), lines(devkit, "val")
    assert (len(train), len(test)) == (30, 20)
    assert train[0] == "2012_000001"
    assert lines(devkit, "trainval") == train + test
    assert len({*train, *test}) == 50
    assert {path.stem for path in (devkit / "JPEGImages").iterdir()} == {*train, *test}
    assert {path.stem for path in (devkit / "Annotations").iterdir()} == {*train, *test}


def test_the_class_lists_say_what_the_annotations_say(devkit):
    for name in CLASSES:
        for line in lines(devkit, f"{name}_trainval"):
            image, flag = line[:11], line[11:]
            difficult = [item[1] for item in boxes(devkit, image) if item[0] == name]
            assert flag == ("  1" if False in difficult else "  0" if difficult else " -1")


def test_boxes_count_from_one_and_lie_inside_the_image(devkit):
    for name in lines(devkit, "trainval"):
        image = cv2.imread(str(devkit / "JPEGImages" / f"{name}.jpg"))
        assert image.shape == (200, 300, 3)
        for _, _, x0, y0, x1, y1 in boxes(devkit, name):
            assert 1 <= x0 < x1 <= 300
            assert 1 <= y0 < y1 <= 200


def test_a_box_holds_more_edges_than_the_rest_of_its_image(drawn):
    # Objects have drawn edges, backgrounds are out of focus: boxes that miss them would not differ.
    ratios = []
    for image, objects in drawn:
        edges = np.abs(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.CV_32F))
        for item in objects:
            x0, y0, x1, y1 = item.box
            ratios.append(edges[y0 - 1 : y1, x0 - 1 : x1].mean() / edges.mean())
    assert np.median(ratios) > 2
    assert np.mean(np.array(ratios) > 1) > 0.95


def test_every_class_is_in_both_splits_at_the_default_size(drawn):
    for part in (drawn[:100], drawn[100:]):
        names = [item.name for _, objects in part for item in objects if not item.difficult]
        assert all(names.count(name) >= 8 for name in CLASSES)


def test_there_are_truncated_occluded_and_a_few_difficult_objects(drawn):
    items = [item for _, objects in drawn for item in objects]
    assert 0.05 < np.mean([item.truncated for item in items]) < 0.4
    assert 0.05 < np.mean([item.occluded for item in items]) < 0.5
    assert 0.005 < np.mean([item.difficult for item in items]) < 0.15


def test_colour_does_not_tell_the_class(drawn):
    colours, names = [], []
    for image, objects in drawn:
        for item in objects:
            x0, y0, x1, y1 = item.box
            colours.append(image[y0 - 1 : y1, x0 - 1 : x1].mean(axis=(0, 1)))
            names.append(CLASSES.index(item.name))
    x, y = np.array(colours), np.array(names)
    half = len(y) // 2
    means = np.stack([x[:half][y[:half] == k].mean(axis=0) for k in range(len(CLASSES))])
    guess = np.linalg.norm(x[half:, None] - means, axis=2).argmin(axis=1)
    assert np.mean(guess == y[half:]) < 0.22  # chance is 0.10


def test_an_empty_split_still_gives_a_devkit(tmp_path):
    render_devkit(tmp_path, 2012, train_images=1, test_images=0, seed=0)
    assert lines(tmp_path / "VOC2012", "val") == []


def test_the_world_is_the_one_that_its_version_names():
    """Numbers in docs/findings.md are of this version: what changes its pictures must raise it."""
    assert miniworld.VERSION == 1
    image, objects = draw_image(0, "train", 0)
    tiles = cv2.resize(image.mean(axis=2), (6, 4), interpolation=cv2.INTER_AREA)
    expected = [
        [70.9, 67.6, 96.9, 84.5, 84.2, 88.0],
        [96.1, 93.4, 128.5, 157.8, 98.0, 99.0],
        [100.7, 99.4, 102.4, 155.4, 135.4, 131.2],
        [97.1, 109.2, 116.2, 129.3, 135.9, 137.7],
    ]
    np.testing.assert_allclose(tiles, expected, atol=1)
    assert [(item.name, item.box) for item in objects] == [("clock", (199, 89, 267, 150))]
