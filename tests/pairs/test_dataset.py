from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from trackssl.errors import InputError
from trackssl.images import encode_jpeg
from trackssl.pairs.dataset import PairDataset
from trackssl.pairs.sets import merge_pairs
from trackssl.pairs.store import Pair, write_pairs

SIDE = 72


def flat(value: int) -> bytes:
    """A patch of one grey, darker in its left half, so that a mirrored one is seen."""
    patch = np.full((SIDE, SIDE, 3), value, np.uint8)
    patch[:, : SIDE // 2] -= 20
    return encode_jpeg(patch)


@pytest.fixture
def pair_list(tmp_path: Path) -> Path:
    """23 pairs of 7 videos in two shards; pair i is grey 30 + 9 i, first and last alike."""
    rows = []
    for shard, count in (("0", 13), ("1", 10)):
        path = tmp_path / f"{shard}.arrow"
        pairs = []
        for row in range(count):
            number = len(rows)
            jpeg = flat(30 + 9 * number)
            box = (0.0, 0.0, float(SIDE), float(SIDE))
            video = f"video{number % 7}"
            pairs.append(Pair(video, number, number + 30, box, box, 9, 9, 9.0, 1.0, jpeg, jpeg))
            rows.append({"shard": str(path), "row": row, "video": video, "first_frame": number})
        write_pairs(path, pairs, {}, {})
    pd.DataFrame(rows).to_parquet(tmp_path / "sets.parquet", index=False)
    return tmp_path / "sets.parquet"


def numbers(patches: torch.Tensor) -> list[int]:
    """Which pairs the patches (B, 3, H, W) are of."""
    bright = patches.float().mean(dim=(1, 2)).amax(dim=1)  # of the brighter half
    return [round((value.item() - 30) / 9) for value in bright]


def test_every_pair_comes_exactly_once_an_epoch(pair_list: Path) -> None:
    dataset = PairDataset(pair_list, 23, 5, SIDE, seed=1)
    seen = [n for batch in dataset.batches(0, 23) for n in numbers(batch.first)]
    assert len(seen) == 5 * 23  # five epochs, and no batch is short
    epochs = [seen[start : start + 23] for start in range(0, len(seen), 23)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(23))
    assert len(set(map(tuple, epochs))) == 5  # each in an order of its own


def test_a_batch_holds_both_patches_and_their_video(pair_list: Path) -> None:
    dataset = PairDataset(pair_list, 23, 5, SIDE, seed=1)
    first, last, videos = dataset.batch(2)
    assert first.shape == last.shape == (5, 3, SIDE, SIDE)
    assert first.dtype == torch.uint8
    assert numbers(first) == numbers(last) == dataset.indices(2).tolist()
    same_video = videos[:, None] == videos
    number = torch.tensor(numbers(first))
    assert torch.equal(same_video, number[:, None] % 7 == number % 7)


def test_the_order_does_not_depend_on_workers_or_where_it_starts(pair_list: Path) -> None:
    dataset = PairDataset(pair_list, 23, 5, SIDE, seed=1)
    wanted = [dataset.batch(k) for k in range(3, 12)]
    for threads in (1, 2, 7):
        fresh = PairDataset(pair_list, 23, 5, SIDE, seed=1)
        for found, batch in zip(fresh.batches(3, 12, threads), wanted, strict=True):
            assert all(map(torch.equal, found, batch))
    other = PairDataset(pair_list, 23, 5, SIDE, seed=2)
    assert not torch.equal(other.batch(3).first, wanted[0].first)


def test_each_patch_is_mirrored_by_a_coin_of_its_own(pair_list: Path) -> None:
    def mirrored(mirror: bool) -> torch.Tensor:
        dataset = PairDataset(pair_list, 23, 23, SIDE, seed=1, mirror=mirror)
        both = torch.stack([torch.stack(batch[:2]) for batch in dataset.batches(0, 20)])
        half = SIDE // 2
        bright = both.float().mean(dim=(3, 4))  # (20, 2, 23, W)
        return bright[..., :half].mean(-1) > bright[..., half:].mean(-1)

    assert not mirrored(False).any()
    first, last = mirrored(True).unbind(1)
    for share in (first, last, first == last):
        assert 0.4 < share.float().mean() < 0.6


def test_a_set_is_the_first_rows_and_all_rows_if_there_are_fewer(pair_list: Path) -> None:
    small = PairDataset(pair_list, 6, 3, SIDE, seed=1)
    assert sorted(n for b in small.batches(0, 2) for n in numbers(b.first)) == list(range(6))
    assert len(PairDataset(pair_list, 1000, 3, SIDE, seed=1)) == 23


def test_the_list_that_merging_writes_is_read(pair_list: Path, tmp_path: Path) -> None:
    merged = tmp_path / "merged.parquet"
    merge_pairs([tmp_path / "0.arrow", tmp_path / "1.arrow"], 5, merged)
    order = pd.read_parquet(merged)["first_frame"].tolist()  # the pairs' numbers
    assert order != sorted(order)
    dataset = PairDataset(merged, 15, 5, SIDE, seed=1)
    seen = [n for batch in dataset.batches(0, 3) for n in numbers(batch.first)]
    assert sorted(seen) == sorted(order[:15])


def test_patches_are_resized_to_the_networks_input(pair_list: Path) -> None:
    for side in (40, 99):
        dataset = PairDataset(pair_list, 23, 5, side, seed=1)
        batch = dataset.batch(0)
        assert batch.first.shape == (5, 3, side, side)
        assert numbers(batch.first) == dataset.indices(0).tolist()


def test_a_bad_patch_is_named_by_shard_and_row(pair_list: Path) -> None:
    path = pair_list.with_name("0.arrow")
    box = (0.0, 0.0, 1.0, 1.0)
    good, bad = flat(99), b"no jpeg"
    pairs = [
        Pair("v", 0, 30, box, box, 9, 9, 9.0, 1.0, good, bad if i == 4 else good) for i in range(13)
    ]
    write_pairs(path, pairs, {}, {})
    dataset = PairDataset(pair_list, 23, 23, SIDE, seed=1)
    with pytest.raises(InputError, match=r"0\.arrow, row 4: this is not an image"):
        list(dataset.batches(0, 1))
    write_pairs(path, pairs[:3], {}, {})
    with pytest.raises(InputError, match=r"0\.arrow: it holds 3 pairs, but the list names row"):
        PairDataset(pair_list, 23, 23, SIDE, seed=1).batch(0)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"0\.arrow: this is not a whole Arrow file"):
        PairDataset(pair_list, 23, 23, SIDE, seed=1).batch(0)


def test_a_bad_list_is_one_sentence(pair_list: Path, tmp_path: Path) -> None:
    columns, text, empty = tmp_path / "columns", tmp_path / "text", tmp_path / "empty"
    pd.DataFrame({"row": [1]}).to_parquet(columns)
    text.write_text("no table")
    pd.read_parquet(pair_list)[:0].to_parquet(empty)
    for path, said in [
        (tmp_path / "absent", "no such list of pairs"),
        (columns, "not a whole list of pairs"),
        (text, "not a whole list of pairs"),
        (empty, "the list holds no pairs"),
    ]:
        with pytest.raises(InputError, match=said) as caught:
            PairDataset(path, 5, 5, SIDE, seed=1)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
