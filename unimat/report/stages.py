"""What each stage cost, from the benchmark files that Snakemake writes for every job."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = ("s", "cpu_time", "max_rss")  # seconds of wall clock, CPU seconds, MiB


@dataclasses.dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        stage: name of the rule's folder.
        name: what is left of the file's path, the set and the shard say; empty for a stage of one job.
        seconds, cpu_seconds: of the last attempt. NaN where Snakemake wrote none.
        memory: most that it held at once, MiB.
    """

    stage: str
    name: str
    seconds: float
    cpu_seconds: float
    memory: float


def read_jobs(folder: str | Path, run: str) -> tuple[list[Job], list[str]]:
    """Jobs of a run under Snakemake's folder of benchmarks, in the order they ended, and files that are not readable.

    Files are ``STAGE/RUN.tsv`` and ``STAGE/RUN/....tsv``. Repeated benchmarks of one job are averaged.
    """
    folder = Path(folder)
    # The report is being made: its own file is of the time before.
    stages = [stage for stage in sorted(folder.glob("*")) if stage.is_dir() and stage.name != "report"]
    paths = [path for stage in stages for path in _of_run(stage, run)]
    jobs, broken = [], []
    for path in sorted(paths, key=lambda path: (path.stat().st_mtime, str(path))):
        job = _job(path, path.relative_to(folder).parts[0], run)
        if job is None:
            broken.append(path.relative_to(folder).as_posix())
        else:
            jobs.append(job)
    return jobs, broken


def _of_run(stage: Path, run: str) -> list[Path]:
    return [*stage.glob(f"{run}.tsv"), *(stage / run).glob("**/*.tsv")]


def _job(path: Path, stage: str, run: str) -> Job | None:
    try:
        frame = pd.read_csv(path, sep="\t")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        return None
    if frame.empty or "s" not in frame:
        return None
    values = [_mean(frame, name) for name in COLUMNS]
    rest = path.with_suffix("").as_posix().partition(f"/{stage}/{run}")[2].strip("/")
    return Job(stage, rest, *values)


def _mean(frame: pd.DataFrame, name: str) -> float:
    """NaN for a column that is missing, or where Snakemake wrote NA or a dash: jobs too short to be sampled."""
    if name not in frame:
        return float("nan")
    values = pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
    return float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else float("nan")


def by_stage(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Jobs of each stage, in the order in which the stages began to end."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        found.setdefault(job.stage, []).append(job)
    return found
