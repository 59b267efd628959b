import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from snakemake_run import TINY, Pipeline


@pytest.fixture
def tiny() -> dict:
    return yaml.safe_load(yaml.safe_dump(TINY))


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    yield Pipeline(tmp_path)
    shutil.rmtree(tmp_path, ignore_errors=True)
