import numpy as np
import pytest

from trackssl.errors import InputError
from trackssl.normals.metrics import angles, score


def random_fields(images: int, scale: float) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(7)
    fields = []
    for _ in range(images):
        truth = rng.normal(size=(31, 17, 3))
        truth /= np.linalg.norm(truth, axis=2, keepdims=True)
        predicted = truth + scale * rng.normal(size=truth.shape)
        truth[rng.random((31, 17)) < 0.2] = np.nan
        fields.append((predicted, truth))
    return fields


@pytest.mark.parametrize("scale", [1e-5, 0.05, 0.5, 5])
@pytest.mark.parametrize("images", [1, 4])
def test_scores_are_those_of_plain_numpy(scale: float, images: int) -> None:
    fields = random_fields(images, scale)
    found = score(lambda: fields)
    cosines = []
    for predicted, truth in fields:
        unit = predicted / np.linalg.norm(predicted, axis=2, keepdims=True)
        known = ~np.isnan(truth[..., 0])
        cross = np.linalg.norm(np.cross(unit[known], truth[known]), axis=1)
        cosines.append(np.degrees(np.arctan2(cross, (unit[known] * truth[known]).sum(1))))
    plain = np.concatenate(cosines)
    assert found.pixels == len(plain)
    assert found.mean == pytest.approx(plain.mean(), abs=1e-6)
    assert found.median == pytest.approx(np.median(plain), abs=1e-6)
    for name, threshold in (("11_25", 11.25), ("22_5", 22.5), ("30", 30)):
        share = 100 * (plain < threshold).mean()
        assert getattr(found, f"within_{name}") == pytest.approx(share, abs=1e-6)


def test_a_perfect_prediction_has_no_error() -> None:
    fields = [(truth, truth) for _, truth in random_fields(2, 1)]
    fields = [(np.nan_to_num(truth, nan=1.0), truth) for _, truth in fields]
    assert score(lambda: fields)[:5] == (0, 0, 100, 100, 100)


def test_the_opposite_is_180_degrees_away() -> None:
    truth = np.array([[[0.0, 0.6, -0.8]]])
    assert score(lambda: [(-2 * truth, truth)])[:5] == (180, 180, 0, 0, 0)


def test_thresholds_are_strict() -> None:
    truth = np.array([[[1.0, 0, 0]]])
    exactly = np.array([[[np.cos(np.pi / 6), np.sin(np.pi / 6), 0]]])
    error = angles(exactly, truth)[0]
    found = score(lambda: [(exactly, truth)])
    assert found.within_30 == (100 if error < 30 else 0)
    assert found.within_22_5 == 0


def test_memory_does_not_grow_with_the_images() -> None:
    """What is kept between images is two histograms: a long run of images is scored as a stream."""
    alive = []

    def stream():
        for fields in random_fields(1, 0.1) * 500:
            alive.append(1)
            yield fields

    once = score(lambda: random_fields(1, 0.1))
    assert score(stream)._replace(pixels=0) == pytest.approx(once._replace(pixels=0), abs=1e-6)
    assert len(alive) == 1000  # two passes


def test_nothing_known_and_no_direction_are_told() -> None:
    unknown = np.full((2, 2, 3), np.nan)
    with pytest.raises(InputError, match="known normal"):
        score(lambda: [(np.ones((2, 2, 3)), unknown)])
    with pytest.raises(InputError, match="predict again"):
        score(lambda: [(np.zeros((2, 2, 3)), np.ones((2, 2, 3)))])
