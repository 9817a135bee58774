"""What holds for all tests: where published data lie, and who may be absent."""

import os
from pathlib import Path

import pytest

# pytest runs one process per core; threads of numpy and torch on top of that only spin on each other's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

DATA_VARIABLE = "UNIMAT_DATA_DIR"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("published") and not Path(os.environ.get(DATA_VARIABLE, "nowhere")).is_dir():
        pytest.skip(f"needs published data: set {DATA_VARIABLE} to a folder that holds them")


@pytest.fixture
def published_data() -> Path:
    """Folder of published data; for tests marked `published`."""
    return Path(os.environ[DATA_VARIABLE])
