import dataclasses

import cv2
import numpy as np
import pytest

from trackssl.config import Pretraining
from trackssl.images import Image
from trackssl.pairs.augment import Augmentation
from trackssl.pairs.dataset import fit

SIDE = 64


@pytest.fixture
def patch() -> Image:
    """Colour that changes across and down, unlike itself when mirrored."""
    down, across = np.mgrid[0:SIDE, 0:SIDE]
    planes = [60 + 2 * across, 50 + 2 * down, 40 + across + down]
    return np.stack(planes, axis=-1).astype(np.uint8)


def augmented(patch: Image, options: Augmentation, pairs: int = 100) -> np.ndarray:
    """What becomes of a patch at each place of a batch, (pairs, 2, H, H, 3)."""
    draws = options.draw(seed=1, iteration=7, pairs=pairs)
    out = np.empty((pairs, 2, SIDE, SIDE, 3), np.uint8)
    for i in range(pairs):
        for end in range(2):
            draws.augment(patch, i, end, lambda image: fit(image, SIDE), out[i, end])
    return out


def test_nothing_but_mirroring_is_on_by_default(patch: Image) -> None:
    assert Augmentation.of(Pretraining()) == Augmentation(mirror=True)
    same = (augmented(patch, Augmentation()) == patch).all(axis=(2, 3, 4))
    turned = (augmented(patch, Augmentation()) == patch[:, ::-1]).all(axis=(2, 3, 4))
    assert (same ^ turned).all()
    assert 60 < turned.sum() < 140
    assert (augmented(patch, Augmentation(mirror=False)) == patch).all()


def test_the_config_says_what_is_done() -> None:
    settings = Pretraining(mirror=False, colour=0.3, grey_share=0.5, crop_min_area=0.25)
    assert Augmentation.of(settings) == Augmentation(False, 0.3, 0.5, 0.25)


def test_an_option_changes_no_other_options_draws() -> None:
    every = Augmentation(True, 0.4, 0.5, 0.5)
    wanted = every.draw(1, 7, 100)
    off = {"mirror": False, "colour": 0.0, "grey_share": 0.0, "crop_min_area": 1.0}
    fields = {"mirror": "mirror", "colour": "gains", "grey_share": "grey", "crop_min_area": "crops"}
    for option, field in fields.items():
        alone = Augmentation(**{**off, option: getattr(every, option)}).draw(1, 7, 100)  # type: ignore[arg-type]
        for other in dataclasses.fields(alone):
            found = getattr(alone, other.name)
            if other.name == field:
                assert np.array_equal(found, getattr(wanted, field))
            else:
                assert found is None
    for other in (every.draw(2, 7, 100), every.draw(1, 8, 100)):
        assert not np.array_equal(other.gains, wanted.gains)


def test_a_share_of_the_patches_turns_grey_in_three_equal_channels(patch: Image) -> None:
    found = augmented(patch, Augmentation(mirror=False, grey_share=0.3))
    grey = (found[..., 0] == found[..., 1]).all(axis=(2, 3))
    assert 30 < grey.sum() < 90
    luma = cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY)
    assert (found[grey] == luma[..., None]).all()
    assert (found[~grey] == patch).all()
    every = augmented(patch, Augmentation(grey_share=1, colour=0.4))
    assert (every.max(-1) == every.min(-1)).all()


def test_colour_does_what_its_three_gains_say(patch: Image) -> None:
    draws = Augmentation(mirror=False, colour=0.4).draw(1, 7, 100)
    assert draws.gains is not None
    assert draws.gains.min() >= 0.6 and draws.gains.max() <= 1.4
    assert abs(draws.gains.mean() - 1) < 0.05
    found = augmented(patch, Augmentation(mirror=False, colour=0.4)).astype(float)
    weights = np.array([0.114, 0.587, 0.299])
    for i in range(100):
        for end in range(2):
            brightness, contrast, saturation = draws.gains[i, end]
            luma = (patch @ weights)[..., None]
            wanted = luma + saturation * (patch - luma)
            wanted = luma.mean() + contrast * (wanted - luma.mean())
            wanted = (brightness * wanted).clip(0, 255)
            assert np.abs(found[i, end] - wanted).max() <= 2  # rounding of grey


def test_a_crop_is_a_square_of_at_least_that_area(patch: Image) -> None:
    draws = Augmentation(crop_min_area=0.25).draw(1, 7, 1000)
    assert draws.crops is not None
    left, top, side = np.moveaxis(draws.crops, -1, 0)
    assert side.min() >= 0.5 and side.max() <= 1
    assert abs((side**2).mean() - 0.625) < 0.02  # the area is drawn evenly
    assert (left >= 0).all() and (top >= 0).all()
    assert (left + side).max() <= 1 and (top + side).max() <= 1
    found = augmented(patch, Augmentation(mirror=False, crop_min_area=0.25)).astype(int)
    blue, green = found[..., 0], found[..., 1]  # they tell the column and the row
    assert (np.diff(blue, axis=-1) >= 0).all() and (np.diff(green, axis=-2) >= 0).all()
    seen = (blue[..., 0, -1] - blue[..., 0, 0]) / (2 * (SIDE - 1))
    assert np.allclose(seen, side[:100], atol=0.03)


def test_a_crop_of_a_patch_that_is_no_square_stays_inside(patch: Image) -> None:
    found = augmented(patch[:11, :50], Augmentation(crop_min_area=0.01))
    assert found.min() >= patch[:11, :50].min() and found.max() <= patch[:11, :50].max()
