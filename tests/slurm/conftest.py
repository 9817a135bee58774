"""A real Slurm of one node for the tests of this folder, and what its jobs need."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "vasp")]

from slurm_cluster import Slurm, missing_programs


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """The cluster, started once and stopped at the end, whatever happened."""
    if missing := missing_programs():
        message = f"needs Slurm (apt-get install slurm-wlm munge slurm-client): no {', '.join(missing)}"
        if os.environ.get("UNIMAT_REQUIRE_SYSTEM"):
            pytest.fail(message)
        pytest.skip(message)
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
