import math
import random
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.datasets.voc import Devkit
from trackssl.detection.average_precision import (
    Detections,
    Objects,
    average_precision,
    precision_recall,
)
from trackssl.detection.detection_files import read_truth, score_folder
from trackssl.errors import InputError
from trackssl.tables import read_csv

RULES = ("area", "11-point")
# A detection is (image, score, box), objects are {image: [(box, difficult)]}; boxes are VOC's.
Found = list[tuple[int, float, list[float]]]
Known = dict[int, list[tuple[list[float], bool]]]


def devkit_rules(detections: Found, objects: Known, min_overlap: float, rule: str) -> float:
    """The devkit's evaluation, one detection and one object at a time, in plain Python."""
    wanted = sum(not difficult for found in objects.values() for _, difficult in found)
    if not wanted:
        return math.nan
    seen = set()
    right = wrong = 0
    recall, precision = [], []
    for image, _, box in sorted(detections, key=lambda detection: -detection[1]):
        best, best_number = -math.inf, -1
        for number, (other, _) in enumerate(objects.get(image, [])):
            width = min(box[2], other[2]) - max(box[0], other[0]) + 1
            height = min(box[3], other[3]) - max(box[1], other[1]) + 1
            if width > 0 and height > 0:
                union = (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
                union += (other[2] - other[0] + 1) * (other[3] - other[1] + 1)
                overlap = width * height / (union - width * height)
                if overlap > best:
                    best, best_number = overlap, number
        if best < min_overlap:
            wrong += 1
        elif not objects[image][best_number][1]:
            if (image, best_number) in seen:
                wrong += 1
            else:
                right += 1
                seen.add((image, best_number))
        if right + wrong:
            recall.append(right / wanted)
            precision.append(right / (right + wrong))
    if rule == "11-point":
        total = 0.0
        for k in range(11):
            above = [p for r, p in zip(recall, precision, strict=True) if r >= k / 10]
            total += max(above, default=0) / 11
        return total
    recall, precision = [0, *recall, 1], [0, *precision, 0]
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))


def random_case(seed: int) -> tuple[Found, Known]:
    """Crowded images with repeats, difficult objects, equal scores and images without objects."""
    draw = random.Random(seed)
    fraction = draw.choice([0, 0, 0.25, 0.1])  # of a pixel

    def box() -> list[float]:
        x, y = draw.randint(1, 30), draw.randint(1, 30)
        return [x + fraction, y, x + draw.randint(1, 30), y + draw.randint(0, 30) + fraction]

    objects = {
        image: [(box(), draw.random() < 0.3) for _ in range(draw.randint(0, 5))]
        for image in range(draw.randint(1, 8))
    }
    detections = []
    for image, known in objects.items():
        boxes = [box() for _ in range(draw.randint(0, 4))]
        for (x0, y0, x1, y1), _ in known:
            for _ in range(draw.randint(0, 2)):
                dx, dy = draw.randint(-2, 2), draw.randint(-2, 2)
                boxes.append([x0 + dx, y0 + dy, max(x0 + dx, x1 + 2), max(y0 + dy, y1 + 2)])
        detections += [(image, float(draw.randint(0, 15)), b) for b in boxes]
    draw.shuffle(detections)
    return detections, objects


def as_arrays(detections: Found, objects: Known) -> tuple[Detections, Objects]:
    flat = [(i, box, hard) for i, found in sorted(objects.items()) for box, hard in found]
    edges = [1, 1, 0, 0]
    return (
        Detections(
            np.array([d[0] for d in detections], int),
            np.array([d[1] for d in detections], float),
            np.array([d[2] for d in detections], float).reshape(-1, 4) - edges,
        ),
        Objects(
            np.array([i for i, _, _ in flat], int),
            np.array([box for _, box, _ in flat], float).reshape(-1, 4) - edges,
            np.array([hard for _, _, hard in flat], bool),
        ),
    )


def ap(detections: Found, objects: Known, rule: str = "area", min_overlap: float = 0.5) -> float:
    return average_precision(precision_recall(*as_arrays(detections, objects), min_overlap), rule)


