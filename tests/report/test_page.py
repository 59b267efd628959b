"""What the page says, read as text."""

import re
from html import unescape
from pathlib import Path

import pytest
from small_run import STRANGE, small_config, write_run, write_unlabelled_run
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.errors import InputError
from trackssl.report.page.blocks import Text
from trackssl.report.page.detecting import detection_section
from trackssl.report.page.run import Run
from trackssl.report.page.write import write_page

LABEL = "tiny: a drawn world, not comparable with the paper"


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def section_of(page: Path, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', text_of(page), re.S)
    assert found, f"the page has no section {name}"
    return unescape(found[0])


def test_every_stage_has_its_section_in_order(page):
    ids = re.findall(r'<section id="(\w+)"', text_of(page))
    assert ids == [
        "headline", "run", "videos", "mining", "pretraining", "detection", "retrieval",
        "classification", "scenes", "normals", "paper",
    ]  # fmt: skip


def test_nothing_of_the_page_lies_outside_of_it(page):
    text = text_of(page)
    addresses = re.findall(r'(?:src|href|action|data|poster|srcset)="([^"#][^"]*)"', text)
    outside = [a for a in addresses if not a.startswith("data:")]
    assert outside and all(a.endswith(".csv") and "://" not in a for a in outside)
    assert "@import" not in text and "url(" not in re.sub(r"url\(#", "", text)
    assert "default-src 'none'" in text


def test_links_to_csv_files_lead_to_them(page):
    links = re.findall(r'class="csv" href="([^"]*)"', text_of(page))
    assert len(links) >= 8
    assert all((page.parent / link).is_file() for link in links)


def test_every_chart_of_a_run_beside_the_paper_bears_its_label(page):
    text = text_of(page)
    charts = re.findall(r"<svg .*?</svg>", text, re.S)
    assert len(charts) >= 16
    assert all(LABEL in chart for chart in charts)
    tiles = text.count('<ul class="tiles')
    assert text.count(f'<p class="label">{LABEL}</p>') == tiles >= 5


def test_drawings_have_ids_of_their_own_and_take_the_pages_colours(page):
    ids = re.findall(r' id="([^"]*)"', text_of(page))
    assert len(ids) == len(set(ids))
    charts = "".join(re.findall(r"<svg .*?</svg>", text_of(page), re.S))
    assert "var(--line1)" in charts and "DejaVu" not in charts
    assert not re.search(r"#0[0-9a-f]0[0-9a-f]0[0-9a-f]", charts)
    references = re.findall(r'(?:url\(#|href="#)([\w-]+)', charts)
    assert references and set(references) <= set(ids)


def test_names_of_videos_are_text_and_never_markup(page):
    text = text_of(page)
    assert "<script>alert" not in text and "<b>" not in text
    assert STRANGE in unescape(text)


def test_the_headline_says_means_and_spreads_and_the_papers_certainty(page):
    headline = section_of(page, "headline")
    assert "unsup_8m: 25.5, spread 0.7 over 2 seeds, paper 47.5" in headline
    assert "These are not the paper's numbers made again" in headline
    assert "It is one seed" not in headline
    paper = section_of(page, "paper")
    assert "abstract of arXiv 1505.00687" in paper and "unconfirmed: recalled" in paper


def test_what_was_run_is_told(page):
    run = section_of(page, "run")
    for words in ("c0ffee", "node, 2 cores", "90 min", "75.5", "4 from the source miniworld"):
        assert words in run
    assert "min_moving_share" not in run  # the paper's value is not told again


def test_the_ways_of_videos_and_frames_are_counted(page):
    assert "private" in section_of(page, "videos")
    mining = section_of(page, "mining")
    assert "too little moves: 8 lost, 30 left" in mining
    assert "pairs kept: 20 left" in mining


def test_a_warning_of_the_log_stands_on_the_page(page):
    assert "unsup_8m: the features have collapsed" in section_of(page, "pretraining")


def test_a_run_without_labels_has_its_sections_and_says_what_is_missing(tmp_path):
    write_unlabelled_run(tmp_path)
    page = tmp_path / "results/report/index.html"
    write_page(tmp_path, small_config(), page)
    assert "There is no table" in section_of(page, "headline")
    assert "<strong>20</strong>" in section_of(page, "headline")
    assert "Detection was not part of this run." in section_of(page, "absent")
    assert '<section id="detection"' not in text_of(page)
    assert "First-layer filters of unsup_8m" in section_of(page, "pretraining")
    assert '<section id="paper"' not in text_of(page)


def test_of_an_empty_run_every_section_says_so(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/run.json").write_text('{"name": "bare"}')
    page = tmp_path / "page.html"
    write_page(tmp_path, None, page)
    absent = section_of(page, "absent")
    for words in ("no manifests", "Nothing was mined", "No network was trained", "Scenes were not"):
        assert words in absent


def test_too_few_pairs_for_units_leave_the_rest(tmp_path):
    write_unlabelled_run(tmp_path, pairs=3)
    write_page(tmp_path, None, tmp_path / "page.html")
    assert "Pairs drawn at random" in section_of(tmp_path / "page.html", "mining")


def test_images_that_are_gone_are_a_sentence(tmp_path):
    write_run(tmp_path)
    for path in tmp_path.rglob("JPEGImages/*.jpg"):
        path.unlink()
    section = detection_section(Run(tmp_path, None, tmp_path / "page.html"))
    texts = [block.text for block in section.blocks if isinstance(block, Text)]
    assert len(texts) == 1 and texts[0].startswith("Detections are not drawn")


def test_two_pages_of_one_run_differ_in_their_time_alone(small_run, tmp_path):
    again = small_run.page.with_name("again.html")
    write_page(small_run.folder, small_run.config, again)
    time = re.compile(r"on \d{4}-\d\d-\d\d \d\d:\d\d UTC")
    assert time.sub("", text_of(again)) == time.sub("", text_of(small_run.page))


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no run here"):
        write_page(tmp_path, None, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_the_command_takes_the_config_as_json_or_as_a_file(tmp_path):
    write_unlabelled_run(tmp_path, pairs=3)
    config = tmp_path / "config.yaml"
    config.write_text(small_config().model_dump_json())  # JSON is YAML
    for given in (str(config), config.read_text()):
        out = tmp_path / "page.html"
        result = CliRunner().invoke(
            app, ["report", str(tmp_path), "--config", given, "--out", str(out)]
        )
        assert result.exit_code == 0, result.output
        assert "alexnet, width 0.125" in section_of(out, "run")
        out.unlink()
