import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from trackssl.config import Data
from trackssl.errors import InputError
from trackssl.images import encode_jpeg
from trackssl.pairs import staging
from trackssl.pairs.dataset import PairDataset
from trackssl.pairs.sets import merge_pairs
from trackssl.pairs.store import BATCH_ROWS, Pair, PairShard, write_pairs

SIDE = 32
COUNTS = {"0": BATCH_ROWS + 100, "1": 7}  # a shard of two batches, a small one


@pytest.fixture
def pair_list(tmp_path: Path) -> Path:
    """Pairs of noise in two shards, merged: 8 kinds of patch, but each pair its own frame."""
    noise = np.random.default_rng(1).integers(0, 255, (8, SIDE, SIDE, 3), np.uint8)
    jpegs = [encode_jpeg(patch) for patch in noise]
    box = (0.0, 0.0, float(SIDE), float(SIDE))
    for shard, count in COUNTS.items():
        pairs = (
            Pair(
                f"{shard}_{i % 9}", i, i + 30, box, box, 9, 9, 9.0, 1.0, jpegs[i % 8], jpegs[i % 7]
            )
            for i in range(count)
        )
        write_pairs(tmp_path / f"{shard}.arrow", pairs, {"patch_px": SIDE}, {"v": "ab"})
    merge_pairs([tmp_path / f"{shard}.arrow" for shard in COUNTS], 0, tmp_path / "sets.parquet")
    return tmp_path / "sets.parquet"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return tmp_path / "disk"


def open_set(pair_list: Path, stage_to: Path | None, size: int = 300) -> PairDataset:
    data = Data(stage_to=None if stage_to is None else str(stage_to))
    dataset = PairDataset(pair_list, size, 10, SIDE, seed=1, data=data)
    dataset.stage()
    return dataset


def staged(disk: Path) -> list[Path]:
    return sorted((disk / staging.SUBFOLDER).glob("*.arrow"))


@pytest.mark.parametrize("size", [10, 300, sum(COUNTS.values())])
def test_staged_batches_are_the_same_bits(pair_list: Path, disk: Path, size: int) -> None:
    here, there = open_set(pair_list, None, size), open_set(pair_list, disk, size)
    for a, b in zip(here.batches(0, 40), there.batches(0, 40), strict=True):
        assert all(map(torch.equal, a, b))


def test_only_the_rows_of_the_set_are_copied(pair_list: Path, disk: Path, tmp_path: Path) -> None:
    open_set(pair_list, disk)
    shards = [PairShard(path) for path in staged(disk)]
    assert sum(map(len, shards)) == 300
    found = sorted((pair.video, pair.first_frame) for shard in shards for pair in shard)
    table = pd.read_parquet(pair_list)[:300]
    assert found == sorted(zip(table["video"], table["first_frame"], strict=True))
    assert all(s.mining == {"patch_px": SIDE} and s.videos == {"v": "ab"} for s in shards)
    source = PairShard(tmp_path / "1.arrow")
    assert all(pair in list(source) for pair in shards[0] if pair.video.startswith("1_"))


