"""One run of the relaxation stages, by CHGNet and by the stand-in for VASP, to be made on Slurm and on this machine."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml
from pymatgen.core import Structure

from tests.materials.relax.vasp_engine.vasp_helpers import (
    ALUMINIUM,
    LITHIUM_FLUORIDE,
    SILICON,
    STAND_IN,
    VALENCES,
    fake_potcar,
)
from unimat import crystal_table
from unimat.materials.crystals.structures import from_structure

ROOT = Path(__file__).parents[2]
SECONDS = 540  # of one run; then it counts as hanging
QUICK, DEAR = "quick", "dear"  # the sets: CHGNet's, and the one of DFT
DFT = [ALUMINIUM, SILICON, LITHIUM_FLUORIDE]
HANGING = "Si2"
FORCE_FIELD = [
    Structure.from_spacegroup("Fd-3m", [[a, 0, 0], [0, a, 0], [0, 0, a]], ["Si"], [[0, 0, 0]]).get_primitive_structure()
    for a in (5.3, 5.6)
] + [
    Structure.from_spacegroup("F-43m", [[a, 0, 0], [0, a, 0], [0, 0, a]], ["Si", "C"], [[0] * 3, [0.25] * 3])
    .get_primitive_structure()
    for a in (4.3, 4.5)
]  # fmt: skip
SETTINGS = {
    "run": "proof",
    "dataset": {"name": "silicon_carbon"},
    "sets": {name: {"from": "file", "path": f"{name}.parquet"} for name in (QUICK, DEAR)},
    "relax": {
        "sets": [QUICK, DEAR],
        "engine": "chgnet",
        "shards": 2,
        "by_set": {
            DEAR: {
                "engine": "vasp",
                "shards": len(DFT),
                "vasp": {
                    # Custodian's patience with a stand-in that answers at once. No margin: Slurm is to be the one who
                    # ends the job that hangs.
                    **{"command": "vasp_std", "poll_interval": 0.1, "monitor_interval": 0.3, "wall_time_margin": 0},
                },
            }
        },
    },
}


@dataclasses.dataclass
class Proof:
    """A folder in which the workflow is called.

    Attributes:
        folder: Snakemake's working folder.
        environment: of Snakemake and of the jobs.
    """

    folder: Path
    environment: dict[str, str]

    def prepare(self, faults: dict) -> None:
        """Crystals, configuration, stand-in and potentials."""
        for name, structures in ((QUICK, FORCE_FIELD), (DEAR, DFT)):
            crystals = [from_structure(each, f"{name}-{n}") for n, each in enumerate(structures)]
            crystal_table.write(crystal_table.from_crystals(crystals), self.folder / f"{name}.parquet")
        (self.folder / "config.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
        (self.folder / "profiles").symlink_to(ROOT / "profiles")
        (self.folder / "plan.json").write_text(json.dumps(faults), encoding="utf-8")
        program = self.folder / "bin/vasp_std"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\nexec {sys.executable} -E {STAND_IN}\n", encoding="utf-8")
        program.chmod(0o755)
        potentials = self.folder / "potentials/POT_GGA_PAW_PBE"
        potentials.mkdir(parents=True)
        for name, valence in VALENCES.items():
            (potentials / f"POTCAR.{name}").write_text(fake_potcar(name, valence), encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.Popen:
        """Snakemake on the relaxation stage, in a session of its own; its output goes into snakemake.log."""
        command = ["timeout", "-k", "10", str(SECONDS), sys.executable, "-m", "snakemake"]
        command += [
            "--snakefile",
            str(ROOT / "workflow/Snakefile"),
            "--configfile",
            "config.yaml",
            *arguments,
            "--",
            "relax",
        ]
        bin_folders = [self.folder / "bin", Path(sys.executable).parent, self.environment["PATH"]]
        environment = {
            **self.environment,
            "PATH": os.pathsep.join(map(str, bin_folders)),
            "OMP_NUM_THREADS": "1",
            "PMG_VASP_PSP_DIR": str(self.folder / "potentials"),
            "STAND_IN_PLAN": str(self.folder / "plan.json"),
            "STAND_IN_LOG": str(self.folder / "calls.jsonl"),
        }
        with (self.folder / "snakemake.log").open("wb") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def calls(self) -> list[dict]:
        """Calls of the stand-in, in their order."""
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def relaxed(self, name: str) -> crystal_table.CrystalTable:
        return crystal_table.read(self.folder / f"results/proof/sets/{name}/relaxed.parquet")

    def lines(self) -> Counter:
        """How often each crystal was written down as finished, by its key."""
        paths = self.folder.glob("results/proof/work/relax/**/results-*.jsonl")
        return Counter(json.loads(line)["key"] for path in paths for line in path.read_text().splitlines())

    def logs(self) -> str:
        """What Snakemake, its jobs and the engines said, the end of each."""
        paths = [self.folder / "snakemake.log", *sorted((self.folder / "logs").rglob("*.log"))]
        return "\n".join(f"== {path}\n{path.read_text(errors='replace')[-2000:]}" for path in paths if path.exists())


def end(process: subprocess.Popen) -> None:
    """End a run that was started here, jobs on this machine included."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
