import pytest

from trackssl.errors import InputError
from trackssl.videos.lists import read_list
from trackssl.videos.trainlist import video_list


def test_the_ids_of_the_authors_list_come_once_and_in_order(tmp_path):
    lines = [
        "set1/dQw4w9WgXcQ/0001.jpg 0", "set1/dQw4w9WgXcQ/0031.jpg 0",
        "set1/-_abcdefghi/0002.jpg 1", "set1/-_abcdefghi/0032.jpg 1",
        "set2/dQw4w9WgXcQ/0099.jpg 0", "set2/dQw4w9WgXcQ/0129.jpg 0",
        "other/a.jpg 2", "other/b.jpg 2",
    ]  # fmt: skip
    given, out = tmp_path / "train.txt", tmp_path / "videos.txt"
    given.write_bytes(("\r\n".join(lines) + "\r\n").encode())
    assert video_list(given, out) == (2, 3, 8)
    assert out.read_text() == "dQw4w9WgXcQ\n-_abcdefghi\n"
    assert [item.video for item in read_list(out)] == ["dQw4w9WgXcQ", "-_abcdefghi"]


def test_a_list_without_ids_is_one_sentence(tmp_path):
    given = tmp_path / "train.txt"
    with pytest.raises(InputError, match="cannot be read"):
        video_list(given, tmp_path / "out.txt")
    given.write_bytes(b"\xff\x00 1\n--exec/x.jpg 2\n../../etc/passwd 3\n")
    with pytest.raises(InputError, match="no line is"):
        video_list(given, tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()
