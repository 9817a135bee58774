"""What tests need and `make env` does not bring: whether it is there, and how to get it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.slurm_jobs.slurm_cluster import missing_programs
from unimat.distributions import installed

DATA_VARIABLE = "UNIMAT_DATA_DIR"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """Path of a browser that Playwright can drive."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


GPAW = "apt-get install libxc-dev libopenblas-dev libfftw3-dev libopenmpi-dev, then make gpaw"
# Argument of the marker `system`: whether it is there, and how it comes.
SYSTEM: dict[str, tuple[Callable[[], bool], str]] = {
    "chromium": (lambda: chromium() is not None, "apt-get install --no-install-recommends chromium"),
    "gpaw": (lambda: installed("gpaw") and installed("gpaw-data"), GPAW),
    "jobflow-remote": (lambda: installed("jobflow-remote"), "pip install jobflow-remote"),
    "slurm": (lambda: not missing_programs(), "apt-get install slurm-wlm munge slurm-client"),
}


def lacking(item: pytest.Item) -> str | None:
    """What a test needs and this machine lacks, with the remedy; None if it can run.

    Raises:
        pytest.UsageError: if a marker `system` names nothing that is known.
    """
    for marker in item.iter_markers("system"):
        if not marker.args or set(marker.args) - SYSTEM.keys():
            raise pytest.UsageError(f"{item.nodeid}: the marker system names one of {', '.join(SYSTEM)}")
        for name in marker.args:
            there, remedy = SYSTEM[name]
            if not there():
                return f"needs {name}: {remedy}"
    if item.get_closest_marker("published") and not Path(os.environ.get(DATA_VARIABLE, "nowhere")).is_dir():
        return f"needs published data: set {DATA_VARIABLE} to a folder that holds them"
    return None
