import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from trackssl.boxes import to_voc
from trackssl.config import Proposals, parse
from trackssl.datasets.voc import VocIndex, make_index
from trackssl.detection.box_files import read_boxes
from trackssl.detection.proposals import ProposalFile, propose_split
from trackssl.errors import InputError

SIZES = {"000012": (90, 60), "b": (64, 64), "empty": (40, 40)}  # width, height
BOXES = {  # edges from 0
    "000012": np.array([[0, 0, 90, 60], [5, 10, 6, 60], [0, 0, 1, 1]], np.float32),
    "b": np.array([[63, 63, 64, 64], [2, 3, 40, 50]], np.float32),
    "empty": np.empty((0, 4), np.float32),
}


@pytest.fixture
def index(write_devkit) -> VocIndex:
    images = {name: (*size, [("dog", (1, 1, 9, 9), False)]) for name, size in SIZES.items()}
    return make_index(write_devkit({"val": images}, True), ["val"])


def published(boxes: np.ndarray) -> np.ndarray:
    """As R-CNN's files have them: y0 x0 y1 x1 from 1, the last pixel included."""
    return to_voc(boxes)[:, [1, 0, 3, 2]].astype(np.float64)


def write_mat(path: Path, boxes: dict[str, np.ndarray]) -> None:
    images, matrices = np.empty((len(boxes), 1), object), np.empty((1, len(boxes)), object)
    for number, (name, own) in enumerate(boxes.items()):
        images[number, 0], matrices[0, number] = name, own
    savemat(path, {"images": images, "boxes": matrices}, do_compression=True)


def write_hdf5(path: Path, boxes: dict[str, np.ndarray]) -> None:
    """Version 7.3: HDF5 behind a header, with references, transposed matrices, text as numbers."""
    with h5py.File(path, "w", userblock_size=512) as file:
        cells: dict[str, list] = {"images": [], "boxes": []}
        for number, (name, own) in enumerate(boxes.items()):
            letters = np.array([[ord(letter)] for letter in name], np.uint16)
            empty = own.size == 0
            content = np.array([0, 4], np.uint64) if empty else own.T
            for key, value, kind in (("images", letters, b"char"), ("boxes", content, b"double")):
                item = file.create_dataset(f"#refs#/{key}{number}", data=value)
                item.attrs["MATLAB_class"] = np.bytes_(kind)
                if key == "boxes" and empty:
                    item.attrs["MATLAB_empty"] = np.uint8(1)
                cells[key].append(item.ref)
        for key, shape in (("images", (1, -1)), ("boxes", (-1, 1))):
            references = np.array(cells[key], h5py.ref_dtype).reshape(shape)
            file.create_dataset(key, data=references, dtype=h5py.ref_dtype)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def write_csv(path: Path, boxes: dict[str, np.ndarray]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["y1", "x0", "y0", "x1", "image"])  # any order
        for name, own in boxes.items():
            writer.writerows([y1, x0, y0, x1, name] for x0, y0, x1, y1 in own.tolist())


def taken(index: VocIndex, file: str, folder: Path, **settings) -> list[np.ndarray]:
    chosen = {"mode": "file", "file": file, "max_windows": None, "min_side_px": 1} | settings
    out = folder / "out.arrow"
    propose_split(index, "val", parse(Proposals, chosen, "proposals"), 1, out, folder / "progress")
    opened = ProposalFile(out, index.images("val"))
    return [opened[number] for number in range(len(opened))]


@pytest.mark.parametrize("write", [write_mat, write_hdf5])
def test_rcnns_boxes_come_through_exactly(index: VocIndex, tmp_path: Path, write):
    theirs = {name: published(own) for name, own in reversed(BOXES.items())}
    write(tmp_path / "voc_val.mat", theirs | {"of_another_split": np.array([[1.0, 1, 9, 9]])})
    found = taken(index, str(tmp_path / "voc_{split}.mat"), tmp_path)
    for boxes, own in zip(found, BOXES.values(), strict=True):
        assert np.array_equal(boxes, own)


def test_boxes_of_a_table_come_through_exactly(index: VocIndex, tmp_path: Path):
    path = tmp_path / "boxes.csv"
    write_csv(path, BOXES)
    with pytest.raises(InputError, match=r"boxes\.csv: holds no boxes of image 'empty'"):
        taken(index, str(path), tmp_path)
    write_csv(path, BOXES | {"empty": np.array([[0.5, 0.25, 39.75, 40]], np.float32)})
    first, second, third = taken(index, str(path), tmp_path / "again")
    assert np.array_equal(first, BOXES["000012"]) and np.array_equal(second, BOXES["b"])
    assert third.tolist() == [[0.5, 0.25, 39.75, 40]]


def test_small_boxes_and_those_beyond_the_number_are_left_out(index: VocIndex, tmp_path: Path):
    write_mat(tmp_path / "x.mat", {name: published(own) for name, own in BOXES.items()})
    cut = taken(index, str(tmp_path / "x.mat"), tmp_path, min_side_px=20, max_windows=1)
    assert [boxes.tolist() for boxes in cut] == [[[0, 0, 90, 60]], [[2, 3, 40, 50]], []]


@pytest.mark.parametrize(
    "box, fault",
    [
        ((2, 3, 65, 50), "lies outside the image of 64 x 64 pixels"),
        ((-1, 3, 40, 50), "lies outside"),
        ((2, 3, float("nan"), 50), "is not made of four numbers"),
        ((2, 3, 2, 50), "has no area"),
    ],
)
def test_a_wrong_box_is_named_by_its_row(index: VocIndex, tmp_path: Path, box, fault):
    wrong = BOXES | {"b": np.array([[0, 0, 9, 9], box], np.float32)}
    for name, write, row in (("x.csv", write_csv, 6), ("x.mat", write_mat, 2)):
        path = tmp_path / name
        write(path, {n: own if write is write_csv else published(own) for n, own in wrong.items()})
        with pytest.raises(InputError, match=rf"{name}: row {row}, a box of image 'b', {fault}"):
            taken(index, str(path), tmp_path / f"of_{name}")
    assert not list(tmp_path.rglob("out.arrow"))


def test_files_of_another_make_are_one_sentence(tmp_path: Path):
    def refused(name: str, match: str) -> None:
        with pytest.raises(InputError, match=match):
            read_boxes(tmp_path / name)

    (tmp_path / "x.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    refused("x.mat", r"x\.mat: cannot be read as MATLAB's cell arrays")
    savemat(tmp_path / "y.mat", {"boxes": np.ones((3, 4))})
    refused("y.mat", "cannot be read as MATLAB's cell arrays 'images' and 'boxes'")
    write_mat(tmp_path / "z.mat", {"a": np.ones((2, 5))})
    refused("z.mat", r"cell 1 of 'boxes' \(image 'a'\) is float64 \(2, 5\)")
    (tmp_path / "x.csv").write_text("image,x0,y0\na,1,2\n")
    refused("x.csv", r"x\.csv: cannot be read as boxes")
    (tmp_path / "y.csv").write_text("image,x0,y0,x1,y1\na,1,2,3,4\n,1,2,3,4\n\n")
    refused("y.csv", "row 3 names no image")
    refused("none.csv", "there is no such file")
    refused("boxes.txt", "from a .csv or a .mat")


def test_the_settings_name_a_file_or_search():
    for wrong in ({"mode": "file"}, {"file": "x.mat"}):
        with pytest.raises(InputError, match=r"mode 'file' needs proposals\.file"):
            parse(Proposals, wrong, "proposals")
