import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from trackssl.config import Data
from trackssl.errors import InputError
from trackssl.images import decode_image, encode_jpeg
from trackssl.pairs.augment import Augmentation
from trackssl.pairs.dataset import PairDataset
from trackssl.pairs.sets import merge_pairs
from trackssl.pairs.store import Pair, PairShard, write_pairs
from trackssl.randomness import generator

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
        fresh = PairDataset(pair_list, 23, 5, SIDE, seed=1, data=Data(decode_threads=threads))
        for found, batch in zip(fresh.batches(3, 12), wanted, strict=True):
            assert all(map(torch.equal, found, batch))
    other = PairDataset(pair_list, 23, 5, SIDE, seed=2)
    assert not torch.equal(other.batch(3).first, wanted[0].first)


def test_each_patch_is_mirrored_by_a_coin_of_its_own(pair_list: Path) -> None:
    def mirrored(mirror: bool) -> torch.Tensor:
        dataset = PairDataset(pair_list, 23, 23, SIDE, seed=1, augmentation=Augmentation(mirror))
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


def test_order_and_mirror_are_those_of_the_first_release(pair_list: Path) -> None:
    table = pd.read_parquet(pair_list)
    dataset = PairDataset(pair_list, 23, 5, SIDE, seed=3)
    order = np.concatenate([generator(3, "shuffle", e).permutation(23) for e in range(2)])
    for iteration in range(9):
        wanted = order[5 * iteration : 5 * iteration + 5]
        assert dataset.indices(iteration).tolist() == wanted.tolist()
        coins = generator(3, "mirror", iteration).random((5, 2)) < 0.5
        batch = dataset.batch(iteration)
        for i, pair in enumerate(wanted):
            jpegs = PairShard(Path(table["shard"][pair])).jpegs(int(table["row"][pair]))
            for j, jpeg in enumerate(jpegs):
                patch = decode_image(jpeg, "")
                patch = patch[:, ::-1] if coins[i, j] else patch
                assert np.array_equal(batch[j][i].permute(1, 2, 0), patch)


@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_the_parts_of_all_ranks_are_the_batch_of_one(pair_list: Path, ranks: int) -> None:
    every = Augmentation(True, 0.4, 0.5, 0.5)
    dataset = PairDataset(pair_list, 23, 5, SIDE, seed=1, augmentation=every)
    wanted = [dataset.batch(k) for k in range(3, 6)]
    parts = [list(dataset.batches(3, 6, rank, ranks)) for rank in range(ranks)]
    for batch, found in zip(wanted, zip(*parts, strict=True), strict=True):
        assert torch.equal(batch.first, torch.cat([part.first for part in found]))
        assert torch.equal(batch.last, torch.cat([part.last for part in found]))
        assert all(torch.equal(batch.videos, part.videos) for part in found)
        sizes = [len(part.first) for part in found]
        assert sizes == [len(part) for part in np.array_split(range(5), ranks)]


def test_blocks_are_read_ahead_and_change_only_the_order(pair_list: Path) -> None:
    block = Data(shuffle="block", block_pairs=3, mixed_blocks=2)
    dataset = PairDataset(pair_list, 23, 5, SIDE, seed=1, data=block)
    batches = list(dataset.batches(2, 25))
    for iteration, batch in enumerate(batches, 2):
        assert numbers(batch.first) == dataset.indices(iteration).tolist()
        assert all(map(torch.equal, batch, dataset.batch(iteration)))
    seen = [n for k in range(23) for n in dataset.indices(k).tolist()]
    assert all(sorted(seen[start : start + 23]) == list(range(23)) for start in range(0, 115, 23))
    part = list(dataset.batches(2, 5, 1, 2))
    assert [numbers(p.first) for p in part] == [numbers(b.first[3:]) for b in batches[:3]]
    pair_list.with_name("1.arrow").unlink()
    broken = PairDataset(pair_list, 23, 5, SIDE, seed=1, data=block)
    with pytest.raises(InputError, match=r"1\.arrow: there is no such file"):
        list(broken.batches(0, 5))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_a_rank_reads_nothing_of_the_others(pair_list: Path) -> None:
    dataset = PairDataset(pair_list, 23, 23, SIDE, seed=1)
    last = int(dataset.indices(0)[-1])
    pd.read_parquet(pair_list).assign(row=lambda t: t["row"].where(t.index != last, 99)).to_parquet(
        pair_list, index=False
    )
    broken = PairDataset(pair_list, 23, 23, SIDE, seed=1)
    broken.batch(0, rank=0, ranks=2)
    with pytest.raises(InputError, match="the list names row 99"):
        broken.batch(0, rank=1, ranks=2)


