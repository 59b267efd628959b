from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from trackssl.config import Network, Voc
from trackssl.errors import InputError
from trackssl.report.commands import compare_methods
from trackssl.report.publish import publish_table
from trackssl.report.rows import paper_value
from trackssl.report.terminal import render, render_differences
from trackssl.report.voc_map import Row, voc_map_rows
from trackssl.tables import (
    FIRST_COLUMNS,
    LAST_COLUMNS,
    paired_differences,
    read_csv,
    summarise,
    write_csv,
    write_results,
)


def row(method: str, seed: int, value: float) -> dict:
    return {
        "run": "test", "data": "miniworld", "split": "val", "method": method, "pairs": 300,
        "rounds": 0, "members": 1, "seed": seed, "items": 100, "mAP": value, "fish": value / 3,
        "paper_value": None, "paper_source": "", "comparable": "false", "protocol": "a test",
    }  # fmt: skip


METHODS = [("scratch", 10.0), ("ours", 20.0)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "voc_map.csv"
    write_results(path, [row("scratch", 0, 10.0), row("scratch", 1, 14.0), row("ours", 0, 20.0)])
    return path


def test_a_results_table_begins_and_ends_with_the_columns_of_all_tables(table: Path) -> None:
    columns = list(read_csv(table).columns)
    assert columns == [*FIRST_COLUMNS, "mAP", "fish", *LAST_COLUMNS]


def test_a_summary_holds_mean_and_sample_spread_over_seeds(table: Path) -> None:
    summary = summarise(read_csv(table), ["mAP"]).set_index("method")
    assert summary.loc["scratch", "mAP_mean"] == 12
    assert summary.loc["scratch", "mAP_std"] == pytest.approx(8**0.5)
    assert summary.loc["scratch", "seeds"] == 2
    assert pd.isna(summary.loc["ours", "mAP_std"])


def test_methods_are_compared_seed_by_seed() -> None:
    values = {("a", 0): 10, ("a", 1): 14, ("a", 2): 30, ("b", 0): 8, ("b", 1): 15, ("b", 3): 99}
    table = pd.DataFrame([row(method, seed, value) for (method, seed), value in values.items()])
    found = paired_differences(table, [("a", "b"), ("b", "a"), ("a", "absent")], ["mAP"])
    assert list(zip(found.method, found.than, strict=True)) == [("a", "b"), ("b", "a")]
    assert list(found.seeds) == [2, 2]
    assert list(found.difference_mean) == [0.5, -0.5]
    assert found.difference_std[0] == pytest.approx(np.std([2, -1], ddof=1))
    assert list(found.seeds_higher) == [1, 1]


def test_differences_over_several_seeds_are_shown_below_the_table(table: Path) -> None:
    assert render_differences(table) is None
    beside = table.with_name("voc_map_differences.csv")
    write_csv(beside, paired_differences(read_csv(table), [("ours", "scratch")], ["mAP"]))
    assert render_differences(table) is None, "one common seed has no spread"
    rows = [row(name, seed, value + seed) for name, value in METHODS for seed in (0, 1, 2)]
    write_csv(beside, paired_differences(pd.DataFrame(rows), [("ours", "scratch")], ["mAP"]))
    drawn = render_differences(table)
    assert drawn is not None
    assert [next(iter(column.cells)) for column in drawn.columns] == [
        "ours", "scratch", "mAP", "+10.0", "0.0", "3 of 3",
    ]  # fmt: skip


def test_the_published_page_says_that_the_miniature_is_not_the_paper(table: Path) -> None:
    page, metrics = table.with_suffix(".md"), table.with_suffix(".json")
    publish_table(table, page, metrics)
    assert "Not comparable with the paper's numbers" in page.read_text()
    assert "| scratch | 300 | 0 | 1 | 1 | 14.00 |" in page.read_text()
    assert '"mAP": 12.0' in metrics.read_text()


def test_unknown_pairs_are_an_empty_cell_and_known_ones_stay_whole_numbers(tmp_path: Path) -> None:
    networks = {}
    for name, pairs in [("known", "8000000"), ("unknown", "")]:
        networks[name] = str(tmp_path / f"{name}.safetensors")
        metadata = {"pairs": pairs, "rounds": "0"}
        save_file({"x": np.zeros(1, np.float32)}, networks[name], metadata)
    (tmp_path / "ap.csv").write_text("class,ap\nfish,0.5\nmean,0.5\n")
    rows = [
        Row(method=method, seed=0, ap=str(tmp_path / "ap.csv"), networks=members)
        for method, members in [
            ("ours", [networks["known"]]),
            ("released_color", [networks["unknown"]]),
            ("both", [networks["known"], networks["unknown"]]),
        ]
    ]
    path = tmp_path / "voc_map.csv"
    write_results(path, voc_map_rows(rows, "test", Voc(), Network(), 100))
    cells = [line.split(",")[3:7] for line in path.read_text().splitlines()[1:]]
    assert cells == [
        ["ours", "8000000", "0", "1"],
        ["released_color", "", "0", "1"],
        ["both", "", "0", "2"],
    ]
    publish_table(path, tmp_path / "page.md", tmp_path / "page.json")
    assert "| ours | 8000000 | 0 | 1 | 0 |" in (tmp_path / "page.md").read_text()
    assert "| released_color |  | 0 | 1 | 0 |" in (tmp_path / "page.md").read_text()
    assert list(render(path).columns[1].cells) == ["8000000", "", ""]


def test_every_value_of_the_paper_has_a_source() -> None:
    assert paper_value("voc_map", "unsup_ensemble_3", "mAP") == (52, "abstract of arXiv 1505.00687")
    assert paper_value("voc_map", "unsup_1_5m", "mAP")[1].startswith("unconfirmed")
    assert paper_value("voc_map", "our_own_idea", "mAP") == (None, "")


def test_the_terminal_shows_a_row_each(table: Path) -> None:
    assert render(table).row_count == 3


def test_an_absent_table_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as a CSV table"):
        read_csv(tmp_path / "absent.csv")


def test_comparisons_that_are_no_list_are_refused_in_a_sentence(table: Path, capfd) -> None:
    with pytest.raises(InputError, match=r"no JSON list of \[method, other\]"):
        compare_methods(table, "x", table.with_name("differences.csv"))
    with pytest.raises(InputError, match="has no column 'AP'; it has mAP, fish"):
        compare_methods(table, "[]", table.with_name("differences.csv"), "AP")
    assert not table.with_name("differences.csv").exists()
