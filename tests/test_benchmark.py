"""`trackssl benchmark`: anybody's weights as rows of every table."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from trackssl.benchmark import benchmark_config
from trackssl.config import Network
from trackssl.errors import InputError
from trackssl.networks import RANKING, build_ranking, save_weights

REPOSITORY = Path(__file__).parents[1]
TABLES = ("voc_map", "voc_retrieval", "voc07_classification", "mit67_accuracy", "nyu_normals")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "theirs" / "seed0" / "weights.safetensors"
    settings = Network(width=0.1, input_px=67)
    told = '{"network": {"width": 0.1, "input_px": 67}}'
    path.parent.mkdir(parents=True)
    save_weights(path, build_ranking(settings, 3), {"format": RANKING, "settings": told})
    return path


def test_a_weights_file_becomes_rows_of_every_table(weights: Path, tmp_path: Path) -> None:
    command = ["trackssl", "benchmark", "--weights", str(weights), "--dry-run"]
    where = ["--config", str(REPOSITORY / "config.yaml"), "--directory", str(tmp_path / "run")]
    pipeline = ["--snakefile", str(REPOSITORY / "Snakefile")]
    done = subprocess.run([*command, *where, *pipeline], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for table in TABLES:
        assert f"results/{table}.csv" in done.stdout
    assert "results/detection/methods/theirs_pool5/seed0/ap.csv" in done.stdout
    assert not re.search(r"^(mine_patches|pretrain) ", done.stdout, re.M)
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["network"]["width"] == 0.1
    assert written["networks"]["theirs"]["path"] == str(weights)


def test_the_controls_name_and_other_files_are_refused(weights: Path, tmp_path: Path) -> None:
    base = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    with pytest.raises(InputError, match="is that of the control"):
        benchmark_config(base, weights, "scratch")
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"broken\.safetensors"):
        benchmark_config(base, tmp_path / "broken.safetensors", "broken")
