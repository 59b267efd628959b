"""Look-alikes in folders of real images."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from textures import texture
from typer.testing import CliRunner, Result

from trackssl.cli import app
from trackssl.errors import InputError
from trackssl.explore.search import in_relation, search
from trackssl.pretraining.embed import Encoder


@pytest.fixture
def photos(tmp_path: Path, real_data: Path) -> Path:
    """Five real photographs in folders, and a smaller copy of one of them."""
    folder = tmp_path / "photos"
    source = sorted(next((real_data / "voc").rglob("JPEGImages")).glob("*.jpg"))[:5]
    for number, path in enumerate(source):
        inner = folder / f"part {number % 2}"
        inner.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, inner / path.name)
    image = cv2.imread(str(source[2]))
    cv2.imwrite(str(folder / "copy.png"), cv2.resize(image, None, fx=0.8, fy=0.8))
    return folder


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["search", *map(str, arguments)])
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.real_data
def test_the_smaller_copy_of_an_image_is_found_first(photos, weights, tmp_path) -> None:
    query = sorted(photos.rglob("*.jpg"), key=lambda path: path.name)[2]
    out = tmp_path / "sheet.png"
    result = run(
        *("--query", query, "--weights", weights, "--images", photos, "--top", 3),
        *("--cache", tmp_path / "cache", "--out", out),
    )
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert lines[0].endswith("copy.png")
    assert float(lines[0].split()[0]) > 0.98
    assert query.name not in result.stdout, "the query itself is not a look-alike"
    assert "5 images searched, 6 computed anew" in lines[3]
    assert cv2.imread(str(out)).shape[1] > 400


@pytest.mark.real_data
def test_a_second_search_computes_only_what_has_changed(photos, weights, tmp_path) -> None:
    encoder, cache = Encoder(weights, "fc7"), tmp_path / "cache"
    query = photos / "copy.png"

    def computed() -> tuple[int, int]:
        matches = search(query, photos, encoder, 9, cache, pytest.fail)
        return matches.searched, matches.computed

    assert computed() == (5, 6)
    assert computed() == (5, 0)
    other = sorted(photos.rglob("*.jpg"))[0]
    cv2.imwrite(str(other), texture(1, 120))
    assert computed() == (5, 1)
    other.unlink()
    assert computed() == (4, 0)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert computed() == (4, 5), "a broken file of features is made anew"


@pytest.mark.real_data
def test_kept_features_are_not_taken_for_another_layer(photos, weights, tmp_path) -> None:
    for layer in ("fc7", "pool5"):
        encoder = Encoder(weights, layer)
        matches = search(photos / "copy.png", photos, encoder, 9, tmp_path / "cache", pytest.fail)
        assert matches.computed == 6


def test_images_of_many_formats_are_found_and_bad_ones_are_named(weights, tmp_path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number, suffix in enumerate(["jpg", "png", "webp", "tiff", "bmp", "gif"]):
        rgb = texture(number, 90)[..., ::-1]
        PIL.Image.fromarray(np.ascontiguousarray(rgb)).save(folder / f"image.{suffix}")
    PIL.Image.fromarray(texture(9, 90)[..., 0]).save(folder / "grey.png")
    (folder / "broken.jpg").write_bytes(b"not an image")
    (folder / "empty.png").touch()
    (folder / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "notes.txt").write_text("not looked at")
    result = run(
        "--query", folder / "image.png", "--weights", weights, "--images", folder,
        "--no-cache", "--top", 99, "--json",
    )  # fmt: skip
    found = json.loads(result.stdout)
    assert found["searched"] == 6
    assert {Path(row["path"]).suffix for row in found["found"]} == {
        ".jpg", ".png", ".webp", ".tiff", ".bmp", ".gif",
    }  # fmt: skip
    assert [row["cosine"] for row in found["found"]] == sorted(
        (row["cosine"] for row in found["found"]), reverse=True
    )
    named = " ".join(found["left_out"])
    for name in ("broken.jpg", "empty.png", "photo.heic", "gone.jpg"):
        assert name in named and name in result.stderr
    assert len(found["left_out"]) == 4


def test_a_cache_that_cannot_be_written_is_done_without(weights, tmp_path) -> None:
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), texture(number))
    (tmp_path / "file").touch()
    encoder = Encoder(weights, "fc7")
    found = search(tmp_path / "0.png", tmp_path, encoder, 3, tmp_path / "file" / "x", pytest.fail)
    assert (found.searched, found.computed) == (1, 2)


@pytest.mark.parametrize(
    ("query", "images", "words"),
    [
        ("nowhere.png", ".", "there is no such image"),
        ("bad.png", ".", "not an image that can be decoded"),
        ("good.png", "nowhere", "there is no such folder of images"),
        ("good.png", "empty", "holds no images"),
        ("good.png", "alone", "no image to be found in it besides the query"),
    ],
)
def test_what_cannot_be_searched_is_said_in_a_sentence(
    weights, tmp_path, query: str, images: str, words: str
) -> None:
    cv2.imwrite(str(tmp_path / "good.png"), texture(0))
    (tmp_path / "bad.png").write_bytes(b"bad")
    for name in ("empty", "alone"):
        (tmp_path / name).mkdir()
    (tmp_path / "alone" / "query.png").symlink_to(tmp_path / "good.png")
    with pytest.raises(InputError, match=words):
        run(
            "--query", tmp_path / query, "--weights", weights, "--images", tmp_path / images,
            "--no-cache",
        )  # fmt: skip


def test_what_all_images_have_in_common_does_not_count() -> None:
    draws = np.random.default_rng(0)
    gallery = draws.normal(0, 1, (50, 6)).astype(np.float32) * (1, 1, 1, 100, 1, 0) + 1000
    wanted, known = in_relation(gallery[:1].astype(np.float32), gallery.astype(np.float32))
    assert np.allclose(known[:, :5].std(axis=0), 1, atol=1e-3)
    assert np.abs(known.mean(axis=0)).max() < 1e-2
    assert not known[:, 5].any(), "what never differs says nothing"
    assert np.array_equal(wanted[0], known[0])
    few = gallery[:9]
    assert in_relation(few[:1], few)[1] is few


@pytest.mark.real_data
def test_real_scenes_of_one_kind_are_alike_more_often_than_by_chance(
    weights, tmp_path, real_data
) -> None:
    folder = real_data / "scenes" / "train"
    encoder = Encoder(weights, "pool5")
    right = []
    for query in sorted(folder.glob("*/*"))[::12]:
        found = search(query, folder, encoder, 5, tmp_path / "cache", pytest.fail).found
        right += [match.path.parent == query.parent for match in found]
    assert np.mean(right) > 1.3 / 8
