import os
from pathlib import Path

import pytest

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.videos import folder


def items_of(path: Path):
    return folder.items(Videos(source="folder", folder=str(path), count=None))


def test_videos_are_found_whatever_their_ending_and_their_companions_are_not(
    tmp_path, make_video, make_sound
):
    movies = tmp_path / "movies"
    clip = make_video("clip.mkv").read_bytes()
    for name in ("b/z.mkv", "a.MP4", "no ending", "b/odd.data", "b.mp4"):
        (movies / name).parent.mkdir(parents=True, exist_ok=True)
        (movies / name).write_bytes(clip)
    for name in ("b/notes", "z.txt", "z.json", ".hidden.mp4", ".cache/c.mp4"):
        (movies / name).parent.mkdir(exist_ok=True)
        (movies / name).write_bytes(clip if "hidden" in name or "cache" in name else b"words")
    (movies / "folder.mp4").mkdir()
    make_sound("movies/song.m4a")
    (movies / "broken.avi").write_bytes(b"")
    found = [Path(item.source).relative_to(movies).as_posix() for item in items_of(movies)]
    assert found == ["a.MP4", "b/odd.data", "b/z.mkv", "b.mp4", "broken.avi", "no ending"]


def test_ids_are_safe_stems_with_a_hash_only_where_they_collide(tmp_path):
    names = ["a/Dog.mp4", "b/dog.mp4", "../x y;$(rm).mp4", "катя.mp4", "v.1.mp4", "settings.mp4"]
    movies = tmp_path / "movies" / "deep"
    for name in names:
        (movies / name).parent.mkdir(parents=True, exist_ok=True)
        (movies / name).write_bytes(b"")
    ids = {Path(item.source).name: item.video for item in items_of(tmp_path / "movies")}
    assert ids["x y;$(rm).mp4"] == "x_y_rm"
    assert ids["катя.mp4"] == "video"
    assert ids["v.1.mp4"] == "v_1"
    assert ids["Dog.mp4"].startswith("Dog_") and ids["dog.mp4"].startswith("dog_")
    assert ids["Dog.mp4"][4:] != ids["dog.mp4"][4:]


def test_ids_do_not_depend_on_where_the_folder_lies(tmp_path):
    for place in ("here", "there"):
        for name in ("a/dog.mp4", "b/dog.mp4"):
            (tmp_path / place / name).parent.mkdir(parents=True)
            (tmp_path / place / name).write_bytes(b"")
    here, there = (
        [item.video for item in items_of(tmp_path / place)] for place in ("here", "there")
    )
    assert here == there


def test_a_missing_or_empty_folder_is_one_clear_sentence(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*absent"):
        items_of(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(InputError, match="holds no videos"):
        items_of(tmp_path)


def test_a_name_that_is_no_text_does_not_stop_the_others(tmp_path):
    name = os.fsdecode(b"\xff.mp4")
    try:
        (tmp_path / name).write_bytes(b"")
    except OSError:
        pytest.skip("this disk takes only UTF-8 names")
    (item,) = items_of(tmp_path)
    assert item.source.endswith("\\xff.mp4") and item.video == "video"
