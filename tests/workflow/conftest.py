"""Snakemake in a folder of its own, with a stand-in for `unimat` that makes the declared files in no time."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from unimat.cli import _parse

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("stand_in.py")


@dataclasses.dataclass
class Run:
    """One folder in which the workflow is called.

    Attributes:
        folder: Snakemake's working folder.
    """

    folder: Path

    def snakemake(self, *arguments: str, stand_in: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Snakemake's outcome in this folder, called as a user would; standard error is joined to the output."""
        # What the stand-in does needs neither engines nor data; a test that wants them asked for sets it to "".
        elsewhere = {"UNIMAT_ELSEWHERE": "1"} if stand_in else {}
        environment = {**os.environ, "PATH": self._path(stand_in), **elsewhere, **variables}
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow/Snakefile"), *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )

    def plan(self, *arguments: str, **variables: str) -> dict[str, int]:
        """Jobs of a dry run: rule name to count; empty when there is nothing to do."""
        done = self.snakemake("--dry-run", *arguments, **variables)
        assert done.returncode == 0, done.stdout
        if "Nothing to be done" in done.stdout:
            return {}
        table = done.stdout.split("Job stats:")[1].split("total")[0]
        return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}

    def write_config(self, name: str = "config.yaml", **changes: Any) -> Path:
        """A copy of config/<name> in this folder, with some sections' keys changed; None removes a section."""
        values = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
        for section, change in changes.items():
            if change is None:
                values.pop(section)
            elif isinstance(change, dict) and isinstance(values.get(section), dict):
                values[section] = {**values[section], **change}
            else:
                values[section] = change
        path = self.folder / "config/config.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        for beside in (ROOT / "config").iterdir():
            if beside.is_dir():
                shutil.copytree(beside, path.parent / beside.name, dirs_exist_ok=True)
            elif beside.suffix == ".csv":
                shutil.copy(beside, path.parent)
        return path

    def calls(self) -> list[str]:
        """Commands that the stand-in was called with, in order."""
        log = self.folder / "calls.txt"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    def words(self) -> list[list[str]]:
        """The same, each as the list of words that it got."""
        log = self.folder / "calls.jsonl"
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []

    def _path(self, stand_in: bool) -> str:
        folders = [str(self.folder / "bin")] if stand_in else []
        return os.pathsep.join([*folders, str(Path(sys.executable).parent), os.environ["PATH"]])


def arguments_of(words: list[str]) -> dict[str, Any]:
    """Arguments of a call of `unimat` by name, paths as text; `out` is what it writes, a folder or a file.

    Exits on a flag that the command does not know.
    """
    found = {name: str(each) if isinstance(each, Path) else each for name, each in vars(_parse(words)).items()}
    out = found.get("out") or found.get("out_file")
    return found | ({"out": out} if out else {})


def make_run(folder: Path) -> Run:
    program = folder / "bin/unimat"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable} -IS\n{STAND_IN.read_text(encoding='utf-8')}", encoding="utf-8")
    program.chmod(0o755)
    return Run(folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A fresh folder."""
    return make_run(tmp_path / "run")


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The demo, finished with the stand-in."""
    run = make_run(tmp_path_factory.mktemp("demo") / "run")
    run.write_config()
    done = run.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    return run


@pytest.fixture
def finished(demo_run: Run, tmp_path: Path) -> Run:
    """A copy of the finished demo, times of files included."""
    return Run(Path(shutil.copytree(demo_run.folder, tmp_path / "run", symlinks=True)))
