"""What the workflow costs when nothing is to be computed, against `snakemake --version`, its bare start-up.

The demo's chain is planned, run with a stand-in for `unimat` that makes each promised file in no time, and called again
when all is done. What is left is Snakemake, the rules and the check of the configuration.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import ROOT, Figure, best_of, finish, say

STAND_IN = ROOT / "tests/workflow/stand_in.py"
TARGET_DRY_RUN = 6.0  # s
TARGET_JOB = 0.25  # s


def prepared(folder: Path) -> Path:
    """`folder` with the demo's configuration and a stand-in for `unimat` in bin/."""
    program = folder / "bin/unimat"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable} -IS\n{STAND_IN.read_text(encoding='utf-8')}", encoding="utf-8")
    program.chmod(0o755)
    shutil.copytree(ROOT / "config", folder / "config")
    return folder


def snakemake(folder: Path, *arguments: str) -> str:
    """What Snakemake says, called in `folder`."""
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "snakemake", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stdout}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="the shortest time counts (default: 3)")
    parser.add_argument("--shards", type=int, default=2, help="jobs that share the relaxation of a set (default: 2)")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="unimat-overhead-") as temporary:
        folder = prepared(Path(temporary, "run"))
        workflow = ["--snakefile", str(ROOT / "workflow/Snakefile"), "--set-scatter", f"relax={args.shards}"]
        say("start-up")
        start_up, _ = best_of(lambda: snakemake(folder, "--version"), args.repeats)
        say("dry run of a fresh folder")
        dry_run, plan = best_of(lambda: snakemake(folder, *workflow, "--dry-run"), args.repeats)
        found = re.search(r"^total +(\d+)", plan, re.MULTILINE)
        jobs = int(found[1]) if found else sys.exit(f"no number of jobs in:\n{plan}")
        say(f"run of {jobs} jobs that do nothing")
        whole, _ = best_of(lambda: snakemake(folder, *workflow, "--cores", "2"), 1)
        say("again, when all is done")
        again, words = best_of(lambda: snakemake(folder, *workflow, "--cores", "2"), args.repeats)
        if "Nothing to be done" not in words:
            sys.exit(f"the finished run is not finished:\n{words}")
    finish(
        "workflow_overhead",
        [
            Figure(f"dry run of {jobs} jobs", dry_run, "s", TARGET_DRY_RUN, start_up),
            Figure("finished run called again", again, "s", TARGET_DRY_RUN, start_up),
            Figure("each job that does nothing", max(whole - dry_run, 0.0) / jobs, "s", TARGET_JOB),
        ],
    )


if __name__ == "__main__":
    main()
