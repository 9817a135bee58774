"""A tiny run that never left, and the same one packed and stopped elsewhere; tests change none of them."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from tests.model.model_helpers import TINY_MODEL, TINY_TRAIN, write_tiny_dataset
from tests.model.packed.pack_helpers import HURRIED, packed, run_there, unpacked
from unimat.model.machine.interruption import EXIT_CODE
from unimat.model.packed.pack import pack
from unimat.model.training import train as training


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded")
    write_tiny_dataset(folder)
    return folder


@pytest.fixture(scope="session")
def straight(dataset, tmp_path_factory):
    """Outputs of a run that never left."""
    out = tmp_path_factory.mktemp("straight")
    training.train(dataset, TINY_MODEL, TINY_TRAIN, out / "work", out)
    return out


@pytest.fixture(scope="session")
def archive(dataset, tmp_path_factory):
    """The run before anything is trained; its own time limit is over after one step."""
    path = tmp_path_factory.mktemp("archive") / "tiny.tar"
    pack(dataclasses.replace(packed(dataset), train=HURRIED), path)
    return path


@pytest.fixture(scope="session")
def collected(archive, tmp_path_factory):
    """Folder that a machine gave back whose time was over after a step."""
    folder = tmp_path_factory.mktemp("elsewhere")
    done = run_there(unpacked(archive, folder / "machine"), "train", "--device", "cpu", "--collect", folder / "out")
    assert done.returncode == EXIT_CODE, done.stderr
    assert "stopped after step 1 of 8; the same command goes on" in done.stderr
    assert "step 1 of 8 is in" in done.stderr
    return folder / "out"


@pytest.fixture
def copied(collected, tmp_path):
    return Path(shutil.copytree(collected, tmp_path / "collected"))
