import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
REAL_DATA = Path(os.environ.get("TRACKSSL_TEST_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real videos, VOC images and tracking sequences; not part of the project."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real test data at {REAL_DATA}; set TRACKSSL_TEST_DATA to have this tested")
    return REAL_DATA


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With TRACKSSL_FORBID_SKIPS, a skipped test is a failure: the machine has all it needs."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get("TRACKSSL_FORBID_SKIPS"):
        names = ", ".join(report.nodeid for report in skipped)
        reporter.write_line(f"\nskipped although everything is at hand: {names}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