def test_what_is_staged_is_used_again_until_the_shard_changes(
    pair_list: Path, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_set(pair_list, disk)
    before = {path: path.stat().st_ino for path in staged(disk)}
    assert "copying" in capsys.readouterr().err
    open_set(pair_list, disk)
    assert {path: path.stat().st_ino for path in staged(disk)} == before
    assert capsys.readouterr().err == ""
    os.utime(pair_list.with_name("0.arrow"), ns=(1, 1))
    open_set(pair_list, disk)
    assert len(staged(disk)) == len(before) + 1
    assert before.items() <= {path: path.stat().st_ino for path in staged(disk)}.items()


def test_a_shard_that_changed_is_read_anew(pair_list: Path, disk: Path) -> None:
    first = open_set(pair_list, disk).batch(0)
    for shard in COUNTS:
        path = pair_list.with_name(f"{shard}.arrow")
        black = encode_jpeg(np.zeros((SIDE, SIDE, 3), np.uint8))
        pairs = [Pair(**{**vars(p), "first_jpeg": black}) for p in PairShard(path)]
        write_pairs(path, pairs, {}, {})
    again = open_set(pair_list, disk).batch(0)
    assert first.first.float().mean() > 50
    assert again.first.max() == 0
    assert torch.equal(first.last, again.last)


def test_a_damaged_copy_is_made_again(pair_list: Path, disk: Path) -> None:
    wanted = open_set(pair_list, disk).batch(0)
    for path in staged(disk):
        path.write_bytes(path.read_bytes()[:-100])
    assert all(map(torch.equal, open_set(pair_list, disk).batch(0), wanted))


def test_a_full_disk_is_refused_beforehand(
    pair_list: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(pair_list.parent)
    almost = usage._replace(free=staging.RESERVE_BYTES + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: almost)
    with pytest.raises(InputError, match=r"the set needs 0\.\d MB there, but 250\.0 MB are"):
        open_set(pair_list, disk)
    assert not staged(disk)
    roomy = usage._replace(free=staging.RESERVE_BYTES + (10 << 20))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: roomy)
    open_set(pair_list, disk)


def test_a_disk_that_fills_up_leaves_nothing_half_made(
    pair_list: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"could not be copied there \(No space left on device\)"):
        open_set(pair_list, disk)
    assert [path.name for path in (disk / staging.SUBFOLDER).iterdir()] == ["lock"]


def test_a_folder_that_cannot_be_is_one_sentence(pair_list: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"file/trackssl-pairs: it cannot be written"):
        open_set(pair_list, tmp_path / "file")
    with pytest.raises(InputError, match=r"'\$NO_SUCH_DISK/x', but that variable is not set"):
        PairDataset(pair_list, 20, 10, SIDE, 1, data=Data(stage_to="$NO_SUCH_DISK/x")).batch(0)


def test_a_variable_of_the_node_is_filled_in(
    pair_list: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWN_DISK", str(disk))
    dataset = PairDataset(pair_list, 20, 10, SIDE, 1, data=Data(stage_to="$OWN_DISK"))
    assert not staged(disk)
    next(dataset.batches(0, 1))  # it stages by itself
    assert staged(disk)


def test_bad_shards_are_named_before_anything_is_copied(pair_list: Path, disk: Path) -> None:
    path = pair_list.with_name("0.arrow")
    whole = path.read_bytes()
    write_pairs(path, list(PairShard(path))[:40], {}, {})
    with pytest.raises(InputError, match=r"0\.arrow: it holds 40 pairs, but the list names row"):
        open_set(pair_list, disk)
    path.write_bytes(whole[:-50])
    with pytest.raises(InputError, match=r"0\.arrow: this is not a whole Arrow file"):
        open_set(pair_list, disk)
    path.unlink()
    with pytest.raises(InputError, match=r"0\.arrow: there is no such file of pairs"):
        open_set(pair_list, disk)
    assert not staged(disk)


def test_a_bad_patch_is_named_by_its_own_shard(pair_list: Path, disk: Path) -> None:
    path = pair_list.with_name("1.arrow")
    pairs = [Pair(**{**vars(p), "last_jpeg": b"no jpeg"}) for p in PairShard(path)]
    write_pairs(path, pairs, {}, {})
    for folder in (None, disk):
        with pytest.raises(InputError, match=r"/1\.arrow, row \d: this is not an image"):
            list(open_set(pair_list, folder, sum(COUNTS.values())).batches(0, 120))


def _copy_and_die(pair_list: Path, disk: Path) -> None:
    """As a run that is killed when its first file is written and its second half so."""
    written = staging.whole_file

    def whole_file(path: Path):  # type: ignore[no-untyped-def]
        if staged(disk):
            path.with_name(f".{path.name}.{os.getpid()}.part").write_bytes(b"half a file")
            os.kill(os.getpid(), signal.SIGKILL)
        return written(path)

    staging.whole_file = whole_file  # type: ignore[assignment]
    open_set(pair_list, disk, sum(COUNTS.values()))


def test_a_killed_copy_goes_on(pair_list: Path, disk: Path) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=_copy_and_die, args=(pair_list, disk)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    kept = {path: path.stat().st_ino for path in staged(disk)}
    assert len(kept) == 1
    assert len(list((disk / staging.SUBFOLDER).glob(".*.part"))) == 1
    (disk / staging.SUBFOLDER / "notes.txt").write_text("of somebody else")
    open_set(pair_list, disk, sum(COUNTS.values()))
    assert kept.items() <= {path: path.stat().st_ino for path in staged(disk)}.items()
    names = {path.name for path in (disk / staging.SUBFOLDER).iterdir()}
    assert names == {"lock", "notes.txt", *(path.name for path in staged(disk))}
    assert len(staged(disk)) == 2


def _copy_when_told(pair_list: Path, disk: Path, copied: object, go: object) -> None:
    with staging._alone(staging._folder(str(disk))):
        copied.set()  # type: ignore[attr-defined]
        go.wait(60)  # type: ignore[attr-defined]
    open_set(pair_list, disk)


def test_other_processes_wait_while_one_copies(pair_list: Path, disk: Path) -> None:
    context = multiprocessing.get_context("fork")
    held, go = context.Event(), context.Event()
    first = context.Process(target=_copy_when_told, args=(pair_list, disk, held, go))
    first.start()
    assert held.wait(60)
    others = [context.Process(target=open_set, args=(pair_list, disk)) for _ in range(2)]
    for other in others:
        other.start()
    others[0].join(0.5)
    assert all(other.is_alive() for other in others)
    assert not staged(disk)
    go.set()
    for process in (first, *others):
        process.join(60)
        assert process.exitcode == 0
    assert len(staged(disk)) == len(COUNTS)
