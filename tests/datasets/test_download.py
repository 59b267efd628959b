"""Downloads over a network that fails: the right bytes or the right sentence, in bounded time."""

import hashlib
import random
import re
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from trackssl.datasets import meter
from trackssl.datasets.download import download
from trackssl.datasets.transport import Limits
from trackssl.errors import InputError

FAST = Limits(
    piece_bytes=1 << 16,
    tries=4,
    timeout_seconds=10,
    first_wait_seconds=0.02,
    max_wait_seconds=2,
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fetch(site, tmp_path: Path, *names: str, data: bytes | None = None, **more) -> bytes:
    """The file as it was downloaded, with its checksum known where `data` is given."""
    path = tmp_path / "got"
    addresses = [site.at(name) for name in names]
    checksum = sha256(data) if data is not None else None
    download(addresses, path, checksum, **{"limits": FAST, **more})
    assert [found.name for found in tmp_path.iterdir()] == ["got"], "something else is left"
    return path.read_bytes()


def refused(site, tmp_path: Path, *names: str, data: bytes = b"other", **more) -> str:
    """The sentence that a download ends with."""
    with pytest.raises(InputError) as caught:
        fetch(site, tmp_path, *names, data=data, **more)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "got").exists()
    return str(caught.value)


def test_a_large_file_comes_in_pieces_over_several_connections(site, tmp_path):
    data = site.add("a.tar", 1_000_000)
    site.pace = 0.01
    assert fetch(site, tmp_path, "a.tar", data=data) == data
    asked = site.requests("a.tar")
    assert len(asked) == len(set(asked)) == -(-len(data) // FAST.piece_bytes)
    assert site.bytes_sent("a.tar") == len(data)


def test_without_a_checksum_pieces_are_joined_only_if_the_server_names_the_file(site, tmp_path):
    data = site.add("named.tar")
    assert fetch(site, tmp_path, "named.tar") == data
    assert len(site.requests("named.tar")) == 5
    (tmp_path / "got").unlink()
    data = site.add("nameless.tar")
    site.rules["nameless.tar"] = lambda h: h.serve(etag=None)
    assert fetch(site, tmp_path, "nameless.tar") == data
    assert site.requests("nameless.tar")[1:] == [None], "it was not fetched whole"
    (tmp_path / "got").unlink()
    data = site.add("weak.tar")
    site.rules["weak.tar"] = lambda h: h.serve(etag='W/"1"')
    assert fetch(site, tmp_path, "weak.tar") == data
    assert site.requests("weak.tar")[1:] == [None]


def test_with_a_checksum_a_nameless_file_comes_in_pieces_over_one_connection(site, tmp_path):
    data = site.add("a.tar")
    site.rules["a.tar"] = lambda h: h.serve(etag=None)
    assert fetch(site, tmp_path, "a.tar", data=data) == data
    assert site.bytes_sent("a.tar") == len(data)


def test_a_server_without_ranges_sends_the_file_whole(site, tmp_path):
    data = site.add("a.tar")
    site.rules["a.tar"] = lambda h: h.serve(ranges=False)
    assert fetch(site, tmp_path, "a.tar", data=data) == data
    assert len(site.requests("a.tar")) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_an_empty_file_is_a_file(site, tmp_path, ranges: bool):
    site.files["empty.txt"] = b""
    site.rules["empty.txt"] = lambda h: h.serve(ranges=ranges)
    assert fetch(site, tmp_path, "empty.txt", data=b"") == b""


def test_a_line_that_breaks_again_and_again_costs_no_byte_twice(site, tmp_path):
    data = site.add("a.tar")
    site.rules["a.tar"] = lambda h: h.serve(drop_after=(7919 * h.count) % 60_000 + 5000)
    assert fetch(site, tmp_path, "a.tar", data=data) == data
    assert site.bytes_sent("a.tar") == len(data)
    assert len(site.requests("a.tar")) > 5


def test_a_whole_file_that_breaks_off_begins_anew(site, tmp_path):
    data = site.add("a.tar")
    site.rules["a.tar"] = lambda h: h.serve(
        ranges=False, drop_after=100_000 if h.count < 3 else None
    )
    assert fetch(site, tmp_path, "a.tar", data=data) == data
    assert len(site.requests("a.tar")) == 3


def test_what_can_heal_is_asked_again(site, tmp_path):
    data = site.add("a.tar", 50_000)

    def rule(handler) -> None:
        if handler.count <= 3:
            handler.status([500, 502, 408][handler.count - 1])
        else:
            handler.serve()

    site.rules["a.tar"] = rule
    assert fetch(site, tmp_path, "a.tar", data=data) == data
    assert len(site.requests("a.tar")) == 4


@pytest.mark.parametrize("dated", [False, True])
def test_the_server_says_how_long_to_wait(site, tmp_path, dated: bool):
    data = site.add("a.tar", 50_000)
    times: list[float] = []

    def rule(handler) -> None:
        times.append(time.monotonic())
        if handler.count == 1:
            after = formatdate(time.time() + 2, usegmt=True) if dated else "1"
            handler.status(429, Retry_After=after)
        else:
            handler.serve()

    site.rules["a.tar"] = rule
    assert fetch(site, tmp_path, "a.tar", data=data) == data
    assert times[1] - times[0] > 0.9


def test_a_server_that_wants_fewer_connections_gets_fewer(site, tmp_path):
    data = site.add("a.tar", 600_000)
    site.pace = 0.005
    busy: list[int] = []

    def rule(handler) -> None:
        busy.append(1)
        try:
            handler.status(503) if len(busy) > 1 else handler.serve()
        finally:
            busy.pop()

    site.rules["a.tar"] = rule
    limits = Limits(piece_bytes=1 << 16, tries=8, first_wait_seconds=0.02)
    assert fetch(site, tmp_path, "a.tar", data=data, limits=limits) == data
    assert site.bytes_sent("a.tar") == len(data)


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_what_cannot_heal_is_asked_once(site, tmp_path, code: int):
    site.rules["a.tar"] = lambda h: h.status(code)
    said = refused(site, tmp_path, "a.tar")
    assert f"{site.at('a.tar')}: the server answers {code}" in said
    assert str(tmp_path / "got") in said  # where to put it by hand
    assert len(site.requests("a.tar")) == 1
    assert not list(tmp_path.iterdir())


def test_a_server_that_never_heals_is_given_up(site, tmp_path):
    site.rules["a.tar"] = lambda h: h.status(500)
    assert "cannot be fetched (the server answers 500" in refused(site, tmp_path, "a.tar")
    assert len(site.requests("a.tar")) == FAST.tries
    site.rules["b.tar"] = lambda h: h.status(429, Retry_After="86400")
    said = refused(site, tmp_path, "b.tar")
    assert "answers 429 Too Many Requests and asks to come back in 86400 s" in said
    assert len(site.requests("b.tar")) == 1


@pytest.mark.parametrize("after", [0, 70_000])
def test_a_silent_server_is_left_in_bounded_time_and_goes_on_later(site, tmp_path, after: int):
    data = site.add("a.tar")

    def rule(handler) -> None:
        length = len(handler.site.files["a.tar"])
        handler.serve(ranges=False, drop_after=after, length_said=length, stall=True)

    site.rules["a.tar"] = rule
    begin = time.monotonic()
    limits = Limits(tries=2, timeout_seconds=0.5, first_wait_seconds=0.02)
    said = refused(site, tmp_path, "a.tar", data=data, limits=limits)
    assert "fell silent" in said and "try again, it will go on" in said
    assert time.monotonic() - begin < 15
    del site.rules["a.tar"]
    assert fetch(site, tmp_path, "a.tar", data=data) == data


def test_a_trickle_counts_as_silence(site, tmp_path):
    site.add("a.tar", 3000)
    site.block, site.pace = 1, 0.05
    limits = Limits(tries=1, timeout_seconds=2)
    assert "next to nothing" in refused(site, tmp_path, "a.tar", limits=limits)


def test_a_part_that_failed_goes_on_in_the_next_call(site, tmp_path):
    data = site.add("a.tar")
    site.rules["a.tar"] = lambda h: h.serve(drop_after=40_000) if h.count == 1 else h.status(500)
    assert "try again, it will go on" in refused(site, tmp_path, "a.tar", data=data)
    del site.rules["a.tar"]
    assert fetch(site, tmp_path, "a.tar", data=data) == data
    assert site.bytes_sent("a.tar") == len(data)


@pytest.mark.parametrize("more", [1000, -1000])
def test_a_wrong_length_is_told(site, tmp_path, more: int):
    data = site.add("a.tar", 50_000)
    site.rules["a.tar"] = lambda h: h.serve(ranges=False, length_said=len(data) + more)
    said = refused(site, tmp_path, "a.tar", data=data)
    assert ("1000 bytes were to come" if more > 0 else "the file's SHA-256 is") in said
    said = refused(site, tmp_path, "a.tar", data=data, size=len(data))
    assert f"the server offers {len(data) + more} bytes, but the file has {len(data)}" in said


def test_a_cut_file_of_unknown_length_is_told_by_its_known_size(site, tmp_path):
    data = site.add("a.tar", 50_000)

    def rule(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(data[:-7])

    site.rules["a.tar"] = rule
    assert "sent 49993 bytes, the file has 50000" in refused(
        site, tmp_path, "a.tar", data=data, size=len(data)
    )
    said = refused(site, tmp_path, "a.tar", data=data, size=40_000)
    assert "the server sends more than 40000 bytes" in said


def test_redirects_are_followed_within_bounds(site, tmp_path):
    data = site.add("a.tar")
    site.rules["moved"] = lambda h: h.status(302, Location="/a.tar")
    assert fetch(site, tmp_path, "moved", data=data) == data
    (tmp_path / "got").unlink()
    site.rules["loop"] = lambda h: h.status(301, Location="/loop")
    assert "redirects without end" in refused(site, tmp_path, "loop")
    for hop in range(30):
        site.rules[f"hop{hop}"] = lambda h, n=hop: h.status(307, Location=f"/hop{n + 1}")
    assert "redirects without end" in refused(site, tmp_path, "hop0")
    assert len(site.asked) < 40


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_leads_to_http_alone(site, tmp_path, target: str):
    site.rules["a.tar"] = lambda h: h.status(302, Location=target)
    said = refused(site, tmp_path, "a.tar")
    assert "redirect" in said and target in said


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/x-tar"])
def test_a_web_page_is_not_taken_for_the_file(site, tmp_path, kind: str):
    page = b"\n<!DOCTYPE html><html><body>Sign in</body></html>"
    site.rules["a.tar"] = lambda h: h.serve(page, kind=kind)
    for data in (None, b"other"):
        with pytest.raises(InputError, match="a web page in place of the file"):
            fetch(site, tmp_path, "a.tar", data=data)
    assert not list(tmp_path.iterdir())


def test_a_file_that_changes_on_the_way_is_never_joined(site, tmp_path):
    old, new = site.add("a.tar"), site.add("newer.tar")
    site.rules["a.tar"] = lambda h: h.serve(old if h.count <= 3 else new)
    assert fetch(site, tmp_path, "a.tar") == new
    (tmp_path / "got").unlink()
    # Between two runs, too.
    site.asked.clear()
    site.rules["a.tar"] = lambda h: h.serve(old, drop_after=9) if h.count == 1 else h.status(500)
    refused(site, tmp_path, "a.tar", data=old)
    site.rules["a.tar"] = lambda h: h.serve(new)
    assert fetch(site, tmp_path, "a.tar", data=new) == new


def test_a_file_that_changes_with_each_answer_comes_in_one_go(site, tmp_path):
    data = site.add("a.tar")
    site.rules["a.tar"] = lambda h: h.serve(etag=f'"{h.count}"')
    assert fetch(site, tmp_path, "a.tar") == data


def test_mirrors_follow_in_order_and_may_continue_each_other(site, tmp_path):
    data = site.add("first.tar")
    site.files["second.tar"] = data
    site.rules["first.tar"] = lambda h: (
        h.serve(drop_after=50_000) if h.count == 1 else h.status(503)
    )
    site.rules["second.tar"] = lambda h: h.serve(etag='"another"')
    assert fetch(site, tmp_path, "none.tar", "first.tar", "second.tar", data=data) == data
    assert site.bytes_sent("first.tar") + site.bytes_sent("second.tar") == len(data)


def test_a_mirror_of_another_file_is_begun_anew_where_no_checksum_is_known(site, tmp_path):
    site.add("first.tar")
    data = site.add("another.tar")
    site.rules["first.tar"] = lambda h: (
        h.serve(drop_after=50_000) if h.count == 1 else h.status(503)
    )
    assert fetch(site, tmp_path, "first.tar", "another.tar") == data


def test_a_dead_mirror_costs_nothing_of_the_part(site, tmp_path):
    data = site.add("first.tar", 50_000)
    site.rules["first.tar"] = lambda h: (
        h.serve(drop_after=30_000) if h.count == 1 else h.status(503)
    )
    with pytest.raises(InputError, match="no address has it"):
        fetch(site, tmp_path, "first.tar", "none.tar")
    del site.rules["first.tar"]
    assert fetch(site, tmp_path, "first.tar", "none.tar") == data
    assert site.bytes_sent("first.tar") == len(data)


def test_a_wrong_mirror_is_left_for_the_right_one(site, tmp_path):
    site.add("wrong.tar")
    data = site.add("right.tar", 300_000)
    assert fetch(site, tmp_path, "wrong.tar", "right.tar", data=data) == data


def test_if_no_address_has_it_each_is_named_with_its_answer(site, tmp_path):
    site.add("wrong.tar")
    site.rules["gone.tar"] = lambda h: h.status(410)
    said = refused(site, tmp_path, "none.tar", "gone.tar", "wrong.tar", data=b"x")
    wanted = [
        rf"{site.at('none.tar')}: the server answers 404",
        rf"{site.at('gone.tar')}: the server answers 410",
        rf"{site.at('wrong.tar')}: the file's SHA-256 is {sha256(site.files['wrong.tar'])}, not",
    ]
    assert re.search(".*".join(wanted), said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://a/b", "nonsense", "http://", "http://a/b c", "--help"]
)
def test_other_addresses_than_http_are_refused(tmp_path, address: str):
    with pytest.raises(InputError, match=r"no http\(s\) address"):
        download(address, tmp_path / "got", None)


def test_damaged_notes_of_a_part_count_as_none(site, tmp_path):
    data = site.add("a.tar")
    for notes in ("", "{}", "[]", '{"address": 1, "identity": 2, "length": 3, "piece_bytes": 0}'):
        (tmp_path / "got.part").write_bytes(b"x" * 1000)
        (tmp_path / "got.part.json").write_text(notes)
        assert fetch(site, tmp_path, "a.tar", data=data) == data
        (tmp_path / "got").unlink()


def test_the_disk_is_asked_before_the_server_sends(site, tmp_path):
    data = site.add("a.tar")
    said = refused(site, tmp_path, "a.tar", data=data, room_bytes=1 << 60)
    assert "MB are free; make room and start again" in said
    assert site.bytes_sent("a.tar") <= FAST.piece_bytes
    assert "make room" in refused(site, tmp_path, "b.tar", data=data, size=1 << 60)
    assert "make room" in refused(site, tmp_path, "b.tar", data=data, size=9, copies=1 << 60)
    assert not site.requests("b.tar")


def test_a_log_gets_a_line_now_and_then(site, tmp_path, capsys, monkeypatch):
    data = site.add("a.tar")
    fetch(site, tmp_path, "a.tar", data=data)
    assert capsys.readouterr().err == ""  # none within the first minute
    monkeypatch.setattr(meter, "_LINE_EVERY_SECONDS", 0)
    (tmp_path / "got").unlink()
    fetch(site, tmp_path, "a.tar", data=data)
    assert re.search(r"got: \d+ of 0 MB, \d+\.\d MB/s", capsys.readouterr().err)


FAULTS = [
    lambda h: h.serve(),
    lambda h: h.serve(drop_after=40_000),
    lambda h: h.serve(drop_after=1),
    lambda h: h.status(500),
    lambda h: h.status(429, Retry_After="0"),
    lambda h: h.status(404),
    lambda h: h.serve(ranges=False),
    lambda h: h.serve(ranges=False, drop_after=100_000),
    lambda h: h.serve(etag=None),
    lambda h: h.serve(bytes(len(h.site.files[h.name]))),
    lambda h: h.serve(h.site.files[h.name][:-1000]),
    lambda h: h.serve(b"<html>Sign in</html>", kind="text/html"),
    lambda h: h.serve(length_said=10**6),
    lambda h: h.status(302, Location="/healthy.tar"),
    lambda h: h.status(302, Location=f"/{h.name}"),
]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_goes_wrong_the_bytes_are_right_or_there_is_a_sentence(site, tmp_path, seed: int):
    draws = random.Random(seed)
    data = site.add("a.tar")
    site.files["healthy.tar"] = data
    site.rules["a.tar"] = lambda h: draws.choice([FAULTS[0], *FAULTS])(h)
    limits = Limits(piece_bytes=1 << 16, timeout_seconds=3, first_wait_seconds=0.005)
    begin = time.monotonic()
    for _ in range(12):  # as often as a person starts it again
        try:
            assert fetch(site, tmp_path, "a.tar", data=data, limits=limits) == data
            break
        except InputError as error:
            assert "\n" not in str(error)
            assert not (tmp_path / "got").exists()
    else:
        site.rules["a.tar"] = lambda h: h.serve()
        assert fetch(site, tmp_path, "a.tar", data=data, limits=limits) == data
    assert time.monotonic() - begin < 120
