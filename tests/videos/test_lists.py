import pytest

from trackssl.errors import InputError
from trackssl.videos.lists import read_list


def items_of(tmp_path, text, name="list.csv", **options):
    path = tmp_path / name
    path.write_text(text)
    return read_list(path, **options)


def test_a_table_gives_times_and_labels(tmp_path):
    text = (
        "id,start,end,query\n"
        "dQw4w9WgXcQ,12.5,30,car race\n"
        "dQw4w9WgXcQ,,30,\n"
        "dQw4w9WgXcQ,40,,\n"
        "dQw4w9WgXcQ,,,\n"
        "dQw4w9WgXcQ,12.5,30.0,again\n"
    )
    found = items_of(tmp_path, text)
    assert [item.video for item in found] == [
        "dQw4w9WgXcQ_12500_30000", "dQw4w9WgXcQ_0_30000", "dQw4w9WgXcQ_40000_end", "dQw4w9WgXcQ",
    ]  # fmt: skip
    assert {item.stem for item in found} == {"dQw4w9WgXcQ"}
    assert (found[0].start, found[0].end, found[0].query) == (12.5, 30.0, "car race")
    assert [item.index for item in found] == [0, 1, 2, 3]


def test_the_column_of_the_video_has_one_of_three_names(tmp_path):
    for name in ("source", "id", "address"):
        (item,) = items_of(tmp_path, f"{name}\nhttps://example.org/a.mp4\n")
        assert item.source == "https://example.org/a.mp4"


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("adress\nx\n", "line 1: the columns are 'adress'"),
        ("id,address\na,b\n", "line 1: the columns"),
        ("id,strat\ndQw4w9WgXcQ,1\n", "line 1: the columns"),
        ("id,start\ndQw4w9WgXcQ\n", "line 2: it has not 2 cells"),
        ("id,start\ndQw4w9WgXcQ,-1\n", "line 2: the start '-1' is no number of seconds"),
        ("id,start\ndQw4w9WgXcQ,nan\n", "line 2: the start 'nan'"),
        ("id,start,end\ndQw4w9WgXcQ,9,9\n", "line 2: the end, 9, is not after the start"),
        ('id,query\ndQw4w9WgXcQ,"two\nlines"\n', "is no label"),
        ("id\n--exec\n", "line 2: '--exec' is neither"),
        ("id\nfile:///etc/passwd\n", "line 2: 'file:///etc/passwd' is neither"),
        ('id\n"dQw4w9WgXcQ\n--exec x"\n', "is neither"),
        ("id\n", "lists no videos"),
        ("", "the columns are none"),
    ],
)
def test_what_cannot_be_is_named_by_its_line(tmp_path, text, sentence):
    with pytest.raises(InputError) as caught:
        items_of(tmp_path, text)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_a_list_of_addresses_takes_no_ids(tmp_path):
    with pytest.raises(InputError, match=r"line 1: 'dQw4w9WgXcQ' is not an http"):
        items_of(tmp_path, "dQw4w9WgXcQ\n", "list.txt", addresses_only=True)
