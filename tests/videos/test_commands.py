import json
import sys

import pytest
import typer

from trackssl import cli
from trackssl.videos import commands
from trackssl.videos.manifest import read_manifest


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `trackssl fetch-videos` -> exit status, stdout, stderr."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    commands.register(app)
    monkeypatch.setattr(cli, "app", app)

    def command(*options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["trackssl", "fetch-videos", *options])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return int(stopped.value.code or 0), *capsys.readouterr()

    return command


def settings(**values) -> str:
    return json.dumps({"count": None, "shards": 1, **values})


def test_the_command_writes_the_manifest_and_says_how_many(tmp_path, make_video, command):
    make_video("movies/a.mp4")
    (tmp_path / "movies" / "b.mp4").write_bytes(b"")
    out = tmp_path / "0.parquet"
    given = settings(source="folder", folder=str(tmp_path / "movies"))
    status, said, complained = command(
        "--settings", given, "--shard", "0", "--out", str(out),
        "--store", str(tmp_path / "store"), "--progress", str(tmp_path / "progress"),
    )  # fmt: skip
    assert status == 0 and complained == ""
    assert said == f"{out}: 1 of 2 videos could be had (failed: 1 empty file)\n"
    assert [row.status for row in read_manifest(out)] == ["ok", "failed"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.parquet", "movies"]


@pytest.mark.parametrize(
    "values, sentence",
    [
        ({"source": "folder", "folder": "absent"}, "absent; check the path"),
        ({"source": "folder", "folder": "."}, "holds no videos"),
        ({"source": "youtube", "list": "absent.txt"}, "absent.txt cannot be read"),
        ({"source": "youtube", "list": "bad.txt"}, "bad.txt, line 1"),
        ({"source": "youtube"}, "needs videos.list"),
        ({"source": "folder", "folder": ".", "shards": 0}, "shards"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, command, values, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.txt").write_text("--exec x\n")
    status, said, complained = command("--settings", settings(**values), "--out", "0.parquet")
    assert status == 2 and said == ""
    assert complained.startswith("error: ") and sentence in complained
    assert complained.count("\n") == 1 and "Traceback" not in complained
    assert [path.name for path in tmp_path.iterdir()] == ["bad.txt"]
