"""Commands that are killed, stopped by a signal or meet a full disk, and what they make when they are called again.

One small run is made (`small_run.py`). A command of it is called in a process of its own and meets the fault at a
random moment; no file may then be half-written under its final name. Called once more without the fault, it must leave
what a command leaves that nothing interrupted, byte for byte. Full disks are small file systems in memory, which only
the superuser can mount; without that right, they are left out.

Each call draws other moments and prints its seed; --seed repeats one.
"""

import argparse
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from corruption import OUT, outputs
from harness import Figure, finish, say
from small_run import build, words_of

# What each command must find gone to have something to do.
COMMANDS = {
    "ingest": (),
    "train": ("work/train",),
    "sample": (),
    "relax b-1": ("work/relax", "work/relaxed"),
    "metrics": ("work/cache",),
}
SIGNALS = {
    "SIGKILL": signal.SIGKILL,
    "SIGTERM": signal.SIGTERM,
    "SIGINT": signal.SIGINT,
    "SIGHUP": signal.SIGHUP,
}
FULL = "full disk"
SAME, TOLD, TOO_LATE = "same output when called again", "of these told in one line", "of these over before"
FAULTS = HALF, OTHER, UNTOLD, LEFT = "half a file", "other output", "traceback or wrong exit code", "processes left"
SLOWEST = "slowest end, s"
IN_TIME = 30  # s that Slurm leaves between SIGTERM and SIGKILL
EXITS = {"SIGKILL": (-9,), "SIGTERM": (75, 143, -15), "SIGINT": (75, 130, -2), "SIGHUP": (75, 129, -1), FULL: (2,)}
MIB = 2**20
PAGE = 4096  # bytes; a file in memory takes whole ones


