from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import scipy.io

from trackssl.config import Nyuv2
from trackssl.datasets.fetch_nyuv2 import fetch_nyuv2
from trackssl.datasets.nyuv2 import NyuFile, read_index, read_splits, read_truth
from trackssl.errors import InputError

SHAPES = {"images": (3, 3, 640, 480), "depths": (3, 640, 480), "rawDepths": (3, 640, 480)}


def write_mat(path: Path, **changed: np.ndarray | None) -> Path:
    """A labelled file of three frames: frame k is of colour k, k metres away."""
    with h5py.File(path, "w") as file:
        for name, shape in SHAPES.items():
            kind = np.uint8 if name == "images" else np.float32
            number = np.arange(1, 4).reshape(-1, *[1] * (len(shape) - 1))
            data = changed.get(name, np.broadcast_to(number, shape).astype(kind))
            if data is not None:
                file[name] = data
    return path


def write_splits(path: Path, train: object = (3, 1), test: object = (2,)) -> Path:
    scipy.io.savemat(path, {"trainNdxs": np.c_[train], "testNdxs": np.c_[test]})
    return path


def test_matlabs_columns_become_rows_and_rgb_becomes_bgr(tmp_path: Path) -> None:
    images = np.zeros(SHAPES["images"], np.uint8)
    images[1, 0, 600, 20] = 200  # red, at x 600, y 20
    depths = np.ones(SHAPES["depths"], np.float32)
    depths[1, 600, 20] = 4.5
    with NyuFile(write_mat(tmp_path / "a.mat", images=images, rawDepths=depths)) as frames:
        assert frames.frames == 3
        assert frames.image(2).shape == (480, 640, 3)
        assert frames.image(2)[20, 600].tolist() == [0, 0, 200]
        assert frames.depth(2)[20, 600] == 4.5
        assert frames.depth(3, raw=False)[0, 0] == 3


def no_field(path: Path) -> Path:
    return write_mat(path, depths=None)


def wrong_shape(path: Path) -> Path:
    return write_mat(path, images=np.zeros((3, 3, 480, 640), np.uint8))


def wrong_type(path: Path) -> Path:
    return write_mat(path, images=np.zeros(SHAPES["images"], np.float32))


def unlike_counts(path: Path) -> Path:
    return write_mat(path, depths=np.ones((2, 640, 480), np.float32))


def elsewhere(path: Path) -> Path:
    """A field that would be read from another file."""
    other = write_mat(path.with_name("other.mat"))
    write_mat(path, depths=None)
    with h5py.File(path, "a") as file:
        file["depths"] = h5py.ExternalLink(str(other), "depths")
    return path


def no_hdf5(path: Path) -> Path:
    scipy.io.savemat(path, {"images": np.zeros(3)})
    return path


