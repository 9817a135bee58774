"""What the benchmarks share: figures, the machine, peak memory, and the one line of JSON that each ends with."""

import dataclasses
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
PACKAGES = ("unimat", "jax", "numpy", "pyarrow", "pymatgen", "chgnet", "torch", "snakemake")
FIGURE_KEYS = ("name", "value", "unit", "target", "met", "baseline")


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        target: what it should be at most or at least, by `better`; None: measured without a goal.
        baseline: the same number for the alternative, measured in the same run; None where there is none.
        better: which way is better.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    baseline: float | None = None
    better: Literal["lower", "higher"] = "lower"

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target

    def as_json(self) -> dict[str, Any]:
        return {key: rounded(getattr(self, key)) for key in FIGURE_KEYS}


def rounded(value: Any) -> Any:
    """Floats to four significant digits: no benchmark knows more."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def finish(benchmark: str, figures: Sequence[Figure], **details: Any) -> None:
    """Print the line of JSON, the last thing that a benchmark says; `details` are for a page of its own."""
    figures_json = [figure.as_json() for figure in figures]
    line = {"benchmark": benchmark, "figures": figures_json, **details, "machine": machine()}
    sys.stderr.flush()
    print(json.dumps(line, ensure_ascii=False, allow_nan=False), flush=True)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def best_of(work: Callable[[], T], repeats: int) -> tuple[float, T]:
    """Shortest wall time in seconds of several calls, and what the last one returned.

    The shortest, because what else the machine does can only add to it.
    """
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return min(times), result


def peak_memory_mib() -> float:
    """Most memory that this process has held at once (resident set), MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # where `ru_maxrss` begins with what the parent process held
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 1024
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / 1024 if sys.platform != "darwin" else kib / 1024**2


def machine() -> dict[str, Any]:
    """The machine in words that tell nothing about whose it is."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "cpu": cpu_model(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 1),  # of the last minute; above `cores`, times are upper bounds
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