def test_more_ranks_than_pairs_and_a_set_below_a_batch_are_refused(pair_list: Path) -> None:
    with pytest.raises(InputError, match=r"5 pairs cannot be shared by 6 processes"):
        PairDataset(pair_list, 23, 5, SIDE, seed=1).batch(0, 0, 6)
    with pytest.raises(InputError, match=r"sets\.parquet: the set holds 4 pairs .* batch of 5;"):
        PairDataset(pair_list, 4, 5, SIDE, seed=1)


def test_an_error_ends_the_batches_at_once_and_leaves_no_thread(pair_list: Path) -> None:
    pd.read_parquet(pair_list).assign(row=99).to_parquet(pair_list, index=False)
    dataset = PairDataset(pair_list, 23, 5, SIDE, seed=1, data=Data(decode_threads=3))
    batches = dataset.batches(0, 1_000_000)
    with pytest.raises(InputError, match="the list names row 99"):
        next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_few_batches_are_decoded_ahead_and_a_reader_may_stop(pair_list: Path) -> None:
    dataset = PairDataset(pair_list, 23, 5, SIDE, seed=1)
    begun: list[int] = []
    begin = dataset._begin

    def counted(iteration: int, rank: int, ranks: int):  # type: ignore[no-untyped-def]
        begun.append(iteration)
        return begin(iteration, rank, ranks)

    dataset._begin = counted  # type: ignore[method-assign]
    batches = dataset.batches(0, 1_000_000)
    for _ in range(4):
        next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert len(begun) == 6
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_a_patch_that_claims_to_be_huge_is_not_decoded(pair_list: Path) -> None:
    jpeg = flat(99)
    at = jpeg.index(b"\xff\xc0")  # height and width follow 5 bytes later
    huge = jpeg[: at + 5] + (60_000).to_bytes(2, "big") * 2 + jpeg[at + 9 :]
    box = (0.0, 0.0, 1.0, 1.0)
    write_pairs(
        pair_list.with_name("0.arrow"),
        [Pair("v", 0, 30, box, box, 9, 9, 9.0, 1.0, jpeg, huge)] * 13,
        {},
        {},
    )
    dataset = PairDataset(pair_list, 23, 23, SIDE, seed=1)
    with pytest.raises(InputError, match=r"0\.arrow, row \d+: the patch claims 60000 x 60000 px"):
        dataset.batch(0)


def test_a_bad_patch_is_named_by_shard_and_row(pair_list: Path) -> None:
    path = pair_list.with_name("0.arrow")
    box = (0.0, 0.0, 1.0, 1.0)
    good = flat(99)
    for bad in (b"no jpeg", b"", None, good[:-200], good[:20], b"\xff\xd8" + b"\xff" * 99):
        pairs = [
            Pair("v", 0, 30, box, box, 9, 9, 9.0, 1.0, good, bad if i == 4 else good)  # type: ignore[arg-type]
            for i in range(13)
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
    path.unlink()
    with pytest.raises(InputError, match=r"0\.arrow: there is no such file of pairs"):
        PairDataset(pair_list, 23, 23, SIDE, seed=1).batch(0)


def test_a_bad_list_is_one_sentence(pair_list: Path, tmp_path: Path) -> None:
    columns, text, empty = tmp_path / "columns", tmp_path / "text", tmp_path / "empty"
    types = tmp_path / "types"
    pd.DataFrame({"shard": ["0"], "row": ["one"], "video": ["v"]}).to_parquet(types)
    pd.DataFrame({"row": [1]}).to_parquet(columns)
    text.write_text("no table")
    pd.read_parquet(pair_list)[:0].to_parquet(empty)
    for path, said in [
        (tmp_path / "absent", "no such list of pairs"),
        (columns, "not a whole list of pairs"),
        (text, "not a whole list of pairs"),
        (types, "not a whole list of pairs"),
        (empty, "the list holds no pairs"),
    ]:
        with pytest.raises(InputError, match=said) as caught:
            PairDataset(path, 5, 5, SIDE, seed=1)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
