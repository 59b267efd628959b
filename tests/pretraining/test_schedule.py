import pytest

from trackssl.config import PairSet, Pretraining, Readaptation
from trackssl.errors import InputError
from trackssl.pretraining.schedule import pretraining_schedule, readaptation_schedule


def test_the_papers_runs_turn_hard_at_half_at_the_latest() -> None:
    small, large = (
        pretraining_schedule(Pretraining(), s, n)
        for s, n in [("1_5m", 1_500_000), ("8m", 8_000_000)]
    )
    assert (small.iterations, small.hard_from) == (150_000, 75_000)  # 10 epochs are 300,000
    assert (large.iterations, large.hard_from) == (350_000, 175_000)


def test_a_long_run_turns_hard_after_ten_epochs() -> None:
    settings = Pretraining(sets={"s": PairSet(size=100, epochs=30)}, batch_pairs=50)
    assert pretraining_schedule(settings, "s", 100).hard_from == 20
    # the epochs are those of the pairs there are
    assert pretraining_schedule(settings, "s", 75).iterations == 45


def test_the_rate_falls_to_a_tenth_at_each_step() -> None:
    schedule = pretraining_schedule(Pretraining(), "1_5m", 1_500_000)
    assert [schedule.rate(i) for i in (0, 79_999, 80_000)] == [0.001, 0.001, 0.0001]


def test_a_step_may_be_told_in_epochs() -> None:
    pair_set = PairSet(size=100, epochs=30, lr_step_epochs=7.5)
    schedule = pretraining_schedule(Pretraining(sets={"s": pair_set}, batch_pairs=50), "s", 100)
    assert schedule.lr_step_iterations == 15
    assert [schedule.rate(i) for i in (14, 15, 30)] == pytest.approx([1e-3, 1e-4, 1e-5])
    with pytest.raises(ValueError, match="lr_step_iterations or lr_step_epochs, not both"):
        PairSet(size=100, epochs=30, lr_step_epochs=7.5, lr_step_iterations=15)


def test_hard_negatives_that_never_begin_are_refused() -> None:
    settings = Pretraining(hard_negatives_from_iteration=150_000)
    with pytest.raises(InputError, match="hard negatives would never begin"):
        pretraining_schedule(settings, "1_5m", 1_500_000)
    assert pretraining_schedule(settings, "5m", 5_000_000).hard_from == 150_000


def test_an_unknown_set_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"no set '2m'.*1_5m, 5m, 8m"):
        pretraining_schedule(Pretraining(), "2m", 10)


def test_the_return_to_ranking_is_hard_from_the_start() -> None:
    whole = pretraining_schedule(Pretraining(), "5m", 5_000_000)
    schedule = readaptation_schedule(whole, Readaptation(learning_rate=0.002))
    assert (schedule.iterations, schedule.lr_step_iterations) == (175_000, 60_000)
    assert (schedule.hard_from, schedule.rate(0)) == (0, 0.002)
