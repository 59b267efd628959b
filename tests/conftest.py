import os
import signal
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
REAL_DATA = Path(os.environ.get("TRACKSSL_TEST_DATA", REPOSITORY.parent / "shared" / "data"))

# Beside other workers one thread each is fastest; it is read when numpy and PyTorch are imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what it runs in the background deaf to Ctrl-C, as then would be what tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The whole graph comes first: its long tests must not be what one worker still does alone."""
    items.sort(key=lambda item: "tests/pipeline/" not in item.nodeid)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real videos, VOC images and tracking sequences; not part of the project."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real test data at {REAL_DATA}; set TRACKSSL_TEST_DATA to have this tested")
    return REAL_DATA


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With TRACKSSL_FORBID_SKIPS, a skipped test is a failure: the machine has all it needs."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")  # none in a worker
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get("TRACKSSL_FORBID_SKIPS"):
        names = ", ".join(report.nodeid for report in skipped)
        reporter.write_line(f"\nskipped although everything is at hand: {names}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
