import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trackssl.pretraining import reporting
from trackssl.pretraining.reporting import Curves, StatusLine, duration


def test_curves_hold_each_step_once_however_often_a_run_was_killed(tmp_path: Path) -> None:
    log, folder = tmp_path / "log.jsonl", tmp_path / "curves"
    lines = [{"iteration": i, "loss": 1 / i, "hard_negatives": i > 20} for i in (10, 20, 30)]
    kept = b"".join(json.dumps(line).encode() + b"\n" for line in lines[:2])
    for seen in (0, len(kept)):
        log.write_bytes(kept[:seen] + b"what came after the checkpoint")
        with Curves(folder, log, seen) as curves:
            for line in lines[2:] if seen else lines:
                curves.add(line)
            curves.add({"warning": "the features have collapsed"})
    found = EventAccumulator(str(folder)).Reload()
    assert found.Tags()["scalars"] == ["loss", "hard_negatives"]
    assert [event.step for event in found.Scalars("loss")] == [10, 20, 30]
    assert [event.value for event in found.Scalars("loss")] == pytest.approx([0.1, 0.05, 1 / 30])
    assert [event.value for event in found.Scalars("hard_negatives")] == [0, 0, 1]


def test_curves_leave_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with Curves(tmp_path, tmp_path / "none", 0):
        pass
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_outside_of_a_terminal_there_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 10.0, 31.0, 40.0, 99.0])
    monkeypatch.setattr(reporting.time, "monotonic", lambda: next(clock))
    with StatusLine("ranking", 100, 2100) as status:
        for done in (200, 1100, 1200, 2100):
            status.update(done, 0.25, 0.4, 812.4)
    assert capsys.readouterr().err.splitlines() == [
        "1,100 of 2,100 iterations  loss 0.250  40% violated  812 images/s  31 s left",
        "2,100 of 2,100 iterations  loss 0.250  40% violated  812 images/s",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.4, "8 s"), (61, "2 min"), (3600, "1 h 0 min"), (11100, "3 h 5 min"), (187300, "2 d 4 h")],
)
def test_time_left_has_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text
