import cv2
import numpy as np
import pytest

from trackssl.errors import InputError
from trackssl.images import encode_jpeg
from trackssl.lettering import shortened, text_width, write_text_on
from trackssl.pairs import store
from trackssl.pairs.sheet import GAP_PX, LINE_PX, WITHIN_PX, contact_sheet, write_sheet

SIDE = 40


def shard(path, count: int) -> store.PairShard:
    """Pairs whose first patch is red and whose second is blue."""
    red, blue = (np.full((SIDE, SIDE, 3), c, np.uint8) for c in ((0, 0, 255), (255, 0, 0)))
    values = dict.fromkeys(store.SCHEMA.names, 1.0)
    boxes = {"first_box": (0.0, 0.0, 40.0, 40.0), "last_box": (0.0, 0.0, 40.0, 40.0)}
    jpegs = {"first_jpeg": encode_jpeg(red), "last_jpeg": encode_jpeg(blue)}
    whole = {"points": 9, "moving_points": 4}
    pairs = [
        store.Pair(**values | boxes | jpegs | whole | {
            "video": f"a_long_name_of_video_{k}", "first_frame": 18 * k, "last_frame": 18 * k + 30,
        })
        for k in range(count)
    ]  # fmt: skip
    store.write_pairs(path, pairs, {}, {})
    return store.PairShard(path)


@pytest.mark.parametrize(("count", "across", "down"), [(1, 1, 1), (3, 2, 2), (9, 2, 2)])
def test_each_pair_has_its_place_and_a_line_below(tmp_path, count, across, down):
    sheet = contact_sheet(shard(tmp_path / "p.arrow", count), 2, 2, SIDE, 0)
    wide, high = 2 * SIDE + WITHIN_PX + GAP_PX, SIDE + LINE_PX + GAP_PX
    assert sheet.shape == (down * high + GAP_PX, across * wide + GAP_PX, 3)
    assert sheet[GAP_PX, GAP_PX] == pytest.approx((0, 0, 255), abs=5)
    assert sheet[GAP_PX, GAP_PX + SIDE + WITHIN_PX] == pytest.approx((255, 0, 0), abs=5)
    assert (sheet[GAP_PX : GAP_PX + SIDE, GAP_PX + SIDE] == 255).all()  # the gap within
    caption = sheet[GAP_PX + SIDE : GAP_PX + SIDE + LINE_PX]
    assert caption[:, GAP_PX:wide].min() < 150
    assert (caption[:, :GAP_PX] == 255).all() and (caption[:, wide : wide + GAP_PX] == 255).all()


def test_a_shard_without_pairs_is_refused(tmp_path):
    with pytest.raises(InputError, match="no pairs"):
        write_sheet(shard(tmp_path / "p.arrow", 0).path, tmp_path / "s.png", 2, 2, SIDE, 0)
    assert not (tmp_path / "s.png").exists()


def test_the_sheet_is_a_png_and_the_same_for_one_seed(tmp_path):
    pairs = shard(tmp_path / "p.arrow", 9).path
    write_sheet(pairs, tmp_path / "a.png", 2, 2, 96, 1)
    write_sheet(pairs, tmp_path / "b.png", 2, 2, 96, 1)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert cv2.imread(str(tmp_path / "a.png")) is not None


def test_text_that_is_too_long_keeps_its_ends_and_its_width():
    text = "a_long_name_of_video_7"
    short = shortened(text, 80)
    assert short.startswith("a_") and short.endswith("7") and "…" in short
    assert text_width(short) <= 80 < text_width(text)
    assert shortened("b", 80) == "b"


@pytest.mark.parametrize("place", [(-5, 10), (90, 10), (5, -3), (5, 200), (-500, 5)])
def test_text_at_an_edge_is_cut_off_there(place):
    image = np.zeros((20, 100, 3), np.uint8)
    write_text_on(image, place, "cut off", (255, 255, 255))
    inside = place[0] in (-5, 90)
    assert (image.max() > 100) == inside
