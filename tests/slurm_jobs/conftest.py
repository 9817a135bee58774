"""A real Slurm of one node for the tests of this folder, and what its jobs need."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm_jobs.slurm_cluster import Slurm


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """The cluster, started once and stopped at the end, whatever happened."""
    # A short name: a socket's path has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    cluster = Slurm(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)