@pytest.mark.parametrize("min_overlap", [0.5, 0.3])
def test_a_thousand_random_cases_are_what_the_devkits_rules_give(min_overlap: float):
    values = set()
    for seed in range(1000):
        case = random_case(seed)
        for rule in RULES:
            expected = devkit_rules(*case, min_overlap, rule)
            assert ap(*case, rule, min_overlap) == pytest.approx(expected, abs=1e-9, nan_ok=True)
            values.add(round(expected, 3))
    assert len(values) > 300


def test_an_overlap_of_exactly_the_limit_is_right():
    detections = [(0, 1.0, [1, 1, 10, 10])]
    assert ap(detections, {0: [([1, 1, 10, 20], False)]}) == 1.0
    assert ap(detections, {0: [([1, 1, 10, 21], False)]}) == 0.0
    assert ap(detections, {0: [([1, 1, 10, 30], False)]}, min_overlap=1 / 3) == 1.0


def test_a_box_without_overlap_is_wrong_at_any_limit():
    elsewhere = [(0, 1.0, [50, 50, 60, 60]), (1, 0.9, [1, 1, 10, 10])]
    objects = {0: [([1, 1, 10, 10], False)], 1: []}
    assert ap(elsewhere, objects, min_overlap=0.0) == 0.0
    assert ap([*elsewhere, (0, 0.1, [9, 9, 30, 30])], objects, min_overlap=0.0) == 1 / 3


def test_three_of_ten_objects_reach_the_point_of_three_tenths():
    objects = {image: [([1, 1, 9, 9], False)] for image in range(10)}
    detections = [(image, 1.0, [1, 1, 9, 9]) for image in range(3)]
    assert ap(detections, objects, "11-point") == pytest.approx(4 / 11)
    assert ap(detections, objects, "area") == pytest.approx(0.3)


BOXES = st.tuples(*[st.integers(1, 12)] * 2, *[st.integers(0, 8)] * 2).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)
FOUND = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4).map(float), BOXES), max_size=12)
KNOWN = st.fixed_dictionaries(
    {image: st.lists(st.tuples(BOXES, st.booleans()), max_size=4) for image in range(3)}
)
FAR = [901, 901, 950, 950]
properties = settings(max_examples=150, deadline=None, derandomize=True)
same = pytest.approx


@properties
@given(FOUND, KNOWN, st.sampled_from(RULES), st.randoms(use_true_random=False))
def test_the_order_of_the_file_decides_between_equal_scores_only(found, known, rule, draw):
    mixed = draw.sample(found, len(found))
    assert ap(mixed, known, rule) == same(devkit_rules(mixed, known, 0.5, rule), nan_ok=True)
    apart = [(image, n / 7, box) for n, (image, _, box) in enumerate(found)]
    mixed = draw.sample(apart, len(apart))
    assert ap(mixed, known, rule) == same(ap(apart, known, rule), nan_ok=True)


@properties
@given(FOUND, KNOWN, st.sampled_from(RULES))
def test_repeats_at_the_end_change_nothing_and_at_the_front_never_help(found, known, rule):
    before = ap(found, known, rule)
    repeats = [(image, score - 10, box) for image, score, box in found]
    assert ap(found + repeats, known, rule) == same(before, nan_ok=True)
    twice = [detection for detection in found for _ in range(2)]
    assert not ap(twice, known, rule) > before + 1e-12


@properties
@given(FOUND, KNOWN, st.sampled_from(RULES), st.lists(st.integers(0, 9), max_size=4))
def test_what_belongs_to_a_difficult_object_counts_neither_way(found, known, rule, scores):
    before = ap(found, known, rule)
    harder = known | {1: [*known[1], (FAR, True)]}
    more = found + [(1, float(score), FAR) for score in scores]
    assert ap(more, harder, rule) == same(before, nan_ok=True)