def cut_off(path: Path) -> Path:
    write_mat(path)
    path.write_bytes(path.read_bytes()[:5000])
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (no_field, "'depths' is missing"),
        (wrong_shape, "'images' is uint8 of shape"),
        (wrong_type, "'images' is float32"),
        (unlike_counts, "unlike numbers"),
        (elsewhere, "'depths' is missing"),
        (no_hdf5, "not a whole HDF5 file"),
        (cut_off, "not a whole HDF5 file"),
        (lambda path: path, "no such file"),
    ],
)
def test_other_files_are_told(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    with pytest.raises(InputError, match=words):
        NyuFile(make(tmp_path / "a.mat"))


def test_a_frame_without_depth_is_told(tmp_path: Path) -> None:
    depths = np.ones(SHAPES["rawDepths"], np.float32)
    depths[1] = np.nan
    path = write_mat(tmp_path / "a.mat", rawDepths=depths)
    with NyuFile(path) as frames, pytest.raises(InputError, match="frame 2 has no depth"):
        frames.depth(2)


def test_splits_are_read_from_both_formats(tmp_path: Path) -> None:
    wanted = {"train": [3, 1], "test": [2]}
    assert read_splits(write_splits(tmp_path / "old.mat"), 3) == wanted
    with h5py.File(tmp_path / "new.mat", "w") as file:
        file["trainNdxs"], file["testNdxs"] = np.array([[3.0, 1.0]]), np.array([[2.0]])
    assert read_splits(tmp_path / "new.mat", 3) == wanted


@pytest.mark.parametrize(
    ("train", "words"),
    [((1, 4), "from 1 to 3"), ((0, 1), "from 1 to 3"), ((1.5,), "from 1"), ((1, 2), "twice")],
)
def test_wrong_splits_are_told(tmp_path: Path, train: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_splits(write_splits(tmp_path / "splits.mat", train), 3)


def test_absent_and_broken_splits_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="official split"):
        read_splits(tmp_path / "none.mat", 3)
    (tmp_path / "broken.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(InputError, match=r"broken\.mat"):
        read_splits(tmp_path / "broken.mat", 3)
    scipy.io.savemat(tmp_path / "half.mat", {"trainNdxs": np.ones((1, 1))})
    with pytest.raises(InputError, match="testNdxs"):
        read_splits(tmp_path / "half.mat", 3)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_published_normals_are_read(tmp_path: Path, kind: type) -> None:
    normal = np.array([0.6, 0, -0.8])
    pixels = np.round((normal + 1) / 2 * np.iinfo(kind).max)  # OpenCV writes BGR: x, y, z
    picture = np.broadcast_to(pixels, (480, 640, 3)).astype(kind).copy()
    picture[:100] = 0
    picture[100:200] = np.iinfo(kind).max // 2
    (tmp_path / "test").mkdir()
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "test" / "00007.png"), picture)
    mask = np.full((480, 640), 255, np.uint8)
    mask[:, :50] = 0
    cv2.imwrite(str(tmp_path / "masks" / "0006.png"), mask)
    found = read_truth(tmp_path, 7)
    assert np.isnan(found[:200]).all() and np.isnan(found[:, :50]).all()
    assert np.abs(found[200:, 50:] - normal).max() < 0.01


def test_normals_passed_on_as_mat_are_read(tmp_path: Path) -> None:
    fields = {
        name: np.full((480, 640), value)
        for name, value in zip(("nx", "ny", "nz"), (0, -1, 0), strict=True)
    }
    valid = np.zeros((480, 640), bool)
    valid[5, 6] = True
    scipy.io.savemat(tmp_path / "nm_000012.mat", {**fields, "depthValid": valid})
    found = read_truth(tmp_path, 12)
    assert found[5, 6].tolist() == [0, -1, 0]
    assert np.isfinite(found).sum() == 3


def test_absent_and_broken_normals_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train/00003\.png"):
        read_truth(tmp_path, 3)
    (tmp_path / "00003.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="not an image that can be decoded"):
        read_truth(tmp_path, 3)
    cv2.imwrite(str(tmp_path / "00003.png"), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(InputError, match="its shape"):
        read_truth(tmp_path, 3)


def test_your_own_files_are_indexed(tmp_path: Path) -> None:
    mat, splits = write_mat(tmp_path / "a.mat"), write_splits(tmp_path / "splits.mat")
    settings = Nyuv2(source="file", mat=str(mat), splits=str(splits))
    index = fetch_nyuv2(settings)
    index.write(tmp_path / "index.json")
    assert read_index(tmp_path / "index.json") == index
    assert index.data == "NYUv2" and index.splits == {"train": [3, 1], "test": [2]}
    with pytest.raises(InputError, match="no normals of frame 3"):
        fetch_nyuv2(settings.model_copy(update={"normals": str(tmp_path)}))
    (tmp_path / "index.json").write_text('{"mat": 3}')
    with pytest.raises(InputError, match="fetch-nyuv2"):
        read_index(tmp_path / "index.json")


def test_drawn_rooms_replace_nothing_of_yours(tmp_path: Path) -> None:
    mat = write_mat(tmp_path / "nyu_depth_v2_labeled.mat")
    splits = write_splits(tmp_path / "splits.mat")
    before = mat.read_bytes()
    settings = Nyuv2(source="miniworld", mat=str(mat), splits=str(splits), train_images=1)
    with pytest.raises(InputError, match="left alone"):
        fetch_nyuv2(settings)
    assert mat.read_bytes() == before
    with pytest.raises(InputError, match=r"source 'miniworld' writes"):
        fetch_nyuv2(settings.model_copy(update={"mat": str(tmp_path / "b.mat")}))
