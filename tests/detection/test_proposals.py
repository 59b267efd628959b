import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from trackssl.boxes import overlaps
from trackssl.cli import app
from trackssl.config import Proposals
from trackssl.datasets.voc import VocIndex
from trackssl.detection import proposals as module
from trackssl.detection.proposals import ProposalFile, propose, propose_split
from trackssl.errors import InputError
from trackssl.images import read_image
from trackssl.tables import read_csv

FEW = Proposals(max_windows=200)


def test_windows_are_the_same_whatever_was_searched_before(small_voc: VocIndex):
    first, second = small_voc.images("val")
    images = {name: read_image(small_voc.devkit.image_path(name)) for name in (first, second)}
    alone = propose(images[first], first, FEW)
    propose(images[second], second, FEW)
    assert np.array_equal(propose(images[first], first, FEW), alone)
    assert not np.array_equal(propose(images[first], second, FEW), alone)


def test_windows_lie_in_the_image_are_large_and_find_its_objects(small_voc: VocIndex):
    best = []
    for image, annotation in small_voc.annotations("val"):
        pixels = read_image(small_voc.devkit.image_path(image))
        boxes = propose(pixels, image, Proposals())
        height, width = pixels.shape[:2]
        assert (boxes >= 0).all() and (boxes <= [width, height, width, height]).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 20).all()
        assert len(np.unique(boxes, axis=0)) == len(boxes)
        best += overlaps(annotation.boxes, boxes).max(axis=1).tolist()
        assert np.array_equal(propose(pixels, image, FEW), boxes[:200])
    print(f"recall at IoU .5: {np.mean(np.array(best) >= 0.5):.2f} of {len(best)} objects")
    assert min(best) >= 0.5


def test_processes_and_a_kill_change_nothing(
    small_voc: VocIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    one, two = tmp_path / "one.arrow", tmp_path / "two.arrow"
    windows = propose_split(small_voc, "val", FEW, 1, one, tmp_path / "p1")
    assert windows == ProposalFile(one, small_voc.images("val")).windows

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module.pa.ipc, "open_file", kill)  # all searched, none put together
        propose_split(small_voc, "val", FEW, 2, two, tmp_path / "p2")
    with monkeypatch.context() as patch:
        patch.setattr(module, "_propose_image", kill)  # nothing is searched again
        propose_split(small_voc, "val", FEW, 2, two, tmp_path / "p2")
    assert two.read_bytes() == one.read_bytes()
    assert not list(tmp_path.glob("p*"))


def test_an_unreadable_image_is_one_sentence(write_devkit, tmp_path: Path):
    from trackssl.datasets.voc import make_index

    devkit = write_devkit({"val": {"a": (64, 64, [("dog", (1, 1, 9, 9), False)])}}, True)
    index = make_index(devkit, ["val"])
    devkit.image_path("a").write_text("no image")
    with pytest.raises(InputError, match=r"a\.jpg: this is not an image"):
        propose_split(index, "val", FEW, 1, tmp_path / "o.arrow", tmp_path / "progress")
    assert not (tmp_path / "o.arrow").exists()


def test_an_annotation_of_a_larger_image_is_refused(write_devkit, tmp_path: Path):
    from trackssl.datasets.voc import make_index

    devkit = write_devkit({"val": {"a": (64, 64, [("dog", (30, 30, 64, 64), False)])}}, True)
    index = make_index(devkit, ["val"])
    xml = devkit.annotation_path("a")
    xml.write_text(xml.read_text().replace(">64<", ">90<"))
    with pytest.raises(InputError, match=r"a\.xml: describes an image of 90 x 90 .* is 64 x 64"):
        propose_split(index, "val", FEW, 1, tmp_path / "o.arrow", tmp_path / "progress")


def test_other_files_are_no_proposals(small_proposals, tmp_path: Path):
    index, files = small_proposals
    with pytest.raises(InputError, match="not the proposals of this split's 4 images"):
        ProposalFile(files["val"].path, index.images("train"))
    path = tmp_path / "x.arrow"
    path.write_bytes(b"x")
    with pytest.raises(InputError, match="cannot be read as proposals"):
        ProposalFile(path, index.images("val"))


def test_the_command_writes_the_boxes_of_one_image(small_voc: VocIndex, tmp_path: Path):
    name = small_voc.images("val")[0]
    path, out = small_voc.devkit.image_path(name), tmp_path / "boxes.csv"
    ran = CliRunner().invoke(app, ["proposals", str(path), "--out", str(out), "--max-windows", "9"])
    assert ran.exit_code == 0, ran.output
    table = read_csv(out)
    assert list(table.columns) == ["x0", "y0", "x1", "y1"]
    assert np.array_equal(table.to_numpy(), propose(read_image(path), name, Proposals())[:9])


def test_quality_finds_more_windows_the_same_in_every_run(small_voc: VocIndex):
    name = small_voc.images("val")[0]
    image = read_image(small_voc.devkit.image_path(name))
    every = {"max_windows": None, "min_side_px": 1}
    fast = propose(image, name, Proposals(**every))
    quality = propose(image, name, Proposals(mode="quality", **every))
    assert len(quality) > 2 * len(fast)
    assert np.array_equal(propose(image, name, Proposals(mode="quality", **every)), quality)


def test_workers_do_not_import_torch():
    code = "import sys, trackssl.detection.proposals; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
