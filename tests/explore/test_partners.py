import numpy as np
import pytest

from trackssl.explore.partners import partner_ranks, partner_table


def test_partners_are_ranked_among_patches_of_other_videos_alone() -> None:
    videos = np.array(["a", "a", "b", "c"])
    first = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    last = np.array([[0, 1], [1, 0], [0, 2], [0, 1]], np.float32)
    ranks, among = partner_ranks(first, last, videos)
    # a0: its partner is at cosine 0, and so are b's and c's: it shares places 1 to 3
    # a1 and b: nothing is nearer, but c's is as near as b's partner; c: a1 and two more are level
    assert ranks.tolist() == [2.0, 1.0, 2.0, 2.5]
    assert among.tolist() == [3, 3, 4, 4]


def test_equal_features_find_their_partners_as_chance_does() -> None:
    videos = np.array([f"video{i}" for i in range(101)])
    same = np.ones((101, 4), np.float32)
    ranks, among = partner_ranks(same, same, videos)
    assert set(ranks) == {51.0}
    table = partner_table(ranks, among, np.ones(101, bool))
    assert table["found_20"] == 0
    assert table["chance_20"] == pytest.approx(100 * 20 / 101)
    assert table["pairs"] == 101


def test_partners_that_are_nearest_are_all_found() -> None:
    features = np.eye(8, dtype=np.float32)
    ranks, among = partner_ranks(features, features, np.array(list("abcdefgh")))
    table = partner_table(ranks, among, np.arange(8) < 3)
    assert (table["pairs"], table["found_1"], table["candidates"]) == (3, 100, 8)