@properties
@given(FOUND, KNOWN, st.sampled_from(RULES))
def test_classes_without_objects_or_detections(found, known, rule):
    hard = {image: [(box, True) for box, _ in objects] for image, objects in known.items()}
    assert math.isnan(ap(found, hard, rule))
    assert math.isnan(ap(found, {}, rule))
    easy = {image: [(box, False) for box, _ in objects] for image, objects in known.items()}
    assert ap([], {**easy, 3: [(FAR, False)]}, rule) == 0
    assert 0 <= ap(found, {**easy, 3: [(FAR, False)]}, rule) < 1


@properties
@given(KNOWN, st.sampled_from(RULES))
def test_every_object_found_exactly_is_one(known, rule):
    apart = {
        image: [([x0 + 50 * n, y0, x1 + 50 * n, y1], hard) for n, ((x0, y0, x1, y1), hard) in rows]
        for image, rows in ((image, enumerate(objects)) for image, objects in known.items())
    }
    found = [(image, 1.0, box) for image, objects in apart.items() for box, _ in objects]
    apart[5] = [(FAR, False)]
    assert ap([*found, (5, 2.0, FAR)], apart, rule) == same(1)


def test_a_tenth_of_voc_2007_takes_under_two_seconds(tmp_path: Path):
    """495 images, 20 classes, 50,000 detections, from files to AP."""
    draw = np.random.default_rng(0)
    devkit = Devkit(tmp_path, 2007)
    for path in (devkit.annotation_path("x"), devkit.list_path("test")):
        path.parent.mkdir(parents=True)
    images = [f"{number:06d}" for number in range(495)]
    devkit.list_path("test").write_text("\n".join(images))
    lines: list[list[str]] = [[] for _ in range(20)]
    for image in images:
        objects = []
        corners = draw.integers(1, 400, (3, 2))
        for (x, y), label in zip(corners.tolist(), draw.integers(0, 20, 3).tolist(), strict=True):
            objects.append(
                f"<object><name>c{label}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
                f"<xmax>{x + 50}</xmax><ymax>{y + 50}</ymax></bndbox></object>"
            )
            lines[label].append(f"{image} {draw.random()} {x + 3} {y} {x + 50} {y + 49}\n")
        size = "<size><width>500</width><height>500</height></size>"
        text = f"<annotation>{size}{''.join(objects)}</annotation>"
        devkit.annotation_path(image).write_text(text)
    for label, rows in enumerate(lines):
        missing = 2500 - len(rows)
        which = draw.integers(0, len(images), missing)
        corners = draw.uniform(1, 400, (missing, 2))
        for image, (x, y), score in zip(which, corners, draw.random(missing), strict=True):
            rows.append(f"{images[image]} {score:.6f} {x:.2f} {y:.2f} {x + 60:.2f} {y + 60:.2f}\n")
        (tmp_path / f"comp3_det_test_c{label}.txt").write_text("".join(rows))
    start = time.process_time()
    results = score_folder(tmp_path, read_truth(devkit, "test"), "test", "11-point")
    assert time.process_time() - start < 2
    assert sum(result.detections for result in results) == 50_000
    assert sum(result.objects for result in results) == 3 * 495
    assert all(0 < result.ap < 1 for result in results)


@pytest.mark.real_data
def test_the_published_figure_of_the_seven_images(real_data: Path, write_devkit, tmp_path: Path):
    """24.57 % at IoU .3 holds with corners x, y, x + w, y + h, all of them inside the box."""
    folder = real_data / "ap_eval"
    images, lines = {}, []
    for path in sorted((folder / "toy7_groundtruths").glob("*.txt")):
        rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
        boxes = [corners(*map(float, row[1:])) for row in rows]
        images[path.stem] = (500, 500, [("person", box, False) for box in boxes])
    for path in sorted((folder / "toy7_detections").glob("*.txt")):
        for row in (line.split() for line in path.read_text().splitlines() if line.strip()):
            box = " ".join(map(str, corners(*map(float, row[2:]))))
            lines.append(f"{path.stem} {row[1]} {box}\n")
    devkit = write_devkit({"val": images})
    (tmp_path / "comp3_det_val_person.txt").write_text("".join(lines))
    (result,) = score_folder(tmp_path, read_truth(devkit, "val"), "val", "area", 0.3)
    assert 100 * result.ap == pytest.approx(24.57, abs=0.005)
    assert (result.objects, result.detections) == (15, 24)


