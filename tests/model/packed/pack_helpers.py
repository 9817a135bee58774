"""A tiny run, and what packs, unpacks and runs it as another machine would."""

import dataclasses
import os
import subprocess
import sys
import tarfile

import jax
import pytest

from tests.model.model_helpers import TINY_MODEL, TINY_TRAIN
from unimat.errors import UserError
from unimat.model.packed.pack import Packed, record_of

SETS = {"generated": {"n": 5, "steps": 4, "batch_size": 2, "seed": 1}}
OUTPUTS = ("model.npz", "history.csv")
HURRIED = dataclasses.replace(TINY_TRAIN, time_limit_minutes=1e-9)


def packed(dataset, **changes):
    return Packed(name="tiny", model=TINY_MODEL, train=TINY_TRAIN, sets=SETS, encoded=dataset, **changes)


def unpacked(archive, folder):
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


def run_there(root, *arguments):
    """run.py, without a way to any code but the packed one and the environment's packages."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # What was compiled here need not be compiled again.
    environment |= {
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "JAX_PLATFORMS": "cpu",
    }
    command = list(map(str, [sys.executable, root / "run.py", *arguments]))
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root.parent, timeout=300)


def refusal(function, *arguments):
    """The one line that refuses."""
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same_bytes(one, other, names=OUTPUTS):
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def expected_of(dataset, **changes):
    return record_of(dataset, TINY_MODEL, dataclasses.replace(TINY_TRAIN, **changes))
