from pathlib import Path

import pytest
from small_run import small_config, write_run

from trackssl.report.page.run import Run
from trackssl.report.page.write import write_page


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small finished run with its page."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder)
    run = Run(folder, small_config(), folder / "results/report/index.html")
    write_page(run.folder, run.config, run.page)
    return run


@pytest.fixture(scope="session")
def page(small_run: Run) -> Path:
    """The page of the small run."""
    return small_run.page
