import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from trackssl import tuning
from trackssl.cli import app
from trackssl.config import Network, Normals, Nyuv2
from trackssl.datasets.nyuv2 import NyuFile, NyuIndex
from trackssl.errors import InputError
from trackssl.networks import build_ranking, load_weights, save_weights
from trackssl.networks.weights import RANKING
from trackssl.normals import prepared as preparing
from trackssl.normals.network import build_normals
from trackssl.normals.prepared import Prepared, prepare
from trackssl.normals.scoring import score_file
from trackssl.normals.train import predict, soft_loss, squash, train_normals
from trackssl.tuning import Start

NETWORK = Network(width=0.1, input_px=67)
SETTINGS = Normals(
    iterations=12, lr_step_iterations=None, learning_rate=0.1, batch_images=4, dropout=0.2
)


def train(prepared: Prepared, folder: Path, start: Start, settings: Normals = SETTINGS) -> Path:
    out = folder / "weights.safetensors"
    train_normals(
        prepared, start, NETWORK, settings, 1, out, folder / "log.jsonl", folder / "progress"
    )
    return out


def test_the_crop_is_nyus_and_normals_are_kept_to_a_hundredth_of_a_degree(
    prepared: Prepared, data: Nyuv2, index: NyuIndex
) -> None:
    assert prepared.images("train").shape == (4, 427, 561, 3)
    assert prepared.targets().shape == (4, 2, 4, 4, 12)
    assert prepared.targets().sum(axis=4).max() == pytest.approx(1, abs=1e-5)
    number = index.splits["test"][1]
    with NyuFile(Path(data.mat)) as frames:
        assert (prepared.images("test")[1] == frames.image(number)[44:471, 40:601]).all()
        truth = preparing.frame_normals(frames, number, data.normals, data)[44:471, 40:601]
    stored = list(prepared.fields("test"))[1]
    assert (np.isnan(stored) == np.isnan(truth)).all()
    assert np.nanmax(np.abs(stored - truth)) < 1e-4