class Interruptions:
    """A sound run in `folder`, and copies of it in which commands are interrupted."""

    def __init__(self, folder: Path):
        self.sound, self.copy = folder / "sound", folder / "copy"
        self.environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(folder / "programs")}
        self.environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PLATFORMS": "cpu"}
        for path in (self.sound, self.copy):
            path.mkdir()
        os.chdir(self.sound)
        build()
        self.expected: dict[str, tuple[dict[str, str], float, int]] = {}

    def start(self, name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "unimat", *words_of(name, OUT)]
        streams: dict[str, Any] = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
        return subprocess.Popen(command, cwd=self.copy, env=self.environment, **streams)

    def made(self) -> dict[str, str]:
        return outputs(self.copy / OUT)

    def size(self) -> int:
        """Bytes of the disk that the copy takes."""
        return sum(-(-path.stat().st_size // PAGE) * PAGE for path in self.copy.rglob("*") if path.is_file())

    def fresh(self, name: str) -> None:
        """A copy of the run in which a command has everything to do."""
        shutil.copytree(self.sound, self.copy, symlinks=True, dirs_exist_ok=True)
        for each in COMMANDS[name]:
            shutil.rmtree(self.copy / each)

    def undisturbed(self, name: str) -> tuple[dict[str, str], float, int]:
        """What a command leaves, its seconds, and the bytes that it adds."""
        if name not in self.expected:
            with _emptied(self.copy):
                self.fresh(name)
                before, began = self.size(), time.monotonic()
                process = self.start(name)
                said = process.communicate()[1]
                assert process.returncode == 0, said
                self.expected[name] = self.made(), time.monotonic() - began, self.size() - before
        return self.expected[name]

    def trial(self, name: str, fault: str, draw: random.Random) -> dict[str, float]:
        """What came of one interruption, as counts, and the seconds until a signal had ended the command."""
        expected, seconds, added = self.undisturbed(name)
        with _emptied(self.copy), _disk(self.copy, fault) as resize:
            self.fresh(name)
            resize(self.size() + int(draw.uniform(0, 0.9) * added))
            process, children = self.start(name), []
            if fault in SIGNALS:
                time.sleep(draw.uniform(0.1, 0.95) * seconds)
                children = _children(process)
                process.send_signal(SIGNALS[fault])
            asked = time.monotonic()
            said = process.communicate()[1]
            ended, code = time.monotonic() - asked, process.returncode
            alive = psutil.wait_procs(children, timeout=5)[1]
            late = code == 0
            left = _results(self.made())
            half = any(expected.get(path) != digest for path, digest in left.items())
            errors = [line for line in said.splitlines() if "error:" in line]
            told = code == 2 and len(errors) == 1
            untold = not late and (code not in EXITS[fault] or "Traceback" in said)
            resize(self.size() + 64 * MIB)
            again = self.start(name)
            more = again.communicate()[1]
            same = again.returncode == 0 and _results(self.made()) == _results(expected)
        if half or untold or not same:
            say(f"{name}, {fault}: exit code {code}\n{said[-2000:]}\n{more[-2000:]}")
        came = {SAME: same, TOO_LATE: late, TOLD: told, HALF: half, OTHER: not same, UNTOLD: untold, LEFT: len(alive)}
        counts = {each: int(value) for each, value in came.items()}
        return counts | {SLOWEST: ended if fault in SIGNALS and not late else 0.0}


def _children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _results(made: dict[str, str]) -> dict[str, str]:
    """What a reader may take for a result; SIGKILL leaves the temporary folder of the file that was being written."""
    return {path: digest for path, digest in made.items() if not _hidden(path)}


def _hidden(path: str) -> bool:
    """Whether a file lies in a temporary or working folder, which no reader takes for a result."""
    return any(part.startswith(".") for part in Path(path).parts)


@contextmanager
def _emptied(folder: Path) -> Iterator[None]:
    """The folder, emptied afterwards."""
    try:
        yield
    finally:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _disk(folder: Path, fault: str) -> Iterator[Any]:
    """Function that sets the size of the disk that `folder` is, where it is to be a small one."""
    if fault != FULL:
        yield lambda size: None
        return
    _mount("-t", "tmpfs", "-o", f"size={256 * MIB}", "tmpfs", folder)
    try:
        yield lambda size: _mount("-o", f"remount,size={size}", folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _mount(*words: object) -> None:
    subprocess.run(["mount", *map(str, words)], check=True, capture_output=True)


def can_mount(folder: Path) -> bool:
    """Whether this user may mount a file system."""
    try:
        with _disk(folder, FULL):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=3, help="interruptions of each command by each fault (default: 3)")
    parser.add_argument("--seed", type=int, help="of the moments (default: another one each time)")
    parser.add_argument("--command", action="append", choices=COMMANDS, help="only this one, or these")
    parser.add_argument("--fault", action="append", choices=[*SIGNALS, FULL], help="only this one, or these")
    args = parser.parse_args()
    seed = secrets.randbits(32) if args.seed is None else args.seed
    say(f"seed {seed}")
    draw, rows, home = random.Random(seed), [], Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        interruptions = Interruptions(Path(scratch))
        faults = [each for each in args.fault or [*SIGNALS, FULL] if each != FULL or can_mount(interruptions.copy)]
        for fault in faults:
            for name in args.command or COMMANDS:
                trials = [interruptions.trial(name, fault, draw) for _ in range(args.n)]
                counts = {each: sum(trial[each] for trial in trials) for each in (SAME, TOO_LATE, TOLD, *FAULTS)}
                slowest = round(max(trial[SLOWEST] for trial in trials), 2)
                rows.append({"fault": fault, "command": name.split()[0], "tried": args.n, **counts, SLOWEST: slowest})
                say(str(rows[-1]))
        os.chdir(home)
    n = sum(row["tried"] for row in rows)
    figures = [Figure("interruptions", n, "commands")]
    figures += [Figure(SAME, sum(row[SAME] for row in rows), f"of {n}", n, better="higher")]
    figures += [Figure(each, sum(row[each] for row in rows), f"of {n}", 0) for each in FAULTS]
    figures.append(Figure(SLOWEST, max(row[SLOWEST] for row in rows), "s", IN_TIME))
    finish("interruptions", figures, seed=seed, faults=rows)


if __name__ == "__main__":
    main()
