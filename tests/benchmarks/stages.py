"""Seconds and peak memory of each stage of a run, and what the workflow itself adds to them.

Times and memory are those of Snakemake's `benchmark:` files; a stage of several jobs (shards, sets) has the sum of its
jobs' times and the largest of their memories. The baseline of the total is the time in which some command of the run
was at work: what a script that called the same commands, as many at once, would have taken.
"""

import argparse
import csv
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from harness import ROOT, Figure, finish, say

CONFIGS = ["config/config.yaml"]
CONFIGS_WITH_DATA = ["config/carbon_24.yaml"]  # their files come from UNIMAT_DATA_DIR
TARGET_TOTAL = {"demo": 720.0}  # s
TARGET_OWN_SHARE = 30.0  # s, of Snakemake and the start of its jobs
GAP = 60.0  # s; a longer pause between commands means that the run was made in several sittings


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        seconds: sum over its jobs.
        memory: largest resident set of its jobs, MiB; None where they were too short to be looked at.
    """

    name: str
    jobs: int
    seconds: float
    memory: float | None


def stages_of(folder: Path, run: str) -> list[Stage]:
    """Stages of `run` by the tables ``benchmarks/<stage>/<run>...tsv``, in the order in which they finished."""
    tables: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("benchmarks/**/*.tsv"), key=lambda path: path.stat().st_mtime):
        stage, *rest = path.relative_to(folder / "benchmarks").parts
        if rest[0] in (run, f"{run}.tsv"):
            tables.setdefault(stage, []).append(path)
    return [_stage(name, paths) for name, paths in tables.items()]


def _stage(name: str, paths: list[Path]) -> Stage:
    rows = []
    for path in paths:
        with path.open(encoding="utf-8", newline="") as stream:
            rows += list(csv.DictReader(stream, delimiter="\t"))
    memories = [float(row["max_rss"]) for row in rows if row["max_rss"] not in ("-", "NA", "")]
    return Stage(name, len(rows), sum(float(row["s"]) for row in rows), max(memories, default=None))


def at_work(folder: Path, run: str) -> list[tuple[float, float]]:
    """Stretches of time (epoch seconds, rising) in which some command of `run` was at work.

    From Snakemake's records: from the start of a job to the time stamp of its last output.
    """
    jobs: dict[tuple[str, str], tuple[float, float]] = {}
    for path in folder.glob(".snakemake/metadata/**/*"):
        record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        command = record.get("shellcmd") or ""
        if f"results/{run}/" in command:
            start, end = jobs.get((record["rule"], command), (record["starttime"], 0.0))
            jobs[record["rule"], command] = min(start, record["starttime"]), max(end, record["endtime"])
    stretches: list[tuple[float, float]] = []
    for start, end in sorted(jobs.values()):
        if stretches and start <= stretches[-1][1]:
            stretches[-1] = stretches[-1][0], max(stretches[-1][1], end)
        else:
            stretches.append((start, end))
    return stretches


def figures_of(folder: Path, run: str, wall: float | None) -> list[Figure]:
    """Figures of a finished run.

    Args:
        wall: seconds that Snakemake took; None: from the first job's start to the last one's end, in one sitting.
    """
    stages, stretches = stages_of(folder, run), at_work(folder, run)
    if not stages:
        sys.exit(f"{folder} has no benchmarks/*/{run}*.tsv; finish a run there, or leave --run-dir out")
    commands = sum(end - start for start, end in stretches)
    pauses = [later[0] - earlier[1] for earlier, later in itertools.pairwise(stretches)]
    if wall is None and stretches and max(pauses, default=0.0) < GAP:
        wall = stretches[-1][1] - stretches[0][0]
    figures = []
    if wall is not None:
        figures.append(Figure(f"{run}: total", wall, "s", TARGET_TOTAL.get(run), commands))
        figures.append(Figure(f"{run}: the workflow's own share", wall - commands, "s", TARGET_OWN_SHARE))
    else:
        say(f"{run} was made in several sittings: no total")
    for stage in stages:
        jobs = f" ({stage.jobs} jobs)" if stage.jobs > 1 else ""
        figures.append(Figure(f"{run}: {stage.name}{jobs}", stage.seconds, "s"))
        if stage.memory is not None:
            figures.append(Figure(f"{run}: {stage.name}, peak memory", stage.memory, "MiB"))
    return figures


def finished_run(config: Path, folder: Path, cores: int) -> float:
    """Run the chain of `config` in `folder`; returns the wall time in seconds."""
    say(f"running {config} in {folder}")
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "workflow/Snakefile"]
    command += ["--directory", folder, "--configfile", config, "--cores", str(cores)]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}, stdout=sys.stderr, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", action="append", help="may be given several times (default: the demo, and "
                        "Carbon-24 where UNIMAT_DATA_DIR is set)")  # fmt: skip
    parser.add_argument("--run-dir", type=Path, help="read the finished runs of this folder instead of running anew")
    parser.add_argument("--cores", type=int, default=2, help="of the run (default: 2)")
    args = parser.parse_args()

    with_data = CONFIGS_WITH_DATA if "UNIMAT_DATA_DIR" in os.environ else []
    figures = []
    for name in args.configfile or CONFIGS + with_data:
        config = Path(name) if Path(name).exists() else ROOT / name
        run = yaml.safe_load(config.read_text(encoding="utf-8"))["run"]
        if args.run_dir:
            figures += figures_of(args.run_dir, run, None)
            continue
        with tempfile.TemporaryDirectory(prefix="unimat-stages-") as folder:
            wall = finished_run(config.resolve(), Path(folder), args.cores)
            figures += figures_of(Path(folder), run, wall)
    finish("stages", figures)


if __name__ == "__main__":
    main()
