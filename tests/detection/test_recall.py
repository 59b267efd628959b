import json
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.datasets.voc import VocIndex, make_index
from trackssl.detection.proposals import SCHEMA, ProposalFile
from trackssl.detection.recall import proposal_recall
from trackssl.errors import InputError
from trackssl.tables import read_csv

WINDOWS = [
    [[0, 0, 10, 10], [0, 0, 20, 10], [40, 40, 60, 60]],
    [[0, 0, 5, 5]],
    [[0, 0, 5, 5]],
]
OBJECTS = {
    "a": [("cat", (1, 1, 20, 10), False), ("dog", (41, 41, 60, 60), True)],
    "b": [("cat", (1, 1, 60, 60), False)],
    "c": [],
}


def given(folder: Path, write_devkit, objects: dict) -> tuple[VocIndex, ProposalFile]:
    """An index of images of 64 x 64 pixels, and WINDOWS as the proposals of the first ones."""
    images = {name: (64, 64, own) for name, own in objects.items()}
    index = make_index(write_devkit({"val": images}, True), ["val"])
    rows = [
        {"image": name, "width": 64, "height": 64, "boxes": boxes}
        for name, boxes in zip(images, WINDOWS, strict=False)
    ]
    path = folder / "val.arrow"
    with pa.ipc.new_file(str(path), SCHEMA) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
    return index, ProposalFile(path, list(images))


def test_recall_counts_objects_that_the_first_windows_overlap(write_devkit, tmp_path: Path):
    index, proposals = given(tmp_path, write_devkit, OBJECTS)
    table = proposal_recall(index, "val", proposals, 0.6, (1, 2, None))
    assert table["windows"].tolist() == ["1", "2", "all"]
    assert table["recall"].tolist() == [0, 0.5, 0.5]  # IoU .5 with the first, 1 with the second
    assert table["recall_with_difficult"].tolist() == pytest.approx([0, 1 / 3, 2 / 3])
    assert table["best_overlap"].tolist() == pytest.approx(
        [(0.5 + 25 / 3600) / 2, (1 + 25 / 3600) / 2, (1 + 25 / 3600) / 2]
    )
    assert table["mean_windows"].tolist() == pytest.approx([1, 4 / 3, 5 / 3])
    assert (table["objects"] == 2).all() and (table["objects_with_difficult"] == 3).all()


def test_the_command_prints_and_writes_the_table(small_proposals, tmp_path: Path):
    index, files = small_proposals
    voc, out = tmp_path / "index.json", tmp_path / "recall.csv"
    voc.write_text(json.dumps(index.to_json()))
    arguments = ["--voc", voc, "--split", "val", "--proposals", files["val"].path, "--out", out]
    ran = CliRunner().invoke(app, ["proposal-recall", *map(str, arguments)])
    assert ran.exit_code == 0 and "recall %" in ran.output, ran.output
    written = read_csv(out)
    assert written["recall"].is_monotonic_increasing and written["recall"].iloc[-1] == 1


def test_nothing_but_difficult_objects_is_refused(write_devkit, tmp_path: Path):
    index, proposals = given(tmp_path, write_devkit, {"a": [("cat", (1, 1, 9, 9), True)]})
    with pytest.raises(InputError, match="no object of 'val' counts, all are difficult"):
        proposal_recall(index, "val", proposals)