def corners(x: float, y: float, width: float, height: float) -> tuple[float, ...]:
    return (x, y, x + width, y + height)


@pytest.mark.real_data
def test_real_detections_of_85_images(real_data: Path, write_devkit, tmp_path: Path):
    folder = real_data / "ap_eval" / "voc85_text"
    images, known, found = {}, {}, {}
    for number, path in enumerate(sorted((folder / "ground-truth").glob("*.txt"))):
        objects = []
        for line in path.read_text().splitlines():
            name, *box = line.removesuffix(" difficult").split()
            box, difficult = tuple(map(float, box)), line.endswith(" difficult")
            objects.append((name, box, difficult))
            known.setdefault(name, {}).setdefault(number, []).append((box, difficult))
        images[path.stem] = (2000, 2000, objects)
        for line in (folder / "detection-results" / path.name).read_text().splitlines():
            name, score, *box = line.split()
            found.setdefault(name, []).append((number, float(score), list(map(float, box))))
    devkit = write_devkit({"val": images})
    ids = list(images)
    for name, rows in found.items():
        text = "".join(f"{ids[i]} {s} {' '.join(map(str, box))}\n" for i, s, box in rows)
        (tmp_path / f"comp4_det_val_{name}.txt").write_text(text)
    truth = read_truth(devkit, "val")
    for rule in RULES:
        results = score_folder(tmp_path, truth, "val", rule)
        assert {r.name for r in results} == set(found)
        for result in results:
            expected = devkit_rules(found[result.name], known.get(result.name, {}), 0.5, rule)
            assert result.ap == pytest.approx(expected, abs=1e-9, nan_ok=True)
        assert sum(not math.isnan(r.ap) for r in results) > 20


@pytest.fixture
def scored(write_devkit, tmp_path: Path) -> tuple[Devkit, Path]:
    """Two dogs, one of them found, and detections of a class that no image shows."""
    dogs = [("dog", (1, 1, 10, 10), False), ("dog", (20, 20, 40, 40), False)]
    devkit = write_devkit({"val": {"a": (50, 50, dogs), "b": (50, 50, [])}})
    folder = tmp_path / "detections"
    folder.mkdir()
    (folder / "comp3_det_val_dog.txt").write_text("a 0.9 1 1 10 10\nb 0.1 1 1 9 9\n\n")
    (folder / "comp3_det_val_cat.txt").write_text("a 0.9 1 1 10 10\n")
    (folder / "comp3_det_train_dog.txt").write_text("nonsense")
    return devkit, folder


def voc_ap(devkit: Devkit, folder: Path, out: Path, *more: object) -> str:
    fixed = ("--detections", folder, "--devkit", devkit.folder, "--split", "val", "--out", out)
    ran = CliRunner().invoke(app, ["voc-ap", *map(str, fixed), *map(str, more)])
    assert (ran.exit_code, ran.exception) == (0, None), ran.output
    return ran.output


def test_the_table_leaves_absent_classes_out_of_the_mean(scored, tmp_path: Path):
    devkit, folder = scored
    out = tmp_path / "ap.csv"
    said = voc_ap(devkit, folder, out, "--year", 2012)
    assert "cat: no object in 'val', left out of the mean" in said
    assert "mean AP 50.00 % (area, IoU 0.5)" in said
    assert out.read_text().splitlines() == [
        "class,ap,objects,detections",
        "cat,,0,1",
        "dog,0.5,2,2",
        "mean,0.5,2,3",
    ]
    assert read_csv(out)["ap"].notna().sum() == 2


def test_a_class_without_a_file_is_named(scored, tmp_path: Path):
    devkit, folder = scored
    (folder / "comp3_det_val_dog.txt").unlink()
    said = voc_ap(devkit, folder, tmp_path / "ap.csv")
    assert "dog: no file of detections, left out of the mean" in said


