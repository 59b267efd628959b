from pathlib import Path

import pytest

from trackssl.errors import InputError
from trackssl.files import Progress, whole_file, write_json


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "table.csv"
    with pytest.raises(ZeroDivisionError), whole_file(target) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert list(target.parent.iterdir()) == []
    with whole_file(target) as part:
        part.write_text("whole")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["table.csv"]


def test_a_failed_rewrite_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(target) as part:
        part.write_text("new")
        raise ZeroDivisionError
    assert target.read_text() == "old"


def test_progress_of_another_config_is_refused_by_the_key_that_differs(tmp_path: Path) -> None:
    first = Progress(tmp_path / "progress", {"mining": {"patch_px": 99}, "seed": 0}, "mining")
    write_json(first / "done.json", [1, 2])
    first._lock.close()
    with pytest.raises(InputError, match=r"another config \(differs in: mining.patch_px\)"):
        Progress(tmp_path / "progress", {"mining": {"patch_px": 227}, "seed": 0}, "mining")
    again = Progress(tmp_path / "progress", {"seed": 0, "mining": {"patch_px": 99}}, "mining")
    assert (again / "done.json").exists()
    again.finish()
    assert not (tmp_path / "progress").exists()


def test_two_processes_never_share_a_progress_folder(tmp_path: Path) -> None:
    held = Progress(tmp_path / "progress", {}, "mining")
    with pytest.raises(InputError, match="another process works on this mining"):
        Progress(tmp_path / "progress", {}, "mining")
    held.finish()
