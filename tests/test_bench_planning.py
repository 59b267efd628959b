"""What planning the paper's run for a cluster costs; its speed on a busy machine is no matter."""

import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_the_papers_run_is_planned_for_a_cluster_within_a_gibibyte(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, str(REPOSITORY / "bench/planning.py"), "--shards", "1000"]
    more = ["--profiles", "slurm", "--json", str(out)]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(out.read_text())
    assert found["jobs"] == 3221 and found["profile"] == "slurm"
    assert 50 < found["memory_mib"] <= 1024
    assert 0 < found["cpu"] <= 60  # 20 are wanted of a machine that does nothing else
