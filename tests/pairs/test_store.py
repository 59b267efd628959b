import pickle

import pyarrow as pa
import pytest

from trackssl.errors import InputError
from trackssl.pairs.store import BATCH_ROWS, Pair, PairShard, write_pairs


def pair(index: int, video: str = "v") -> Pair:
    return Pair(
        video=video,
        first_frame=index,
        last_frame=index + 30,
        first_box=(1, 2, 227, 227),
        last_box=(1.5, 2.25, 227, 227),
        points=300,
        moving_points=100,
        track_score=0.5,
        points_kept=1.0,
        first_jpeg=b"first %d" % index,
        last_jpeg=b"last %d" % index,
    )


@pytest.mark.parametrize("count", [0, 1, BATCH_ROWS, 2 * BATCH_ROWS + 1])
def test_what_is_written_is_read(tmp_path, count):
    path = tmp_path / "pairs.arrow"
    assert write_pairs(path, map(pair, range(count)), {"patch_px": 227}, {"v": "ab"}) == count
    shard = PairShard(path)
    assert len(shard) == count
    assert list(shard) == [pair(index) for index in range(count)]
    assert shard.mining == {"patch_px": 227} and shard.videos == {"v": "ab"}
    if count:
        assert shard.jpegs(count - 1) == (b"first %d" % (count - 1), b"last %d" % (count - 1))


def test_batches_are_small_enough_to_stream(tmp_path):
    write_pairs(tmp_path / "p.arrow", map(pair, range(3000)), {}, {})
    with pa.ipc.open_file(str(tmp_path / "p.arrow")) as file:
        sizes = [file.get_batch(i).num_rows for i in range(file.num_record_batches)]
    assert max(sizes) <= 1024 and sum(sizes) == 3000


def test_pandas_reads_it_without_this_project(tmp_path):
    write_pairs(tmp_path / "p.arrow", [pair(7)], {}, {})
    row = pa.ipc.open_file(str(tmp_path / "p.arrow")).read_pandas().iloc[0]
    assert (row.video, row.last_frame, row.last_jpeg) == ("v", 37, b"last 7")
    assert list(row.last_box) == [1.5, 2.25, 227, 227]


def test_a_shard_travels_to_workers(tmp_path):
    write_pairs(tmp_path / "p.arrow", [pair(7)], {}, {})
    assert pickle.loads(pickle.dumps(PairShard(tmp_path / "p.arrow")))[0] == pair(7)


def test_there_is_no_pair_beyond_the_last(tmp_path):
    write_pairs(tmp_path / "p.arrow", [pair(7)], {}, {})
    for index in (-1, 1):
        with pytest.raises(IndexError, match="no number"):
            PairShard(tmp_path / "p.arrow")[index]


@pytest.mark.parametrize("kept", [0, 5, 100, 0.5, 0.999])
def test_a_shard_cut_short_is_refused(tmp_path, kept):
    path = tmp_path / "p.arrow"
    write_pairs(path, map(pair, range(50)), {}, {})
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    with pytest.raises(InputError, match=r"p\.arrow.*cut short"):
        PairShard(path)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "p.arrow").write_text("no arrow file " * 100)
    with pytest.raises(InputError, match="Arrow"):
        PairShard(tmp_path / "p.arrow")
    with pytest.raises(InputError, match="no such"):
        PairShard(tmp_path / "absent.arrow")


def test_another_schema_version_is_refused(tmp_path):
    path = tmp_path / "p.arrow"
    write_pairs(path, [], {}, {})
    schema = pa.ipc.open_file(str(path)).schema
    newer = schema.with_metadata({**schema.metadata, b"trackssl.schema_version": b"99"})
    pa.ipc.new_file(str(path), newer).close()
    with pytest.raises(InputError, match="version is 99"):
        PairShard(path)


def test_a_failed_writing_leaves_nothing(tmp_path):
    def breaks():
        yield pair(0)
        raise InputError("the video ends")

    with pytest.raises(InputError):
        write_pairs(tmp_path / "p.arrow", breaks(), {}, {})
    assert not list(tmp_path.iterdir())
