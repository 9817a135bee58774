"""One small job on a cluster, that says whether a compute node finds `unimat` and sees the working folder."""

import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unimat import __version__
from unimat.findings import Finding

PATIENCE = 300.0  # seconds, the time in the queue included
SEEN = "unimat-probe-seen"


def probe_finding(executor: str, profile: Mapping[str, Any], work: Path, patience: float = PATIENCE) -> Finding:
    """Whether a node of the profile's partition runs this `unimat` and sees `work`."""
    if executor != "slurm":
        return Finding("node", f"not probed: the executor is {executor or 'local'}, and srun is Slurm's")
    with tempfile.NamedTemporaryFile("w", dir=work, prefix=".unimat-probe-", suffix=".txt") as token:
        token.write(SEEN)
        token.flush()
        script = f"unimat --version; cat {shlex.quote(str(Path(token.name).resolve()))}"
        try:
            done = subprocess.run(
                [*srun(profile), "sh", "-c", script], capture_output=True, text=True, timeout=patience, check=False
            )
        except FileNotFoundError:
            return Finding("node", "no program 'srun' is found", "run this on the cluster's login node")
        except subprocess.TimeoutExpired:
            remedy = "look into the queue with squeue and sinfo, or leave --probe out"
            return Finding("node", f"no answer within {patience:.0f} s", remedy)
    return _judged(done, work.resolve())


def srun(profile: Mapping[str, Any]) -> list[str]:
    """The command that runs its arguments where the profile's jobs go."""
    resources = profile.get("default-resources") or {}
    flags = {"slurm_partition": "--partition", "slurm_account": "--account"}
    given = [f"{flag}={resources[key]}" for key, flag in flags.items() if resources.get(key)]
    return ["srun", "--quiet", "--ntasks=1", "--time=2", "--mem=1000", "--job-name=unimat-doctor", *given]


def _judged(done: subprocess.CompletedProcess[str], work: Path) -> Finding:
    said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
    if f"unimat {__version__}" not in done.stdout.splitlines():
        remedy = "install it on a file system that the nodes share, and activate it before you submit"
        return Finding("node", f"unimat {__version__} does not run there ({said})", remedy)
    if SEEN not in done.stdout:
        return Finding("node", f"it does not see {work}", "run the workflow on a file system that the nodes share")
    return Finding("node", f"unimat {__version__} runs there, and {work} is seen")
