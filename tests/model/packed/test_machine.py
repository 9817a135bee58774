"""run.py on a machine that lacks something, or takes itself away."""

import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.model.model_helpers import TINY_TRAIN
from tests.model.packed.pack_helpers import HURRIED, refusal, run_there, unpacked
from unimat.model.machine.interruption import Interrupted, Interruption
from unimat.model.packed import machine, there
from unimat.model.packed.deadline import interrupting
from unimat.model.packed.launcher import Options


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["train", "--device", "gpu", "--collect", "out"],
            "a gpu was asked for, and JAX found 1 x cpu (cpu); ",
        ),
        (
            ["train", "--minutes", "0.5", "--collect", "out"],
            "--minutes 0.5 leaves nothing beside --reserve 45 s",
        ),
        (["sample", "--collect", "out"], "there is no trained model here; finish `run.py train`, or pack with --model"),
    ],
)
def test_what_is_wrong_there_is_one_line(archive, tmp_path, arguments, words):
    done = run_there(unpacked(archive, tmp_path / "machine"), *arguments)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert words in line
    assert "Traceback" not in done.stderr


def test_missing_and_old_packages_are_told_with_the_line_that_installs_them(monkeypatch, tmp_path):
    found = {"jax": "0.9.1", "numpy": "2.4.0", "flax": "0.13.1"}

    def version(name):
        if name not in found:
            raise machine.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(machine, "version", version)
    wanted = ["flax<0.13,>=0.12.8", "jax<0.12,>=0.10.2", "numpy<3,>=2.4", "orbax-checkpoint<0.13,>=0.12.8"]
    told = refusal(machine.check_packages, wanted, "gpu", None, False)
    assert told.startswith("jax 0.9.1 is older than 0.10.2; orbax-checkpoint is not installed: ")
    assert told.endswith("-m pip install 'jax[cuda12]<0.12,>=0.10.2' 'orbax-checkpoint<0.13,>=0.12.8'")
    assert "-m pip install --no-index -f wheels 'jax<0.12" in refusal(
        machine.check_packages, wanted, "any", Path("wheels"), False
    )
    found |= {"jax": "0.11.2", "orbax-checkpoint": "0.12.8"}
    machine.check_packages(wanted, "gpu", None, False)


def test_missing_packages_are_installed_from_wheels_if_asked(monkeypatch, tmp_path):
    ran = []
    monkeypatch.setattr(
        machine.subprocess, "run", lambda command, **_: ran.append(command) or subprocess.CompletedProcess(command, 1)
    )
    told = refusal(machine.check_packages, ["no-such-package>=1"], "any", tmp_path, True)
    assert ran == [[sys.executable, "-m", "pip", "install", "--no-index", "-f", str(tmp_path), "no-such-package>=1"]]
    assert told.startswith("pip could not install what is missing")


def test_run_py_says_so_on_an_old_python(monkeypatch):
    run = runpy.run_path(str(Path(machine.__file__).with_name("run.py")))
    monkeypatch.setattr(sys, "version_info", (3, 8, 1))
    monkeypatch.setattr(sys, "version", "3.8.1 (default)")
    with pytest.raises(SystemExit, match=r"this is Python 3\.8\.1; start it with Python 3\.11 or newer"):
        run["main"]()


def test_minutes_stand_in_for_the_time_limit_of_the_run(archive, tmp_path):
    root = unpacked(archive, tmp_path / "machine")
    options = Options(tmp_path / "out", 120.0, "1 x cpu", checkpoint_every=5)
    _, settings = there._training_settings(root, options)
    assert (settings.time_limit_minutes, settings.checkpoint_every) == (None, 5)
    assert settings.steps == TINY_TRAIN.steps
    _, settings = there._training_settings(root, Options(tmp_path / "out", None, "1 x cpu"))
    assert settings.time_limit_minutes == HURRIED.time_limit_minutes


def test_what_knows_of_no_time_limit_stops_when_its_time_is_over():
    with pytest.raises(Interrupted, match="stopped by the time limit"), interrupting(0.05):
        time.sleep(5)
    with interrupting(None):
        pass
    with interrupting(0.01, nearly_done=lambda: True):
        time.sleep(0.05)
    with pytest.raises(Interrupted, match="stopped by SIGTERM"), interrupting(5):
        signal.raise_signal(signal.SIGTERM)
    with interrupting(0.05), Interruption() as asked:  # what a training remembers, and looks at between steps
        time.sleep(0.1)
        assert asked.asked
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_training_is_collected_while_it_goes_on(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    seen = threading.Event()
    with there._collecting(seen.set, tmp_path, 1e-4):
        assert not seen.wait(0.1)
        (tmp_path / "checkpoints/3").mkdir()
        assert seen.wait(10)
    assert not [thread for thread in threading.enumerate() if thread.name == "collect"]