def test_a_killed_preparation_goes_on_and_ends_alike(
    prepared: Prepared,
    data: Nyuv2,
    index: NyuIndex,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, calls = preparing.frame_normals, []

    def dies(*args: object) -> np.ndarray:
        calls.append(args[1])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return read(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(preparing, "_SAVE_SECONDS", 0)
    monkeypatch.setattr(preparing, "frame_normals", dies)
    out = tmp_path / "prepared"
    with pytest.raises(KeyboardInterrupt):
        prepare(index, data, out, tmp_path / "progress")
    assert not out.exists()
    prepare(index, data, out, tmp_path / "progress")
    assert len(calls) == 4 + 3  # three frames were kept
    for path in prepared.folder.iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes(), path.name


def test_training_learns_resumes_and_is_repeatable(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Start("random", None, 3)
    whole = train(prepared, tmp_path / "whole", start)
    log = [json.loads(line) for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < 0.97 * log[0]["loss"]

    save, saves = tuning.Checkpoint.save, []

    def dies(self: tuning.Checkpoint, *args: object) -> None:
        save(self, *args)  # type: ignore[arg-type]
        saves.append(1)
        if len(saves) == 5:
            raise KeyboardInterrupt

    often = SETTINGS.model_copy(update={"checkpoint_every_seconds": 1e-9})
    monkeypatch.setattr(tuning.Checkpoint, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        train(prepared, tmp_path / "killed", start, often)
    assert train(prepared, tmp_path / "killed", start, often).read_bytes() == whole.read_bytes()
    assert not (tmp_path / "killed/progress").exists()
    other = train(prepared, tmp_path / "other", Start("random", None, 4))
    assert other.read_bytes() != whole.read_bytes()


def test_convolutions_are_carried_over(tmp_path: Path) -> None:
    ranking = build_ranking(NETWORK, seed=1)
    settings = json.dumps({"network": NETWORK.model_dump()})
    metadata = {"format": RANKING, "settings": settings, "pairs": "7"}
    save_weights(tmp_path / "ranking.safetensors", ranking, metadata)
    made = build_normals(Start("weights", tmp_path / "ranking.safetensors", 0), NETWORK, 20, 0.5)
    for name, tensor in ranking.state_dict().items():
        if name.startswith("conv"):
            assert torch.equal(made.state_dict()[name], tensor)
    assert made.state_dict()["fc6.bias"].shape == (408,)


def test_cells_without_a_code_are_not_learnt() -> None:
    scores = torch.randn(2, 12, requires_grad=True)  # 3 cells of 4 words
    targets = torch.zeros(2, 3, 4)
    targets[0, 1, 2] = targets[1, 2, 0] = 1
    loss = soft_loss(scores, targets)
    cells = scores.reshape(6, 4)[[1, 5]]
    plain = torch.nn.functional.cross_entropy(cells, torch.tensor([2, 0]))
    assert loss.item() == pytest.approx(plain.item(), abs=1e-6)
    loss.backward()
    assert not scores.grad.reshape(6, 4)[[0, 2, 3, 4]].any()  # type: ignore[union-attr]


def test_predictions_are_unit_normals_of_each_cell(prepared: Prepared, tmp_path: Path) -> None:
    weights = train(prepared, tmp_path, Start("random", None, 0))
    found = predict(weights, prepared.images("test"), 1)
    assert found.shape == (2, 4, 4, 3)
    assert np.linalg.norm(found, axis=3) == pytest.approx(1, abs=1e-5)
    assert squash(prepared.images("test")[:1], 67).shape == (1, 67, 67, 3)
    assert load_weights(weights)[1]["pairs"] == "0"


def test_the_truth_itself_scores_perfectly(prepared: Prepared, tmp_path: Path) -> None:
    truth = np.stack([np.nan_to_num(field, nan=1) for field in prepared.fields("test")])
    np.save(tmp_path / "truth.npy", truth)
    found = score_file(prepared, tmp_path / "truth.npy")
    assert found.mean < 1e-4 and found.median < 1e-4
    assert found[2:5] == (100, 100, 100)


def test_other_files_are_told(prepared: Prepared, tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", np.ones((1, 4, 4, 3)))
    with pytest.raises(InputError, match="its shape"):
        score_file(prepared, tmp_path / "few.npy")
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match=r"cannot be read as \.npy"):
        score_file(prepared, tmp_path / "object.npy")
    with pytest.raises(InputError, match="prepare-normals"):
        Prepared.open(tmp_path)


def test_the_commands_go_from_rooms_to_scores(data: Nyuv2, tmp_path: Path) -> None:
    run = CliRunner()

    def do(*args: str) -> str:
        result = run.invoke(app, [*args], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    settings = data.model_dump_json()
    index, folder = str(tmp_path / "index.json"), str(tmp_path / "prepared")
    assert "train 4, test 2" in do("fetch-nyuv2", "--settings", settings, "--out", index)
    computed = json.loads(Path(index).read_text()) | {"normals": None}
    Path(index).write_text(json.dumps(computed))
    given = ("--settings", settings, "--progress", str(tmp_path / "progress"))
    assert "4 + 2 images" in do("prepare-normals", "--index", index, "--out", folder, *given)
    assert Prepared.open(Path(folder)).truth == "depth"
    out, pictures = str(tmp_path / "test.npy"), tmp_path / "test.png"
    do("predict-normals", "--prepared", folder, "--out", out, "--pictures", str(pictures))
    assert pictures.stat().st_size > 10_000
    scores = tmp_path / "scores.json"
    do("score-normals", "--prepared", folder, "--predictions", out, "--out", str(scores))
    found = json.loads(scores.read_text())
    assert 0 < found["median"] < 90
    assert 0 < found["within_11_25"] < found["within_22_5"] < found["within_30"] < 100
