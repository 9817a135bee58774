"""A signal ends every command within seconds: nothing half-written, no process left behind, no crash."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

FOLDER = Path(__file__).parents[1]
DONE_WITHIN = 30  # s; Slurm sends SIGKILL so long after SIGTERM


def started(code: str, *arguments: object, **options) -> subprocess.Popen[str]:
    """A program like `unimat ARGUMENTS`, after `code` has changed something in it."""
    program = f"import sys\nfrom unimat import cli\n{code}\nif __name__ == '__main__':\n    sys.exit(cli.main())"
    folder = Path(options.pop("folder"))
    (folder / "program.py").write_text(program)
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, folder / "program.py", *arguments]
    return subprocess.Popen(list(map(str, command)), env=environment, stderr=subprocess.PIPE, text=True, **options)


def waited_for(condition, process: subprocess.Popen, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.fixture
def many_crystals(tmp_path):
    """A table of silicon, and the code that lets ingestion of it start processes and take a minute."""
    poscar = "Si\n1.0\n0 2.7 2.7\n2.7 0 2.7\n2.7 2.7 0\nSi\n2\nDirect\n0 0 0\n0.25 0.25 0.25\n"
    rows = "".join(f'm{i},"{poscar}"\n' for i in range(3000))
    (tmp_path / "in.csv").write_text(f"material_id,poscar\n{rows}")
    code = (
        "import time\nfrom unimat.materials.datasets import accept\naccept.MIN_FOR_PROCESSES = accept.CHUNK = 10\n"
        "chunk = accept._chunk\n"
        "def slowly(*a, **k):\n    time.sleep(0.5)\n    return chunk(*a, **k)\n"
        "slowly.__module__ = '__mp_main__'\naccept._chunk = slowly"
    )
    return tmp_path, code


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_workers_end_with_the_command(many_crystals, how):
    folder, code = many_crystals
    arguments = ["convert", folder / "in.csv", folder / "out.parquet", "--processes", 2]
    process = started(code, *arguments, folder=folder)
    waited_for(lambda: len(workers_of(process)) == 2, process)
    workers = workers_of(process)
    asked = time.monotonic()
    process.send_signal(how)
    said = process.communicate(timeout=DONE_WITHIN)[1]
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    assert time.monotonic() - asked < DONE_WITHIN
    if how != signal.SIGKILL:
        assert process.returncode == 128 + how, said
        assert said.strip().splitlines()[-1].startswith("unimat convert: "), said
        assert "Traceback" not in said
        assert {path.name for path in folder.iterdir()} == {"in.csv", "program.py"}


def test_an_interrupt_that_garbage_collection_swallows_is_asked_again(tmp_path):
    """As JAX does it: Ctrl-C during a callback of the garbage collection raises where nobody can catch it."""
    code = (
        "import gc, os, signal, time\n"
        "from unimat.cli import pretrained\n"
        "def callback(phase, info):\n"
        "    gc.callbacks.clear()\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    for _ in range(1000): pass\n"
        "def run(args):\n"
        "    gc.callbacks.append(callback)\n"
        "    gc.collect()\n"
        "    print('lost', file=sys.stderr)\n"
        "    for _ in range(600): time.sleep(0.1)\n"
        "pretrained.run = run"
    )
    begun = time.monotonic()
    process = started(code, "pretrained", folder=tmp_path)
    said = process.communicate(timeout=DONE_WITHIN)[1]
    assert said.splitlines() == ["lost", "unimat pretrained: interrupted"]
    assert process.returncode == 130
    assert time.monotonic() - begun < 20


def test_compiled_code_does_not_keep_a_command_alive(tmp_path):
    code = (
        "import hashlib\nfrom unimat.cli import pretrained\n"
        "def run(args):\n"
        "    print('begun', file=sys.stderr, flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'a', b'b', 1 << 28)\n"  # minutes, without looking at signals
        "pretrained.run = run"
    )
    process = started(code, "pretrained", folder=tmp_path)
    assert process.stderr.readline() == "begun\n"
    time.sleep(1)  # the compiled code begins after the line
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=DONE_WITHIN) == 143
    assert 4 < time.monotonic() - asked < 15


def test_nohup_is_respected(tmp_path):
    code = (
        "import signal, time\nfrom unimat.cli import pretrained\n"
        "def run(args):\n"
        "    signal.raise_signal(signal.SIGHUP)\n"
        "    time.sleep(0.3)\n"
        "    print('still here', file=sys.stderr)\n"
        "pretrained.run = run"
    )
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    process = started(code, "pretrained", folder=tmp_path, preexec_fn=ignore)
    assert process.communicate(timeout=DONE_WITHIN)[1] == "still here\n"
    assert process.returncode == 0


def test_called_from_python_signals_stay_the_callers(capsys):
    from unimat import cli

    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    assert cli.main(["pretrained"]) == 0
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
