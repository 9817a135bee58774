"""The workflow's own linters."""

import os
import subprocess
import sys
from pathlib import Path

from tests.workflow.conftest import ROOT, Run


def test_snakemake_lint_finds_nothing(run: Run):
    run.write_config()
    done = run.snakemake("--lint")
    assert done.returncode == 0, done.stdout


def test_snakefmt_would_change_nothing():
    program = Path(sys.executable).with_name("snakefmt")
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])  # snakefmt calls shfmt by name
    done = subprocess.run(
        [program, "--check", "workflow"], cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": path}
    )
    assert done.returncode == 0, done.stderr


def test_files_of_the_workflow_stay_short():
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.glob("workflow/rules/*")}
    assert max(lengths.values()) < 150
    assert len((ROOT / "workflow/Snakefile").read_text(encoding="utf-8").splitlines()) < 60
