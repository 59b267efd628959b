import subprocess

import pytest

from trackssl.config import Videos
from trackssl.errors import InputError
from trackssl.videos import youtube
from trackssl.videos.sources import UnavailableError
from trackssl.videos.web import Visit, Web

QUICK = {"min_seconds_between_requests": 0.0, "backoff_seconds": 0.01, "timeout_seconds": 1.0}


def items_of(tmp_path, text: str | bytes):
    path = tmp_path / "list.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return youtube.items(Videos(source="youtube", list=str(path)))


def test_ids_addresses_comments_and_blank_lines_are_read_in_order(tmp_path):
    text = (
        "\ufeff# my videos\n\ndQw4w9WgXcQ  # a song\r\n-_abcdefghi\n"
        "https://example.org/films/A%20b.mp4?x=1#t\n"
    )
    found = items_of(tmp_path, text)
    assert [item.video for item in found[:2]] == ["dQw4w9WgXcQ", "-_abcdefghi"]
    assert found[0].source == "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
    assert found[2].source == "https://example.org/films/A%20b.mp4?x=1#t"
    assert found[2].video.startswith("A_20b_")


def test_one_video_written_in_several_ways_is_taken_once(tmp_path):
    text = """dQw4w9WgXcQ
https://www.youtube.com/watch?v=dQw4w9WgXcQ
https://www.youtube.com/watch?list=PL1&v=dQw4w9WgXcQ&t=4
https://youtu.be/dQw4w9WgXcQ?t=4
https://m.youtube.com/shorts/dQw4w9WgXcQ
"""
    assert [item.video for item in items_of(tmp_path, text)] == ["dQw4w9WgXcQ"]


def test_addresses_that_end_alike_have_different_ids(tmp_path):
    found = items_of(tmp_path, "http://a.org/v.mp4\nhttp://b.org/v.mp4\nhttp://b.org/v.mp4?n=2\n")
    assert len({item.video for item in found}) == 3


@pytest.mark.parametrize(
    "line",
    [
        "--exec x",
        "--exec=touch${IFS}x",
        "file:///etc/passwd",
        "ftp://example.org/a.mp4",
        "/etc/passwd",
        "../../etc/pw",
        "ytsearch5:cats",
        "https://",
        "https:///path",
        "https://example.org/a b.mp4",
        "https://example.org/a\x0b--exec x",
        "https://example.org/a\u2028--exec",
        "https://example.org/a\x85b",
        "dQw4w9WgXcQ\x00",
        "dQw4w9WgXcQdQ",
        "dQw4w9WgXc\u0661",
    ],
)
def test_any_other_line_is_refused_by_its_number(tmp_path, line):
    with pytest.raises(InputError, match=r"list\.txt, line 3: .* is neither") as caught:
        items_of(tmp_path, f"# list\ndQw4w9WgXcQ\n{line}\n")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/../../../../etc/passwd",
        "https://example.org/%2e%2e%2f%2e%2e%2fx.mp4",
        "https://example.org/a\\..\\b.mp4",
        "https://example.org/" + "x" * 5000,
        "https://example.org/",
    ],
)
def test_an_id_is_a_plain_name_whatever_the_address(tmp_path, address):
    (item,) = items_of(tmp_path, address)
    assert item.video.replace("_", "").replace("-", "").isalnum() and item.video.isascii()
    assert 11 < len(item.video) < 80


@pytest.mark.parametrize("text", ["", "# nothing\n\n"])
def test_an_empty_list_is_one_clear_sentence(tmp_path, text):
    with pytest.raises(InputError, match="lists no videos"):
        items_of(tmp_path, text)


def test_a_list_that_is_absent_or_no_text_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent.txt cannot be read"):
        youtube.items(Videos(source="youtube", list=str(tmp_path / "absent.txt")))
    with pytest.raises(InputError, match="not UTF-8"):
        items_of(tmp_path, b"\xff\xfe\x00")


def fetch(tmp_path, site, page: str, **settings):
    (item,) = items_of(tmp_path, site.address + page)
    place = tmp_path / "100% of%(id)s"
    place.mkdir(exist_ok=True)
    chosen = Videos(source="youtube", list="-", **QUICK, **settings)
    return youtube.obtain(item, chosen, place, Visit(Web(chosen, tmp_path / "store")))


def test_a_direct_address_is_downloaded_without_starting_a_program(
    tmp_path, site, make_video, monkeypatch
):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    data = make_video().read_bytes()
    site.pages["/v.mp4"] = (200, "video/mp4", data)
    assert fetch(tmp_path, site, "/v.mp4").read_bytes() == data


def test_the_users_own_configuration_is_not_read(tmp_path, site, make_video, monkeypatch):
    home = tmp_path / "home"
    plugin = home / "yt-dlp" / "plugins" / "p" / "yt_dlp_plugins" / "extractor" / "p.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("raise SystemExit('a plugin was loaded')")
    (home / "yt-dlp" / "config").write_text("--simulate\n--exec 'touch owned'\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("yt_dlp.globals.all_plugins_loaded.value", False)
    site.pages["/v.mp4"] = (200, "video/mp4", make_video().read_bytes())
    assert fetch(tmp_path, site, "/v.mp4").exists()


@pytest.mark.parametrize(
    "page, reason",
    [
        ((404, "text/html", b"gone"), "not found"),
        ((410, "text/html", b"gone"), "not found"),
        ((403, "text/html", b"no"), "refused"),
        ((200, "text/html", b"<html><title>hi</title><p>no video</p></html>"), "not a video page"),
    ],
)
def test_a_dead_link_has_a_reason(tmp_path, site, page, reason):
    site.pages["/v.mp4"] = page
    with pytest.raises(UnavailableError, match=f"^{reason}$"):
        fetch(tmp_path, site, "/v.mp4")


def test_a_page_may_not_lead_to_a_local_file(tmp_path, site, make_video):
    video = f'<html><video src="file://{make_video()}"></video></html>'
    site.pages["/v.html"] = (200, "text/html", video.encode())
    with pytest.raises(UnavailableError):
        fetch(tmp_path, site, "/v.html")


def test_a_host_that_does_not_answer_has_a_reason(tmp_path, site):
    site.address = "http://127.0.0.1:9"
    with pytest.raises(UnavailableError, match=r"^no connection$"):
        fetch(tmp_path, site, "/v.mp4")


@pytest.mark.parametrize(
    "message, reason",
    [
        ("ERROR: [youtube] x: Private video. Sign in if you've been granted access", "private"),
        ("[youtube] x: Video unavailable. This video has been removed by the uploader", "removed"),
        ("[youtube] x: Sign in to confirm you’re not a bot.", "throttled"),
        ("[youtube] x: Sign in to confirm your age.", "age limit"),
        ("[youtube] x: Requested format is not available.", "no fitting stream"),
        ("The read operation timed out", "timeout"),
        ("something new", "download failed"),
    ],
)
def test_what_sites_say_becomes_a_short_reason(message, reason):
    assert youtube._reason(message) == reason
