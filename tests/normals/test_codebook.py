import numpy as np
import pytest

from trackssl.errors import InputError
from trackssl.normals.codebook import Codebook, decode, fit_codebook, resize_normals
from trackssl.normals.metrics import angles
from trackssl.normals.prepared import Prepared, mirrored


def visible_normals(count: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    normals = rng.normal(size=(count, 3)) * [1, 1, 0.5] - [0, 0, 1]
    normals = normals[normals[:, 2] < 0]
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def codebook() -> Codebook:
    return fit_codebook(visible_normals(20_000), 20)


def test_words_are_unit_and_triangles_cover_what_is_between_them(codebook: Codebook) -> None:
    assert np.linalg.norm(codebook.words, axis=1) == pytest.approx(1)
    assert set(codebook.triangles.ravel()) == set(range(20))
    # Euler: a triangulated disc of V corners, B of them on its rim, has 2 V - 2 - B triangles.
    edges = np.sort(codebook.triangles[:, [[0, 1], [1, 2], [0, 2]]].reshape(-1, 2), axis=1)
    counts = np.unique(edges, axis=0, return_counts=True)[1]
    assert set(counts) == {1, 2}
    assert len(codebook.triangles) == 2 * 20 - 2 - (counts == 1).sum()


def test_no_word_lies_inside_the_cap_of_a_triangle(codebook: Codebook) -> None:
    """Delaunay on the sphere: the circle through a triangle's corners is empty."""
    for corners in codebook.words[codebook.triangles]:
        axis = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        axis *= np.sign(axis @ corners[0])
        assert (codebook.words @ axis).max() <= corners[0] @ axis + 1e-9


def test_codes_are_weights_of_three_words_at_most(codebook: Codebook) -> None:
    codes = codebook.encode(visible_normals(3000))
    assert codes.min() >= 0
    assert codes.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (codes > 0).sum(axis=1).max() <= 3
    assert codebook.encode(codebook.words) == pytest.approx(np.eye(20), abs=1e-4)


def test_a_normal_between_words_comes_back_exactly(codebook: Codebook) -> None:
    rng = np.random.default_rng(0)
    corners = codebook.words[codebook.triangles[rng.integers(len(codebook.triangles), size=500)]]
    inside = (rng.dirichlet([1, 1, 1], 500)[:, :, None] * corners).sum(1)
    inside /= np.linalg.norm(inside, axis=1, keepdims=True)
    assert angles(decode(codebook.encode(inside), codebook.words), inside).max() < 0.05


def test_a_field_comes_back_within_the_codebooks_resolution(prepared: Prepared) -> None:
    """Pixel by pixel only normals beside all triangles are lost; by cells, edges too."""
    for field in prepared.fields("test"):
        known = field[np.isfinite(field[..., 0])][::37]
        book = prepared.codebook
        back = decode(book.encode(known), book.words)
        nearest = np.degrees(np.arccos(np.clip((known @ book.words.T).max(1), -1, 1)))
        errors = angles(back, known)
        assert np.median(errors) < 0.05
        assert errors.mean() < 0.7 * nearest.mean()  # codes are finer than words
        fine = book.encode_grid(field, 60)
        grown = resize_normals(decode(fine, book.words), *field.shape[:2])
        assert np.median(angles(grown, field)) < 2


def test_cells_hold_the_mean_code_of_their_pixels(codebook: Codebook) -> None:
    left, right = visible_normals(50)[:2]
    field = np.where((np.arange(40) < 20)[None, :, None], left, right) * np.ones((30, 1, 1))
    field[:15, :20] = np.nan
    codes = codebook.encode_grid(field, 2)
    assert not codes[0, 0].any()
    assert codes[1, 0] == pytest.approx(codebook.encode(left[None])[0], abs=1e-5)
    assert codes[0, 1] == pytest.approx(codebook.encode(right[None])[0], abs=1e-5)


def test_the_mirror_image_of_a_normal_has_the_other_x() -> None:
    field = visible_normals(100)[:12].reshape(3, 4, 3)
    assert (mirrored(field)[:, 0] == field[:, -1] * [-1, 1, 1]).all()
    assert (mirrored(mirrored(field)) == field).all()


def test_normals_that_are_too_alike_are_told() -> None:
    with pytest.raises(InputError, match="fewer than 40 different"):
        fit_codebook(np.tile([[0.0, 0, -1]], (1000, 1)), 20)
