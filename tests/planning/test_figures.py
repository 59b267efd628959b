from typing import get_args

from trackssl.planning.figures import Basis, Subject, read_figures


def test_every_figure_says_its_unit_what_it_is_about_and_where_it_is_from() -> None:
    figures = read_figures().by_key.values()
    assert len(figures) > 50
    for figure in figures:
        assert figure.unit
        assert figure.source
        assert figure.of in get_args(Subject)
        assert figure.basis in get_args(Basis)
        assert bool(figure.date) == (figure.basis == "measured"), figure.key


def test_no_time_of_a_gpu_counts_as_measured() -> None:
    figures = [figure for figure in read_figures().by_key.values() if figure.of == "gpu"]
    assert figures
    assert all(figure.basis == "assumed" for figure in figures)


def test_a_figures_use_is_noted_within_a_block_and_over_all() -> None:
    figures = read_figures()
    with figures.noting() as used:
        assert figures["decode_s"] > 0
        with figures.noting() as inner:
            assert figures["voc_classes"] == 20
    assert inner == {"voc_classes"}
    assert used == {"decode_s", "voc_classes"}
    assert figures.used == used