def test_the_year_names_the_rule_unless_one_is_given(scored, tmp_path: Path):
    devkit, folder = scored
    old = Devkit(devkit.folder, 2007)
    devkit.root.rename(old.root)
    out = tmp_path / "ap.csv"
    for rule, value in ((None, 6 / 11), ("11-point", 6 / 11), ("area", 0.5)):
        voc_ap(old, folder, out, "--year", 2007, *(("--rule", rule) if rule else ()))
        assert read_csv(out)["ap"].tolist()[1:] == pytest.approx([value] * 2)


@pytest.mark.parametrize("name", ["curves.csv", "curves.parquet"])
def test_curves_are_data(scored, tmp_path: Path, name: str):
    devkit, folder = scored
    (folder / "comp3_det_val_dog.txt").write_text(
        "b 0.2 1 1 9 9\na 0.9 1 1 10 10\na 0.5 1 1 10 10\na 0.1 20 20 40 41\n"
    )
    curves = tmp_path / name
    voc_ap(devkit, folder, tmp_path / "ap.csv", "--curves", curves)
    table = pd.read_csv(curves) if name.endswith("csv") else pd.read_parquet(curves)
    assert table.columns.tolist() == ["class", "score", "recall", "precision"]
    assert table["class"].tolist() == ["dog"] * 4
    assert table["score"].tolist() == [0.9, 0.5, 0.2, 0.1]
    assert table["recall"].tolist() == [0.5, 0.5, 0.5, 1]
    assert table["precision"].tolist() == [1, 1 / 2, 1 / 3, 1 / 2]


def test_curves_of_another_name_are_refused_before_anything_is_written(scored, tmp_path: Path):
    devkit, folder = scored
    out = tmp_path / "ap.csv"
    arguments = ("--detections", folder, "--devkit", devkit.folder, "--split", "val", "--out", out)
    ran = CliRunner().invoke(app, ["voc-ap", *map(str, arguments), "--curves", "curves.png"])
    assert isinstance(ran.exception, InputError)
    assert str(ran.exception).startswith("curves.png: curves are written as .parquet or .csv")
    assert not out.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a 0.9 1 1 10", "5 fields, but"),
        ("a 0.9 1 1 10 10 0.9 1 1 10 10", "11 fields, but"),
        ("a", "1 fields, but"),
        ("c 0.9 1 1 10 10", "the image 'c' is not in the split's list"),
        ("a nan 1 1 10 10", "not finite"),
        ("a -inf 1 1 10 10", "not finite"),
        ("a 1e999 1 1 10 10", "not finite"),
        ("a 0.9 1 1 inf 10", "not finite"),
        ("a x 1 1 10 10", "are not five numbers"),
        ("a 0,9 1 1 10 10", "are not five numbers"),
        ("a 0.9 11 1 10 10", "the box ends before it begins"),
        ("\0\xff", "1 fields, but"),
    ],
)
@pytest.mark.parametrize("before", ["", "a 0.9 1 1 10 10\n", "\r\n\n a\t0.9 1 1 10 10 \r\n"])
def test_a_wrong_line_is_named(scored, line: str, words: str, before: str):
    devkit, folder = scored
    path = folder / "comp3_det_val_dog.txt"
    path.write_bytes(f"{before}{line}\n".encode("latin-1"))
    with pytest.raises(InputError) as error:
        score_folder(folder, read_truth(devkit, "val"), "val")
    assert f"{path}, line {before.count(chr(10)) + 1}: " in str(error.value)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_no_files_and_two_of_a_class_are_refused(scored):
    devkit, folder = scored
    truth = read_truth(devkit, "val")
    with pytest.raises(InputError, match=r"holds no file comp\*_det_trainval_"):
        score_folder(folder, truth, "trainval")
    (folder / "comp4_det_val_dog.txt").write_text("")
    with pytest.raises(InputError, match=r"also has comp3_det_val_dog\.txt"):
        score_folder(folder, truth, "val")
