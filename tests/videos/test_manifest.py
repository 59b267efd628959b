import pyarrow.parquet as pq
import pytest

from trackssl.errors import InputError
from trackssl.videos.manifest import SCHEMA, Row, read_manifest, write_manifest

ROWS = [
    Row("a", "ok", "", "v/a.mp4", "http://x/a", "00ff", 5, 64, 48, 23.976, 1.5, 36),
    Row("b", "failed", "not found", "", "http://x/b", attempts=2, when="2015-12-07T09:30:00Z"),
    Row("c_1500_end", "ok", "breaks off", "v/c.mp4", "http://x/c", "00ff", 5, start=1.5, query="q"),
]


def test_a_manifest_reads_back_as_it_was_written(tmp_path):
    write_manifest(tmp_path / "m.parquet", ROWS)
    assert read_manifest(tmp_path / "m.parquet") == ROWS


def test_equal_rows_are_equal_files(tmp_path):
    for name in ("a", "b"):
        write_manifest(tmp_path / name, ROWS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_manifest_without_rows_has_the_same_columns(tmp_path):
    write_manifest(tmp_path / "m.parquet", [])
    assert pq.read_schema(tmp_path / "m.parquet").equals(SCHEMA)
    assert read_manifest(tmp_path / "m.parquet") == []


def test_only_reasons_of_the_list_are_written(tmp_path):
    with pytest.raises(ValueError, match="not among the reasons"):
        write_manifest(tmp_path / "m.parquet", [Row("a", "failed", "who knows", "", "")])


def test_a_manifest_of_the_first_version_is_read(tmp_path):
    write_manifest(tmp_path / "m.parquet", ROWS[:1])
    old = pq.read_table(tmp_path / "m.parquet").select(SCHEMA.names[:12])
    pq.write_table(old, tmp_path / "old.parquet")
    assert read_manifest(tmp_path / "old.parquet") == ROWS[:1]


@pytest.mark.parametrize("content", [None, b"", b"video,status\n", "other columns"])
def test_what_is_no_manifest_is_named(tmp_path, content):
    path = tmp_path / "m.parquet"
    if content == "other columns":
        pq.write_table(pq.read_table(_written(path)).select(["video"]), path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"m\.parquet: this is not a manifest"):
        read_manifest(path)


def _written(path):
    write_manifest(path, ROWS)
    return path
