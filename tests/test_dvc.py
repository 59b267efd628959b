import subprocess
import sys
from pathlib import Path
from typing import get_args

from trackssl.config import TableName

REPOSITORY = Path(__file__).parents[1]


def test_dvc_knows_the_run_and_a_page_for_each_published_table() -> None:
    command = [str(Path(sys.executable).with_name("dvc")), "stage", "list", "--name-only"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    tables = [f"table@{name}" for name in get_args(TableName) if name != "second_voc_map"]
    assert listed.stdout.split() == ["pipeline", *tables]
