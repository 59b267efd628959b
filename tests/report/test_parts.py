"""The functions behind the page."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from trackssl.pairs.store import write_pairs
from trackssl.report.page.data import funnel
from trackssl.report.page.detecting import chosen_methods
from trackssl.report.page.dots import rows_of
from trackssl.report.page.learning import read_log
from trackssl.report.page.opening import history, job_times
from trackssl.report.page.others import whole_rows
from trackssl.report.page.pairs import Looked
from trackssl.report.page.svg import thinned
from trackssl.report.page.units import choose_units, filter_sheet, strongest
from trackssl.report.page.words import certainty, duration, number, plural, signed


def test_a_funnel_loses_nothing_on_the_way():
    mined = Counter(frames_tried=100, frames_near_end=20, frames_camera=30, windows=50)
    steps = funnel(mined, Counter(tracks_lost=4, tracks_drifted=6, pairs=40))
    assert steps[0].left == 100 and steps[-1].left == 40
    assert [step.left for step in steps if step.name in ("windows chosen", "track drifted")] == [
        50,
        40,
    ]
    assert sum(step.lost for step in steps) == 60


def test_more_windows_than_frames_begin_the_second_part_anew():
    steps = funnel(Counter(frames_tried=10, windows=25), Counter(pairs=25))
    assert [step.left for step in steps][5:8] == [10, 25, 25]


@pytest.mark.parametrize("count", [0, 1, 299, 300, 301, 10_000])
def test_a_thinned_line_keeps_its_mean_and_its_ends(count):
    values = list(np.linspace(0, 1, count)) if count else []
    thin = thinned(values)
    assert len(thin) == min(count, 300)
    if count:
        assert np.mean(thin) == pytest.approx(np.mean(values), abs=0.01)


def test_filters_are_stretched_one_by_one_and_the_sheet_is_in_bgr():
    filters = np.zeros((2, 3, 5, 5), np.float32)
    filters[0, 0, 0, 0] = 1e-3  # the input's blue
    filters[1, 2] = np.arange(25).reshape(5, 5)  # red
    sheet = filter_sheet(filters)
    assert sheet[5, 5].tolist() == [255, 0, 0]
    assert sheet[..., 2].max() == 255


def test_units_that_never_answer_are_not_shown_and_the_draw_is_fixed():
    answers = np.zeros((4, 30), np.float32)
    answers[0, 10:] = 1
    assert choose_units(answers) == choose_units(answers)
    assert min(choose_units(answers)) >= 10
    assert len(choose_units(answers)) == 8


def test_a_video_stands_once_among_the_strongest():
    answers = np.array([5, 4, 3, 2, 1], np.float32)
    assert strongest(answers, ["a", "a", "b", "c", "c"], 3) == [0, 2, 3]


def test_pairs_are_drawn_over_all_shards_and_the_scores_are_those_of_the_pairs(small_run, tmp_path):
    shard = Looked.into(small_run.shards)
    paths = []
    for number_ in range(3):
        paths.append(tmp_path / f"{number_}.arrow")
        write_pairs(paths[-1], [shard.pair(number_), shard.pair(number_ + 3)], {}, {})
    looked = Looked.into(paths)
    assert len(looked) == 6
    scores = np.concatenate(looked.scores)
    assert [looked.pair(i).track_score for i in range(6)] == scores.tolist()
    assert looked.drawn(4, "x") == looked.drawn(4, "x") != looked.drawn(4, "y")
    assert looked.drawn(99, "x") == list(range(6))
    with pytest.raises(IndexError):
        looked.pair(6)


def test_of_many_shards_a_few_are_opened(small_run):
    assert len(Looked.into(small_run.shards * 40).shards) == 16


def test_a_log_that_is_cut_short_is_read_up_to_there(small_run):
    log = read_log(small_run.weights("unsup_8m", 0).with_name("log.jsonl"), "unsup_8m")
    assert len(log.steps["loss"]) == 12
    assert log.hard_from == 70
    assert log.warnings == ["the features have collapsed"]


def test_records_that_are_damaged_or_of_a_page_are_passed_over(small_run, tmp_path):
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text('{"start": 1}')
    own = tmp_path / "results/report/index.html.json"
    own.parent.mkdir(parents=True)
    own.write_text((small_run.folder / "provenance/results/run.json.json").read_text())
    assert history(tmp_path) is None
    told = history(small_run.folder / "provenance")
    assert told is not None and told.commits == ("c0ffee",)
    assert job_times(small_run.folder / "benchmarks") == [("pretrain", 1, 75.5)]


def test_the_papers_value_and_spread_belong_to_the_row():
    table = pd.DataFrame(
        {
            "method": ["a", "a", "b"],
            "seed": [0, 1, 0],
            "mAP": [1.0, 3.0, 5.0],
            "paper_value": [44.0, 44.0, np.nan],
            "paper_source": ["unconfirmed: recalled", "unconfirmed: recalled", np.nan],
        }
    )
    first, second = rows_of(table)
    assert (first.mean, first.spread) == (2.0, pytest.approx(2**0.5))
    assert (first.paper, second.paper, second.spread) == (44.0, None, None)
    assert chosen_methods(table) == ["a", "b"]


def test_a_sheet_of_normals_is_cut_between_two_rows():
    sheet = np.full((1000, 30, 3), 9, np.uint8)
    for row in range(0, 1000, 187):
        sheet[row : row + 2] = 0
    assert len(whole_rows(sheet)) == 4 * 187 + 2


def test_words_for_numbers():
    assert [duration(s) for s in (5, 600, 7200, 400_000)] == ["5 s", "10 min", "2.0 h", "4.6 days"]
    assert [plural(1, "video"), plural(1200, "video")] == ["1 video", "1,200 videos"]
    assert [signed(-0.04), signed(2.5), signed(-1.25, 2)] == ["0.0", "+2.5", "−1.25"]
    assert [number(float("nan")), number(-2)] == ["", "−2.0"]
    assert [certainty(s) for s in ("", "unconfirmed: x", "abstract")] == [
        "",
        "unconfirmed",
        "stated",
    ]
