import pandas as pd
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from trackssl.errors import InputError
from trackssl.pairs import commands, sets
from trackssl.pairs.sets import merge_pairs, numbered_shards
from trackssl.pairs.store import Pair, PairShard, write_pairs

KEYS = [(f"video{v}", 18 * i) for v in range(12) for i in range(5)]


def shard(path, keys):
    box = (0, 0, 9, 9)
    pairs = (Pair(v, f, f + 30, box, box, 9, 9, 9.0, 1.0, b"a", b"b") for v, f in keys)
    write_pairs(path, pairs, {}, {})
    return path


def order(tmp_path, parts, seed=0):
    shards = [shard(tmp_path / f"{i}.arrow", keys) for i, keys in enumerate(parts)]
    merge_pairs(shards, seed, tmp_path / "sets.parquet")
    return pd.read_parquet(tmp_path / "sets.parquet")


def keys_of(table):
    return list(zip(table["video"], table["first_frame"], strict=True))


def test_the_order_does_not_depend_on_the_shards(tmp_path):
    one = keys_of(order(tmp_path, [KEYS]))
    assert one == keys_of(order(tmp_path, [KEYS[40:], [], KEYS[20:40], KEYS[:20]]))
    assert sorted(one) == sorted(KEYS)
    assert one != sorted(one)


def test_a_lost_video_moves_no_other_pair(tmp_path):
    whole = keys_of(order(tmp_path, [KEYS]))
    less = keys_of(order(tmp_path, [[key for key in KEYS if key[0] != "video3"]]))
    assert less == [key for key in whole if key[0] != "video3"]


def test_another_seed_gives_another_order(tmp_path):
    assert keys_of(order(tmp_path, [KEYS], 0)) != keys_of(order(tmp_path, [KEYS], 1))


def test_each_row_points_to_its_pair(tmp_path):
    for row in order(tmp_path, [KEYS[:7], KEYS[7:]]).itertuples():
        pair = PairShard(row.shard)[row.row]
        assert (pair.video, pair.first_frame) == (row.video, row.first_frame)


def test_one_pair_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"video2 has two pairs that begin at frame 18"):
        order(tmp_path, [KEYS, [("video2", 18)]])


def test_nothing_to_merge_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match="no pairs to merge"):
        order(tmp_path, [[], []])
    assert not (tmp_path / "sets.parquet").exists()


def test_the_command_says_how_many_pairs_from_how_many_videos(tmp_path):
    app = typer.Typer()
    commands.register(app)
    out = tmp_path / "sets.parquet"
    run = CliRunner().invoke(
        app,
        ["merge-pairs", str(shard(tmp_path / "a.arrow", KEYS)), "--seed", "3", "--out", str(out)],
    )
    assert run.exit_code == 0
    assert run.output.startswith("60 pairs from 12 videos")


def test_two_windows_of_one_frame_are_two_pairs(tmp_path):
    boxes = [(0, 0, 9, 9), (20, 0, 9, 9), (20, 30, 9, 9)]
    pairs = [Pair("v", 18, 48, box, box, 9, 9, 9.0, 1.0, b"a", b"b") for box in boxes]
    write_pairs(tmp_path / "0.arrow", pairs, {}, {})
    assert merge_pairs([tmp_path / "0.arrow"], 0, tmp_path / "sets.parquet") == (3, 1)
    write_pairs(tmp_path / "1.arrow", pairs[1:2], {}, {})
    with pytest.raises(InputError, match="v has two pairs that begin at frame 18"):
        merge_pairs([tmp_path / f"{i}.arrow" for i in range(2)], 0, tmp_path / "sets.parquet")


def test_held_out_videos_are_in_one_list_and_all_others_in_the_other(tmp_path):
    shards = [shard(tmp_path / "0.arrow", KEYS)]
    lists = {}
    for held_out in (False, True):
        merge_pairs(shards, 0, tmp_path / "list.parquet", 0.3, held_out)
        lists[held_out] = pd.read_parquet(tmp_path / "list.parquet")
    videos = [set(lists[held_out]["video"]) for held_out in (False, True)]
    assert [len(names) for names in videos] == [9, 3]
    assert not videos[0] & videos[1]
    whole = keys_of(order(tmp_path, [KEYS]))
    assert keys_of(lists[False]) == [key for key in whole if key[0] in videos[0]]
    assert keys_of(lists[True]) == [key for key in whole if key[0] in videos[1]]


def test_of_few_videos_none_is_held_out(tmp_path):
    shards = [shard(tmp_path / "0.arrow", KEYS[:20])]
    out = tmp_path / "list.parquet"
    assert merge_pairs(shards, 0, out, 0.2) == (20, 4)
    assert merge_pairs(shards, 0, out, 0.2, held_out=True) == (0, 0)


def test_numbered_shards_are_one_word_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    commands.register(app)
    parts = [KEYS[:20], KEYS[20:]]
    paths = [shard(tmp_path / f"{i:04d}.arrow", keys) for i, keys in enumerate(parts)]
    named = ["merge-pairs", *(path.name for path in paths), "--out", "named.parquet"]
    numbered = ["merge-pairs", "{shard}.arrow", "--numbered", "2", "--out", "numbered.parquet"]
    for words in (named, numbered):
        assert CliRunner().invoke(app, words).exit_code == 0
    assert (tmp_path / "named.parquet").read_bytes() == (tmp_path / "numbered.parquet").read_bytes()
    with pytest.raises(InputError, match="needs exactly one path"):
        numbered_shards(["a.arrow", "b.arrow"], 2)


def test_a_row_group_holds_the_names_of_its_own_videos_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(sets, "WRITTEN_ROWS", 4)
    many = [(f"a video with a long name, {n:05d}", 0) for n in range(400)]
    table = order(tmp_path, [many])
    assert len(table) == 400
    groups = pq.ParquetFile(tmp_path / "sets.parquet").metadata
    assert groups.num_row_groups == 100
    assert all(groups.row_group(n).column(2).total_uncompressed_size < 400 for n in range(100))
