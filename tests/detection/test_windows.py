import numpy as np
import pytest

from trackssl.boxes import overlaps
from trackssl.config import Finetuning
from trackssl.detection.windows import BACKGROUND, Sampler, Windows
from trackssl.errors import InputError

SETTINGS = Finetuning()


def windows(count: int = 1000, foreground: int = 40) -> Windows:
    """Windows of ten images; the first ones overlap an object of class 1 or 2 by half or more."""
    iou = np.where(np.arange(count) < foreground, 0.5, 0.4999).astype(np.float32)
    return Windows(
        np.arange(count, dtype=np.int32) % 10,
        np.tile(np.float32([0, 0, 9, 9]), (count, 1)),
        (1 + np.arange(count) % 2).astype(np.int32),
        iou,
    )


def test_a_quarter_of_a_batch_is_foreground():
    sampler = Sampler(windows(), SETTINGS, seed=0)
    batch = sampler.draw(5)
    foreground = batch.rows < 40
    assert len(batch.rows) == 128
    assert foreground.sum() == 32
    assert (batch.labels[~foreground] == BACKGROUND).all()
    assert np.array_equal(batch.labels[foreground], 1 + batch.rows[foreground] % 2)


def test_batches_depend_on_seed_and_iteration_only():
    one, two = (Sampler(windows(), SETTINGS, seed=3) for _ in range(2))
    one.draw(0)
    assert all(np.array_equal(a, b) for a, b in zip(one.draw(7), two.draw(7), strict=True))
    assert not np.array_equal(one.draw(8).rows, one.draw(7).rows)
    assert not np.array_equal(one.draw(7).rows, Sampler(windows(), SETTINGS, 4).draw(7).rows)


def test_windows_are_drawn_evenly_and_half_are_mirrored():
    sampler = Sampler(windows(100, 20), SETTINGS, seed=0)
    batches = [sampler.draw(iteration) for iteration in range(400)]
    counts = np.bincount(np.concatenate([batch.rows for batch in batches]), minlength=100)
    assert counts[:20] == pytest.approx(400 * 32 / 20, rel=0.2)
    assert counts[20:] == pytest.approx(400 * 96 / 80, rel=0.25)
    assert np.mean([batch.mirrored.mean() for batch in batches]) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("foreground", "kind"), [(0, "foreground"), (9, "background")])
def test_a_set_of_one_kind_is_refused(foreground: int, kind: str):
    with pytest.raises(InputError, match=f"there is no {kind} window"):
        Sampler(windows(9, foreground), SETTINGS, 0)


def test_real_windows_have_their_objects_first(small_proposals):
    from trackssl.detection.windows import collect_windows, image_windows

    index, files = small_proposals
    found = collect_windows(index, "val", files["val"])
    start = 0
    for position, (_, annotation, boxes) in enumerate(image_windows(index, "val", files["val"])):
        rows = slice(start, start := start + len(boxes))
        objects = len(annotation.boxes)
        assert np.array_equal(found.boxes[rows][:objects], annotation.boxes)
        assert (found.images[rows] == position).all()
        assert (found.overlaps[rows][:objects] == 1).all()
        names = [index.classes[label - 1] for label in found.labels[rows][:objects]]
        assert names == list(annotation.classes)
        assert np.array_equal(found.overlaps[rows], overlaps(boxes, annotation.boxes).max(axis=1))
    assert start == len(found.boxes)


def test_real_batches_have_the_shares_and_overlaps_of_r_cnn(small_proposals):
    from trackssl.detection.windows import collect_windows

    index, files = small_proposals
    found = collect_windows(index, "train", files["train"])
    sampler = Sampler(found, SETTINGS, seed=0)
    least, most = 1.0, 0.0
    for iteration in range(50):
        batch = sampler.draw(iteration)
        iou, objects = found.overlaps[batch.rows], batch.labels != BACKGROUND
        assert (len(batch.rows), objects.sum()) == (128, 32)
        assert (iou[objects] >= 0.5).all()
        assert (iou[~objects] < 0.5).all()
        assert np.array_equal(batch.labels[objects], found.labels[batch.rows][objects])
        least, most = min(least, iou[~objects].min()), max(most, iou[~objects].max())
    assert least == 0, "windows that overlap nothing are background too, as in R-CNN"
    assert most > 0.4
