import os
import time
from pathlib import Path

import pytest

from trackssl.videos import decode
from trackssl.videos.decode import VideoError
from trackssl.videos.examine import Examiner, Limits
from trackssl.videos.sources import UnavailableError


def test_a_child_finds_what_the_decoder_finds(make_video):
    path = make_video()
    with Examiner() as examiner:
        found = [examiner.examine(path) for _ in range(2)]
    assert found == [decode.probe(path)] * 2
    assert (found[0].codec, found[0].container.split(",")[0]) == ("h264", "mov")


def test_a_broken_file_has_the_decoders_reason(tmp_path):
    path = tmp_path / "a.mp4"
    with Examiner() as examiner:
        for content, reason in ((None, "missing file"), (b"", "empty file"), (b"x" * 99, "not a")):
            if content is not None:
                path.write_bytes(content)
            with pytest.raises(VideoError) as caught:
                examiner.examine(path)
            assert caught.value.reason.startswith(reason)
            assert not examiner.is_video(path)


def test_a_decoder_that_runs_out_of_memory_is_a_reason_and_the_next_file_is_examined(make_video):
    path = make_video()
    with Examiner(Limits(memory_bytes=1 << 20)) as examiner:
        for _ in range(2):
            with pytest.raises((UnavailableError, VideoError)):
                examiner.examine(path)


def test_a_file_that_never_ends_is_given_up(tmp_path, monkeypatch):
    # A pipe is no regular file, so the child is made to wait by a decoder that sleeps.
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import time, sys\n"
        "if sys.orig_argv[1:4] == ['-P', '-m', 'trackssl.videos.examine']:\n"
        "    import trackssl.videos.decode as decode\n"
        "    decode.probe = lambda path: time.sleep(60)\n"
    )
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", paths)
    (tmp_path / "a.mp4").write_bytes(b"x")
    begun = time.monotonic()
    slow = pytest.raises(UnavailableError, match="decoder too slow")
    with Examiner(Limits(seconds=1)) as examiner, slow:
        examiner.examine(tmp_path / "a.mp4")
    assert time.monotonic() - begun < 50


def test_a_module_in_the_working_folder_is_not_run(tmp_path, monkeypatch, make_video):
    path = make_video()
    (tmp_path / "av.py").write_text("raise SystemExit('taken from the working folder')")
    monkeypatch.chdir(tmp_path)
    with Examiner() as examiner:
        assert examiner.examine(Path(path)).frames == 30
