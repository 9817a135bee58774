"""Molecular dynamics of the stand-in for `vasp_std`: atoms on springs; no VASP. Every file says STAND-IN.

Each atom is tied to the site where the first calculation of its formula found it (sites-FORMULA.json beside the log),
by the same spring, and moves by velocity Verlet without a thermostat: the sum of potential and kinetic energy, which
vasprun.xml calls `total`, is conserved.
"""

import json
import os
import time
from pathlib import Path

import numpy as np
from stand_in_vasp import MARK, SPRING, Run, break_down, depth, rows, stopped, structure_xml

AMU = 103.6427  # eV fs^2/Å^2 in an atomic mass unit
KB = 8.617333e-5  # eV/K


def masses_in_potcar():
    return [float(line.split("POMASS =")[1].split(";")[0]) for line in Path("POTCAR").open() if "POMASS" in line]


class Motion(Run):
    """One calculation with IBRION = 0: inputs as `Run` reads them, velocities (Å/fs), and the sites of the atoms."""

    def __init__(self, fault):
        super().__init__(fault)
        cell, n_atoms = self.cell, len(self.cell.atoms)
        self.masses = AMU * np.repeat(masses_in_potcar(), cell.counts)[:, None]
        sites = Path(os.environ["STAND_IN_LOG"]).with_name(f"sites-{cell.formula}.json")
        if not sites.exists():
            sites.write_text(json.dumps(cell.coords.tolist()))
        self.sites = np.array(json.loads(sites.read_text()))
        lines = Path("POSCAR").read_text().splitlines()[8 + n_atoms :]
        self.velocities = np.array([line.split()[:3] for line in lines if line.strip()][:n_atoms], float)
        assert self.velocities.shape == (n_atoms, 3), "POSCAR holds no velocities"
        if fault == "explode":
            self.velocities *= 8  # 64 times the temperature

    def forces(self):
        away = self.cell.coords - self.sites
        return -SPRING * (away - np.round(away)) @ self.cell.lattice

    def energies(self):
        """Potential and kinetic energy, eV."""
        potential = sum(map(depth, self.cell.atoms)) + (self.forces() ** 2).sum() / (2 * SPRING)
        return potential, 0.5 * float((self.masses * self.velocities**2).sum())

    def ionic_step(self):
        """Energies of the atoms where they are, noted and written down; then the atoms move."""
        (potential, kinetic), forces = self.energies(), self.forces()
        self.steps.append((self.cell.lattice.copy(), potential, 0.0, 3))
        kept = {"coords": self.cell.coords.copy(), "kinetic": kinetic, "forces": forces}
        self.moves = [*getattr(self, "moves", []), kept]
        temperature = 2 * kinetic / (KB * max(3 * len(self.cell.atoms) - 3, 1))
        line = (
            f"{len(self.steps):7d} T= {temperature:5.0f}. E= {potential + kinetic:.8E} F= {potential:.8E}"
            f" E0= {potential:.8E}  EK= {kinetic:.5E} SP= 0.00E+00 SK= 0.00E+00"
        )
        self.oszicar.append(line)
        Path("OSZICAR").write_text(f"{MARK}\n" + "\n".join(self.oszicar) + "\n")
        print(line, flush=True)
        Path("OUTCAR").write_text(self.outcar(finished=False))
        self.move()
        Path("CONTCAR").write_text(self.contcar())

    def move(self):
        """A step of velocity Verlet; VASP wraps atoms into the cell."""
        dt, inverse = float(self.incar["POTIM"]), np.linalg.inv(self.cell.lattice)
        self.velocities = self.velocities + 0.5 * dt * self.forces() / self.masses
        self.cell.coords = (self.cell.coords + dt * self.velocities @ inverse) % 1.0
        self.velocities = self.velocities + 0.5 * dt * self.forces() / self.masses

    def contcar(self):
        velocities = [" ".join(f"{x:.16e}" for x in row) for row in self.velocities]
        return self.cell.poscar() + "\n".join([*velocities, ""])

    def calculation_xml(self, n):
        lattice, potential, _, n_electronic = self.steps[n]
        kept = self.moves[n]
        parts = "".join(f'<i name="{key}">{potential:.8f}</i>' for key in ("e_fr_energy", "e_wo_entrp", "e_0_energy"))
        scf = f"<scstep><energy>{parts}</energy></scstep>\n" * n_electronic
        motion = {"kinetic": kept["kinetic"], "lattice kinetic": 0.0, "nosepot": 0.0, "nosekinetic": 0.0}
        motion["total"] = potential + kept["kinetic"]
        parts += "".join(f'<i name="{key}">{value:.8f}</i>' for key, value in motion.items())
        return (
            f"<calculation>\n{scf}{structure_xml(lattice, kept['coords'])}"
            f'<varray name="forces">\n{rows(kept["forces"])}\n</varray>'
            f'<varray name="stress">\n{rows(np.zeros((3, 3)))}\n</varray><energy>{parts}</energy>\n'
            + (self.bands_xml() if n == len(self.steps) - 1 else "")
            + "</calculation>\n"
        )

    def write_end(self):
        super().write_end()
        Path("CONTCAR").write_text(self.contcar())
        frames = [f"Direct configuration= {n:5d}\n" + rows_of(each["coords"]) for n, each in enumerate(self.moves, 1)]
        header = self.cell.poscar().split("Direct")[0]
        Path("XDATCAR").write_text(header + "\n".join(frames) + "\n")


def rows_of(values):
    return "\n".join(" ".join(f"{x:.8f}" for x in row) for row in values)


def move(fault):
    """All steps of a calculation, with the fault of the plan in the middle of it."""
    run = Motion(fault)
    wanted = int(run.incar["NSW"])
    for number in range(wanted):
        run.ionic_step()
        if number == wanted // 2:
            break_down(fault, run)
        if fault == "slow" and number == wanted // 2:
            for _ in range(300):
                if stopped():
                    break
                time.sleep(0.1)
        if stopped():
            break
    run.write_end()
