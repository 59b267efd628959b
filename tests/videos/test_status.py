import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from trackssl.errors import InputError
from trackssl.videos.manifest import SCHEMA, Row, write_manifest
from trackssl.videos.status import drawn, summed


def ok(video, seconds, size=10, **more):
    return Row(video, "ok", "", "a.mp4", "x", "00", size, 4, 4, 25.0, seconds, 9, **more)


def test_videos_hours_and_bytes_are_summed_by_reason(tmp_path):
    write_manifest(tmp_path / "0.parquet", [ok("a", 3600.0), Row("b", "failed", "removed", "", "")])
    rows = [
        ok("c", 7200.0, start=1800.0, end=3600.0),
        ok("d", 3600.0, start=1800.0),
        ok("e", 3600.0, end=9999.0),
        Row("f", "failed", "private", "", ""),
        Row("g", "failed", "private", "", ""),
    ]
    write_manifest(tmp_path / "1.parquet", rows)
    old = pq.read_table(tmp_path / "0.parquet").select(SCHEMA.names[:12])
    pq.write_table(old, tmp_path / "old.parquet")
    found = summed([tmp_path / "0.parquet", tmp_path / "1.parquet"]).to_pylist()
    assert found == [
        {"status": "ok", "reason": "", "videos": 4, "hours": 3.0, "bytes": 40},
        {"status": "failed", "reason": "private", "videos": 2, "hours": 0.0, "bytes": 0},
        {"status": "failed", "reason": "removed", "videos": 1, "hours": 0.0, "bytes": 0},
    ]
    assert summed([tmp_path / "old.parquet"]).to_pylist()[0]["hours"] == 1.0
    console = Console(width=80, record=True)
    console.print(drawn(summed([tmp_path / "1.parquet"])))
    text = console.export_text()
    assert "private" in text and "all" in text


def test_a_million_rows_take_less_than_five_seconds(tmp_path):
    count = 1_000_000
    bad = np.arange(count) % 10 == 0
    columns = {name: pa.nulls(count, SCHEMA.field(name).type) for name in SCHEMA.names}
    columns["status"] = pa.array(np.where(bad, "failed", "ok"))
    columns["reason"] = pa.array(np.where(bad, "removed", ""))
    columns["bytes"] = pa.array(np.full(count, 1000), mask=bad)
    columns["seconds"] = pa.array(np.full(count, 36.0), mask=bad)
    pq.write_table(pa.table(columns, schema=SCHEMA), tmp_path / "m.parquet")
    begun = time.process_time()
    found = summed([tmp_path / "m.parquet"]).to_pylist()
    assert time.process_time() - begun < 5
    assert [row["videos"] for row in found] == [900_000, 100_000]
    assert found[0]["hours"] == pytest.approx(9000) and found[0]["bytes"] == 900_000_000


def test_what_is_no_manifest_is_named(tmp_path):
    with pytest.raises(InputError, match="no such manifest"):
        summed([tmp_path / "none.parquet"])
    (tmp_path / "a.parquet").write_bytes(b"status")
    with pytest.raises(InputError, match="not a manifest"):
        summed([tmp_path / "a.parquet"])
