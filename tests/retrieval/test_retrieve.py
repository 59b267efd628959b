"""From a devkit and feature files to precisions, a picture and the table."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.config import Network, Proposals, Retrieval, Voc
from trackssl.datasets.voc import Devkit, VocIndex, make_index
from trackssl.detection.proposals import ProposalFile, propose_split
from trackssl.errors import InputError
from trackssl.images import read_image
from trackssl.report.voc_retrieval import Row, voc_retrieval_rows
from trackssl.retrieval.retrieve import Side, retrieve
from trackssl.retrieval.sheet import RIGHT, WRONG, choose_queries, retrieval_sheet
from trackssl.retrieval.windows import gallery, queries

# image -> (class, VOC box, difficult) of its objects
TRAIN = {
    "one": [("dog", (1, 1, 20, 20), 0), ("cat", (1, 1, 20, 40), 1)],
    "none": [],
    "two": [("dog", (11, 11, 30, 30), 0)],
}
VAL = {"three": [("cat", (1, 1, 20, 20), 1), ("dog", (5, 5, 24, 24), 0)]}
PROPOSALS = {
    "train": [
        ("one", 0, 0, 20, 21),  # dog .95, cat .53
        ("one", 0, 0, 20, 33),  # dog .61, cat .83
        ("one", 20, 20, 40, 40),  # neither
        ("none", 0, 0, 20, 20),
        ("two", 10, 10, 30, 20),  # exactly .5
        ("two", 10, 10, 30, 21),
    ],
    "val": [("three", 0, 0, 30, 30)],
}


@pytest.fixture
def given(tmp_path: Path) -> tuple[VocIndex, dict[str, ProposalFile]]:
    """A devkit of four images, and proposals whose overlaps are known."""
    devkit = Devkit(tmp_path / "VOCdevkit", 2012)
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (devkit.root / folder).mkdir(parents=True)
    for split, images in (("train", TRAIN), ("val", VAL)):
        devkit.list_path(split).write_text("\n".join(images))
        for image, objects in images.items():
            pixels = np.full((60, 60, 3), 128, np.uint8)
            cv2.imwrite(str(devkit.image_path(image)), pixels)
            corners = ("xmin", "ymin", "xmax", "ymax")
            text = "".join(
                f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>"
                + "".join(f"<{c}>{v}</{c}>" for c, v in zip(corners, box, strict=True))
                + "</bndbox></object>"
                for name, box, difficult in objects
            )
            size = "<size><width>60</width><height>60</height></size>"
            devkit.annotation_path(image).write_text(f"<annotation>{size}{text}</annotation>")
    index = make_index(devkit, ["train", "val"])
    files = {}
    for split, rows in PROPOSALS.items():
        csv = tmp_path / f"{split}.csv"
        csv.write_text("image,x0,y0,x1,y1\n" + "\n".join(",".join(map(str, r)) for r in rows))
        settings = Proposals(mode="file", file=str(csv), min_side_px=1)
        out = tmp_path / f"{split}.arrow"
        propose_split(index, split, settings, 1, out, tmp_path / "progress")
        files[split] = ProposalFile(out, index.images(split))
    return index, files


def test_queries_are_objects_and_the_gallery_is_windows_on_objects(given) -> None:
    index, files = given
    asked = queries(index, "val", files["val"])
    assert asked.rows.tolist() == [1]
    assert [index.classes[label] for label in asked.labels] == ["dog"]
    assert asked.boxes.tolist() == [[4, 4, 24, 24]]
    known = gallery(index, "train", files["train"])
    assert known.rows.tolist() == [2, 3, 8]  # after the two objects of `one`, the one of `two`
    assert [index.classes[label] for label in known.labels] == ["dog", "cat", "dog"]
    assert known.images.tolist() == [0, 0, 2]
    assert known.boxes.tolist()[2] == [10, 10, 30, 21]
    everything = gallery(index, "train", files["train"], 0.0)
    assert len(everything) == 4
    with pytest.raises(InputError, match=r"'train' has no proposal of an IoU above 0\.99"):
        gallery(index, "train", files["train"], 0.99)


def test_too_few_windows_are_refused_and_leave_nothing(given, tmp_path: Path) -> None:
    index, files = given
    for split in ("train", "val"):
        windows = index.splits[split]["objects"] + files[split].windows
        np.save(tmp_path / f"{split}.npy", np.ones((windows, 4), np.float16))
    sides = [Side(split, files[split], tmp_path / f"{split}.npy") for split in ("val", "train")]
    with pytest.raises(InputError, match=r"'train' has 3 windows .* but the 20 nearest"):
        retrieve(index, *sides, Retrieval(), tmp_path / "out.csv", tmp_path / "sheet.png")
    assert not list(tmp_path.glob("*out.csv*")) + list(tmp_path.glob("*sheet.png*"))


def test_the_picture_frames_right_ones_green_and_wrong_ones_red(given) -> None:
    index, files = given
    asked, known = queries(index, "val", files["val"]), gallery(index, "train", files["train"])
    sheet = retrieval_sheet(index, ("val", "train"), asked, known, np.array([[2, 1, 0]]))
    colours = [tuple(colour) for colour in sheet[12].tolist()]
    frames = [colour for colour in colours if colour in (RIGHT, WRONG)]
    assert len(frames) == 3 * 104
    assert frames[::104] == [RIGHT, WRONG, RIGHT]


def test_queries_to_show_are_of_different_classes() -> None:
    labels = np.repeat(np.arange(10), 7)
    chosen = choose_queries(labels)
    assert len(set(labels[chosen])) == 8
    np.testing.assert_array_equal(chosen, choose_queries(labels))
    few = np.repeat([4, 6], [3, 50])
    assert np.bincount(few[choose_queries(few)])[[4, 6]].tolist() == [3, 5]
    assert len(choose_queries(np.array([1, 1]))) == 2


@pytest.mark.real_data
def test_real_images_go_through_the_whole_chain(real_data: Path, tmp_path: Path) -> None:
    """20 real images of training, 8 of testing: the commands, as the rules call them."""
    source = Devkit(real_data / "voc" / "VOCdevkit", 2012)
    devkit = Devkit(tmp_path / "VOCdevkit", 2012)
    (devkit.root / "ImageSets" / "Main").mkdir(parents=True)
    for folder in ("JPEGImages", "Annotations"):
        (devkit.root / folder).symlink_to(source.root / folder)
    for split, count in (("train", 20), ("val", 8)):
        devkit.list_path(split).write_text("\n".join(source.images(split)[:count]))
    index = make_index(devkit, ["train", "val"])
    (tmp_path / "index.json").write_text(json.dumps(index.to_json()))
    voc = ["--voc", str(tmp_path / "index.json")]

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    for split in ("train", "val"):
        # Boxes around each object and beside it, in place of minutes of selective search.
        rows = [
            (image, *(np.clip(box + shift, 0, [*size, *size])))
            for image, annotation in index.annotations(split)
            for box in annotation.boxes
            for size in [(annotation.width, annotation.height)]
            for shift in ([0, 0, 0, 0], [-9, -6, 9, 6], [5, 3, 0, 0])
        ]
        frame = pd.DataFrame(rows, columns=["image", "x0", "y0", "x1", "y1"])
        frame.to_csv(tmp_path / f"{split}.csv", index=False)
        mode = json.dumps({"mode": "file", "file": str(tmp_path / f"{split}.csv")})
        arrow = str(tmp_path / f"{split}.arrow")
        common = [*voc, "--split", split]
        progress = ["--progress", str(tmp_path / "progress")]
        run("propose-windows", *common, "--settings", mode, "--out", arrow, *progress)
        network = Network(width=0.1, input_px=67).model_dump_json()
        chosen = ["--init", "random", "--network", network, "--layer", "pool5", "--threads", "1"]
        features = str(tmp_path / f"{split}.npy")
        run("extract-features", *common, "--proposals", arrow, "--out", features, *chosen)

    out, sheet = tmp_path / "precision.csv", tmp_path / "sheet.png"
    given = [
        *("--queries", "val", "--query-proposals", str(tmp_path / "val.arrow")),
        *("--query-features", str(tmp_path / "val.npy"), "--gallery", "train"),
        *("--gallery-proposals", str(tmp_path / "train.arrow")),
        *("--gallery-features", str(tmp_path / "train.npy"), "--threads", "1"),
    ]
    said = run("retrieve", *voc, *given, "--out", str(out), "--sheet", str(sheet))
    table = pd.read_csv(out)
    objects = index.splits["val"]["objects"] - index.splits["val"]["difficult"]
    assert table["queries"].sum() == objects
    assert f"{objects} queries" in said
    assert table[["p1", "p5", "p10", "p20"]].stack().between(0, 1).all()
    assert read_image(sheet).shape[0] > 8 * 96
    reference = by_plain_sort(index, tmp_path)
    assert np.average(table["p20"], weights=table["queries"]) == pytest.approx(reference)

    (tmp_path / "run.json").write_text('{"name": "real"}')
    row = {"method": "random", "seed": 0, "networks": [], "members": 1, "precision": str(out)}
    made = ["--run", str(tmp_path / "run.json"), "--rows", json.dumps([row])]
    written = ["--out", str(tmp_path / "t.csv"), "--summary", str(tmp_path / "s.csv")]
    run("voc-retrieval", *made, *written)
    results = pd.read_csv(tmp_path / "t.csv").iloc[0]
    assert results["top20_by_query"] == pytest.approx(100 * reference, rel=1e-5)
    assert (results["items"], results["data"], results["paper_value"]) == (objects, "VOC2012", 19)


def by_plain_sort(index: VocIndex, folder: Path) -> float:
    """Share of right ones among the 20 nearest: all cosines at once, in double precision."""
    files = {s: ProposalFile(folder / f"{s}.arrow", index.images(s)) for s in index.splits}
    asked, known = queries(index, "val", files["val"]), gallery(index, "train", files["train"])
    a = np.load(folder / "val.npy")[asked.rows].astype(np.float64)
    b = np.load(folder / "train.npy")[known.rows].astype(np.float64)
    cosines = a @ b.T / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
    found = np.argsort(-np.round(cosines, 9), axis=1, kind="stable")[:, :20]
    return float((known.labels[found] == asked.labels[:, None]).mean())


def test_a_row_is_comparable_with_the_paper_only_at_its_own_protocol(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    values = {"class": ["a", "b"], "queries": [3, 1], "p1": 1.0, "p5": 1.0, "p10": 0.5}
    pd.DataFrame(values | {"p20": [0.25, 0.75]}).to_csv(path, index=False)
    row = Row(method="unsup_8m", seed=0, networks=[], members=1, precision=str(path))
    paper = voc_retrieval_rows([row], "paper", Voc(), Network(), Retrieval())[0]
    assert (paper["comparable"], paper["paper_value"]) == ("true", 40)
    assert (paper["top20_by_query"], paper["top20_by_class"], paper["items"]) == (37.5, 50, 4)
    for other in (
        (Voc(source="miniworld"), Network(), Retrieval()),
        (Voc(year=2007), Network(), Retrieval()),
        (Voc(), Network(input_px=99), Retrieval()),
        (Voc(), Network(), Retrieval(layer="fc7")),
    ):
        assert voc_retrieval_rows([row], "other", *other)[0]["comparable"] == "false"
