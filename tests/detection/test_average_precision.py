import math
from pathlib import Path

import numpy as np
import pytest

from trackssl.cli import app
from trackssl.datasets.voc import Devkit
from trackssl.detection.average_precision import Detections, Objects, average_precision
from trackssl.detection.detection_files import score_folder
from trackssl.errors import InputError
from trackssl.tables import read_csv


def devkit_rules(detections: list, objects: dict, min_overlap: float, metric: str) -> float:
    """VOCevaldet.m line by line: (image, score, box) and {image: [(box, difficult)]}."""
    wanted = sum(not difficult for found in objects.values() for _, difficult in found)
    if not wanted:
        return math.nan
    seen = set()
    tp, fp = [], []
    for image, _, box in sorted(detections, key=lambda detection: -detection[1]):
        best, best_number = -math.inf, -1
        for number, (other, _) in enumerate(objects.get(image, [])):
            width = min(box[2], other[2]) - max(box[0], other[0]) + 1
            height = min(box[3], other[3]) - max(box[1], other[1]) + 1
            if width > 0 and height > 0:
                area = (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
                area += (other[2] - other[0] + 1) * (other[3] - other[1] + 1)
                overlap = width * height / (area - width * height)
                if overlap > best:
                    best, best_number = overlap, number
        right = wrong = 0
        if best >= min_overlap:
            if not objects[image][best_number][1]:
                right = (image, best_number) not in seen
                wrong = not right
                seen.add((image, best_number))
        else:
            wrong = 1
        tp.append(right)
        fp.append(wrong)
    tp, fp = np.cumsum(tp), np.cumsum(fp)
    with np.errstate(invalid="ignore"):
        recall, precision = tp / wanted, np.nan_to_num(tp / (tp + fp))
    if metric == "11point":
        return sum(max([0, *precision[recall >= k / 10]]) for k in range(11)) / 11
    mrec, mpre = np.array([0, *recall, 1]), np.array([0, *precision, 0])
    for i in range(len(mpre) - 2, -1, -1):
        mpre[i] = max(mpre[i], mpre[i + 1])
    changes = np.flatnonzero(mrec[1:] != mrec[:-1]) + 1
    return float(((mrec[changes] - mrec[changes - 1]) * mpre[changes]).sum())


def random_case(seed: int) -> tuple[list, dict]:
    """Crowded images with repeats, difficult objects, equal scores and images without objects."""
    rng = np.random.default_rng(seed)

    def box() -> list[float]:
        x, y = rng.integers(1, 30, 2)
        return [float(v) for v in (x, y, x + rng.integers(0, 30), y + rng.integers(0, 30))]

    objects = {
        image: [(box(), bool(rng.random() < 0.3)) for _ in range(rng.integers(0, 6))]
        for image in range(8)
    }
    detections = []
    for image, found in objects.items():
        boxes = [box() for _ in range(rng.integers(0, 5))]
        for known, _ in found:
            boxes += [list(known + np.array([*rng.integers(-2, 3, 2), 2, 2])) for _ in range(2)]
        boxes = [[x0, y0, max(x0, x1), max(y0, y1)] for x0, y0, x1, y1 in boxes]
        detections += [(image, float(rng.integers(0, 15)), b) for b in boxes]
    return detections, objects


def as_arrays(detections: list, objects: dict) -> tuple[Detections, Objects]:
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


@pytest.mark.parametrize("metric", ["area", "11point"])
@pytest.mark.parametrize("min_overlap", [0.5, 0.3])
def test_ap_is_what_the_devkits_rules_give(metric: str, min_overlap: float):
    for seed in range(60):
        case = random_case(seed)
        expected = devkit_rules(*case, min_overlap, metric)
        assert average_precision(*as_arrays(*case), metric, min_overlap) == pytest.approx(
            expected, abs=1e-12, nan_ok=True
        )


def test_an_overlap_of_exactly_the_limit_is_right():
    detections = [(0, 1.0, [1, 1, 10, 10])]
    objects = {0: [([1, 1, 10, 20], False)]}
    assert average_precision(*as_arrays(detections, objects)) == 1.0
    objects = {0: [([1, 1, 10, 21], False)]}
    assert average_precision(*as_arrays(detections, objects)) == 0.0


def test_half_a_million_detections_take_seconds():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 400, (500_000, 2))
    boxes = np.hstack([corners, corners + rng.uniform(20, 100, (500_000, 2))])
    images = rng.integers(0, 5_000, 500_000)
    objects = Objects(np.sort(images[:10_000]), boxes[:10_000], rng.random(10_000) < 0.1)
    assert 0 < average_precision(Detections(images, rng.random(500_000), boxes), objects) < 1


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
    (result,) = score_folder(tmp_path, devkit, "val", "area", 0.3)
    assert 100 * result.ap == pytest.approx(24.57, abs=0.005)
    assert (result.objects, result.detections) == (15, 24)


def corners(x: float, y: float, width: float, height: float) -> tuple[float, ...]:
    return (x, y, x + width, y + height)


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
    results = score_folder(tmp_path, devkit, "val")
    assert {r.name for r in results} == set(found)
    for result in results:
        expected = devkit_rules(found[result.name], known.get(result.name, {}), 0.5, "area")
        assert result.ap == pytest.approx(expected, abs=1e-12, nan_ok=True)
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


def test_the_table_leaves_absent_classes_out_of_the_mean(scored, tmp_path: Path):
    from typer.testing import CliRunner

    devkit, folder = scored
    out = tmp_path / "ap.csv"
    arguments = f"voc-ap --detections {folder} --devkit {devkit.folder} --year 2012 --split val"
    ran = CliRunner().invoke(app, [*arguments.split(), "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    assert "cat: no object in 'val', left out of the mean" in ran.output
    assert out.read_text().splitlines() == [
        "class,ap,objects,detections",
        "cat,,0,1",
        "dog,0.5,2,2",
        "mean,0.5,2,3",
    ]
    assert read_csv(out)["ap"].notna().sum() == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a 0.9 1 1 10", "5 fields, but"),
        ("c 0.9 1 1 10 10", "the image 'c' is not in the split's list"),
        ("a nan 1 1 10 10", "not finite"),
        ("a x 1 1 10 10", "are not five numbers"),
        ("a 0.9 11 1 10 10", "the box ends before it begins"),
    ],
)
def test_a_wrong_line_is_named(scored, line: str, words: str):
    devkit, folder = scored
    path = folder / "comp3_det_val_dog.txt"
    path.write_text(f"a 0.9 1 1 10 10\n{line}\n")
    with pytest.raises(InputError) as error:
        score_folder(folder, devkit, "val")
    assert f"{path}, line 2: " in str(error.value)
    assert words in str(error.value)


def test_no_files_and_two_of_a_class_are_refused(scored):
    devkit, folder = scored
    with pytest.raises(InputError, match=r"holds no file comp\*_det_trainval_"):
        score_folder(folder, devkit, "trainval")
    (folder / "comp4_det_val_dog.txt").write_text("")
    with pytest.raises(InputError, match=r"also has comp3_det_val_dog\.txt"):
        score_folder(folder, devkit, "val")
