"""Time, memory and energy that the stages took, training throughput, and checksums of what they read."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from unimat.report.blocks import Block, Missing, Section, Table, Text
from unimat.report.quantities import MISSING, dig, number
from unimat.report.run_files import RunFiles
from unimat.report.stages import Job, by_stage

TITLE = "Time, memory and energy of the stages"
NOT_MEASURED = "Energy (kWh): not measured; Snakemake’s benchmark files hold time and memory alone."
SPEEDS = {
    "samples_per_second": "crystals/s",
    "steps_per_second": "steps/s",
    "compile_seconds": "s of compiling",
    "mfu": "of the peak that the chip is sold with (model FLOPs utilisation)",
}


def cost(run: RunFiles, jobs: list[Job] | None, broken: list[str]) -> Section:
    """A row for each stage.

    Args:
        jobs: as `unimat.report.stages.read_jobs` finds them; None if nobody said where.
        broken: files that are not readable.
    """
    blocks: list[Block] = []
    if jobs:
        rows = [_row(stage, each) for stage, each in by_stage(jobs).items()]
        rows.append(_row("all", jobs))
        columns = ("Stage", "Jobs", "Wall clock, sum", "Longest job", "CPU time, sum", "Most memory of a job (MiB)")
        caption = (
            "Last attempt of each job, as Snakemake measured it; what an earlier attempt left behind and the last one "
            "took over is not in it. Sums are over jobs that may have run side by side"
        )
        blocks.append(Table(caption, columns, rows))
    else:
        why = "no folder of benchmarks was given (`--benchmarks`)" if jobs is None else f"none there is of {run.name}"
        blocks.append(Missing(f"No times of the stages: {why}; `snakemake` measures them and hands them on."))
    if broken:
        blocks.append(Missing(f"Not readable as a benchmark of Snakemake: {', '.join(broken)}.", partial=bool(jobs)))
    blocks += _training(run)
    blocks.append(Text(NOT_MEASURED))
    blocks += _checksums(run)
    return Section("cost", TITLE, "", blocks)


def _row(stage: str, jobs: list[Job]) -> list[str]:
    def total(values: Iterable[float]) -> str:
        found = [each for each in values if math.isfinite(each)]
        text = duration(sum(found)) if found else MISSING
        left_out = len(jobs) - len(found)
        return f"{text} (of {len(found)} of {len(jobs)} jobs)" if found and left_out else text

    longest = max(jobs, key=lambda job: job.seconds if math.isfinite(job.seconds) else -1.0)
    name = f"{duration(longest.seconds)}{f' ({longest.name})' if len(jobs) > 1 and longest.name else ''}"
    memory = [job.memory for job in jobs if math.isfinite(job.memory)]
    seconds, cpu = total(job.seconds for job in jobs), total(job.cpu_seconds for job in jobs)
    return [stage, str(len(jobs)), seconds, name, cpu, number(max(memory, default=float("nan")))]


def duration(seconds: float) -> str:
    """``12.3 s``, ``4 min 05 s`` or ``3 h 07 min``."""
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02d} min"


def _training(run: RunFiles) -> list[Block]:
    """Throughput of training, as the training recorded it."""
    speed = (run.training or {}).get("speed")
    if not isinstance(speed, dict):
        return []
    told = [f"{number(speed[key])} {what}" for key, what in SPEEDS.items() if _is_number(speed.get(key))]
    devices = f" on {speed['devices']}" if speed.get("devices") else ""
    return [Text(f"Training{devices}: {', '.join(told)}.")] if told else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _checksums(run: RunFiles) -> list[Block]:
    """Files that stages named by checksum: what the dataset was made of, and the hull's reference."""
    rows = [["dataset", str(each.get("name") or each.get("path") or MISSING), _checksum(each)]
            for each in (run.card or {}).get("files") or [] if isinstance(each, dict)]  # fmt: skip
    inputs = dig(run.reference_summary, "inputs")
    rows += [["hull reference", str(name), str(value)] for name, value in (inputs or {}).items()]
    if not rows:
        return []
    return [Table("Checksums of what was read", ("Stage", "File", "Checksum"), rows, (0, 1, 2))]


def _checksum(each: dict[str, Any]) -> str:
    found = next(((key, each[key]) for key in ("sha256", "git_blob_id", "md5", "checksum") if each.get(key)), None)
    return MISSING if found is None else f"{found[0]} {found[1]}"
