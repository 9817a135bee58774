"""A stand-in for `vasp_std`: reads VASP's inputs and writes outputs of VASP's form; it is no VASP and no physics.

The energy is a sum over atoms of a made-up value for the element and a parabola in the volume per atom, so that a cell
relaxes to a size that a test can work out by hand; no atom feels a force. Metals have no band gap, which is what
custodian looks at. Every file that it writes says STAND-IN.

Faults are read from the JSON file named by STAND_IN_PLAN: for the n-th call in a folder of one name (relax_1, say) for
one formula the n-th fault of ``plan[formula][folder]``; null or nothing is a sound run. Calls are noted in
STAND_IN_LOG, one JSON line each.
"""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np

MARK = "STAND-IN: not written by VASP"
METALS = {"Al", "Li", "Na", "Mg", "V", "Fe", "Cu", "Zn", "Ti"}
STIFFNESS = 0.02  # eV/Å^6 per atom, of the parabola
SPRING = 4.0  # eV/Å^2, of the molecular dynamics in stand_in_md.py
EV_PER_A3 = 1602.176634  # eV/Å^3 in kB
BANDS_ABOVE = 4


def ideal_volume(symbol):
    """Volume per atom at which the parabola of an element has its bottom, Å^3."""
    return 10.0 + len(symbol) + ord(symbol[0]) % 7


def depth(symbol):
    """Energy of an atom at that volume, eV."""
    return -2.0 - (ord(symbol[0]) + ord(symbol[-1])) % 9 / 2


class Cell:
    """What a POSCAR holds."""

    def __init__(self, path):
        lines = Path(path).read_text().splitlines()
        self.lattice = np.array([line.split() for line in lines[2:5]], float) * float(lines[1])
        self.symbols, self.counts = lines[5].split(), [int(count) for count in lines[6].split()]
        self.atoms = [symbol for symbol, n in zip(self.symbols, self.counts, strict=True) for _ in range(n)]
        self.coords = np.array([line.split()[:3] for line in lines[8 : 8 + len(self.atoms)]], float)

    @property
    def formula(self):
        return "".join(f"{symbol}{count}" for symbol, count in zip(self.symbols, self.counts, strict=True))

    @property
    def volume(self):
        return abs(np.linalg.det(self.lattice))

    @property
    def target(self):
        return sum(map(ideal_volume, self.atoms))

    def energy_and_pressure(self):
        """Total energy (eV), and pressure (kB)."""
        n_atoms = len(self.atoms)
        strain = (self.volume - self.target) / n_atoms
        energy = sum(map(depth, self.atoms)) + n_atoms * STIFFNESS * strain**2
        return energy, -2 * STIFFNESS * strain * EV_PER_A3

    def step(self, last):
        """Towards the bottom: half the way, or all of it."""
        volume = self.target if last else (self.volume + self.target) / 2
        self.lattice = self.lattice * (volume / self.volume) ** (1 / 3)

    def poscar(self):
        rows = [" ".join(f"{x:.16f}" for x in row) for row in self.lattice]
        coords = [" ".join(f"{x:.16f}" for x in row) for row in self.coords]
        counts = " ".join(map(str, self.counts))
        return "\n".join([MARK, "1.0", *rows, " ".join(self.symbols), counts, "Direct", *coords, "", ""])


def read_incar():
    pairs = (line.split("=", 1) for line in Path("INCAR").read_text().splitlines() if "=" in line)
    return {key.strip().upper(): value.strip() for key, value in pairs}


def read_potcar():
    """Title, valence and mass of each potential; each must be there for its element, in the order of the POSCAR."""
    text = Path("POTCAR").read_text()
    titles = [line.split("=")[1].strip() for line in text.splitlines() if "TITEL" in line]
    valences = [float(value) for value in re.findall(r"ZVAL\s*=\s*([\d.]+)", text)]
    return titles, valences


def rows(values, tag="v"):
    return "\n".join(f"<{tag}> {' '.join(f'{x:.8f}' for x in row)} </{tag}>" for row in values)


def structure_xml(lattice, coords, name=""):
    reciprocal = np.linalg.inv(lattice).T
    label = f' name="{name}"' if name else ""
    return (
        f'<structure{label}><crystal><varray name="basis">\n{rows(lattice)}\n</varray>'
        f'<i name="volume">{abs(np.linalg.det(lattice)):.8f}</i><varray name="rec_basis">\n{rows(reciprocal)}\n'
        f'</varray></crystal><varray name="positions">\n{rows(coords)}\n</varray></structure>\n'
    )


def typed(key, value):
    """One INCAR tag as vasprun.xml has it."""
    words = value.split()
    if value.strip(".").lower() in ("t", "f", "true", "false"):
        letter = value.strip(".")[0].upper()
        return f'<i type="logical" name="{key}"> {letter} </i>'
    expanded = []
    for word in words:
        times, _, number = word.rpartition("*")
        expanded += [number] * int(times or 1)
    try:
        numbers = [float(word) for word in expanded]
    except ValueError:
        return f'<i type="string" name="{key}">{value}</i>'
    whole = all(re.fullmatch(r"[-+]?\d+", word) for word in expanded)
    kind = ' type="int"' if whole else ""
    text = " ".join(f"{int(n)}" if whole else f"{n:.8f}" for n in numbers)
    vector = len(numbers) > 1 or key in ("MAGMOM", "LDAUU", "LDAUJ", "LDAUL")
    return f'<v{kind} name="{key}"> {text} </v>' if vector else f'<i{kind} name="{key}"> {text} </i>'


class Run:
    """One call: its inputs, and what it has written so far."""

    def __init__(self, fault):
        self.fault = fault
        self.cell, self.incar = Cell("POSCAR"), read_incar()
        self.titles, self.valences = read_potcar()
        assert len(self.titles) == len(self.cell.symbols), "POTCAR and POSCAR differ"
        for title, symbol in zip(self.titles, self.cell.symbols, strict=True):
            assert title.split()[1].split("_")[0] == symbol, f"{title} in the place of {symbol}"
        self.electrons = sum(z * n for z, n in zip(self.valences, self.cell.counts, strict=True))
        self.nbands = int(self.incar.get("NBANDS", np.ceil(self.electrons / 2) + BANDS_ABOVE))
        self.gap = 0.0 if set(self.cell.symbols) <= METALS else 2.0
        self.initial = self.cell.lattice.copy(), self.cell.coords.copy()
        self.steps, self.oszicar = [], []
        self.nelm = int(self.incar.get("NELM", 60))

    def ionic_step(self):
        """The energy of the cell as it is, noted and written down."""
        energy, pressure = self.cell.energy_and_pressure()
        if self.fault == "positive_energy":
            energy = abs(energy)
        n_electronic = self.nelm if self.fault == "unconverged_electronic" else 3
        self.steps.append((self.cell.lattice.copy(), energy, pressure, n_electronic))
        start = ["       N       E                     dE             d eps       ncg     rms          rms(c)"]
        for n in range(1, n_electronic + 1):
            change = 10.0**-n
            start.append(f"DAV: {n:3d}    {energy + change: .12E}   -{change:.5E}   -{change:.5E}  1280   0.398E+02")
        number = len(self.steps)
        start.append(f"{number:4d} F= {energy: .8E} E0= {energy: .8E}  d E ={energy: .6E}  mag=     0.0000")
        self.oszicar += start
        Path("OSZICAR").write_text(f"{MARK}\n" + "\n".join(self.oszicar) + "\n")
        print("\n".join(start), flush=True)
        Path("OUTCAR").write_text(self.outcar(finished=False))
        Path("CONTCAR").write_text(self.cell.poscar())

    def outcar(self, finished=True):
        """The lines that pymatgen, emmet and custodian look for."""
        n_atoms = len(self.cell.atoms)
        kpoints = Path("KPOINTS").read_text().splitlines()[3].split() if Path("KPOINTS").exists() else ["1"] * 3
        nkpts = int(np.prod([int(k) for k in kpoints[:3]]))
        lines = [
            f" vasp.0.0.0 {MARK}",
            " executed on             LinuxIFC date 2024.01.01  00:00:00",
            " running    1 mpi-ranks, with    1 threads/rank",
            f"   k-points           NKPTS = {nkpts:6d}   k-points in BZ     NKDIM = {nkpts:6d}   number of bands"
            f"    NBANDS= {self.nbands:6d}",
            "   number of dos      NEDOS =    301   number of ions     NIONS =" + f"{n_atoms:7d}",
            "   total plane-waves  NPLWV =  27000",
            f"   ISPIN  = {self.incar.get('ISPIN', '1'):>6s}    spin polarized calculation?",
            f"   IBRION = {self.incar.get('IBRION', '-1'):>6s}    ionic relax: 0-MD 1-quasi-New 2-CG",
            f"   NELECT = {self.electrons:12.4f}    total number of electrons",
        ]
        for _, energy, _, n_electronic in self.steps:
            lines += ["      LOOP:  cpu time      0.0100: real time      0.0100"] * n_electronic
            lines += [
                f" number of electron {self.electrons:15.7f} magnetization       0.0000000",
                "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)",
                "  ---------------------------------------------------",
                f"  free  energy   TOTEN  = {energy:18.8f} eV",
                "",
                f"  energy  without entropy= {energy:18.8f}  energy(sigma->0) = {energy:18.8f}",
                "    total drift:                                0.000000      0.000000      0.000000",
                " E-fermi :   5.0000     XC(G=0):  -9.3222     alpha+bet :-11.7236",
                "     LOOP+:  cpu time      0.0100: real time      0.0100",
            ]
        moments = [f"{n:5d}        0.000   0.000   0.000   0.000" for n in range(1, n_atoms + 1)]
        rule = "-" * 42
        lines += [" magnetization (x)", " ", "# of ion       s       p       d       tot", rule, *moments, rule]
        lines += ["tot          0.000   0.000   0.000   0.000", ""]
        if finished:
            lines += [
                "                  Total CPU time used (sec):        1.000",
                "                            User time (sec):        1.000",
                "                          System time (sec):        0.100",
                "                         Elapsed time (sec):        1.000",
                "                   Maximum memory used (kb):        1000.",
                "                   Average memory used (kb):           0.",
            ]
        return "\n".join(lines) + "\n"

    def vasprun(self):
        parameters = {
            "NELM": str(self.nelm), "NSW": "0", "EDIFF": "0.0001", "ISPIN": "2", "ISMEAR": "1", "SIGMA": "0.2",
            "IBRION": "-1", "NELECT": f"{self.electrons:.1f}", "LREAL": "F", "NELMDL": "0", "NBANDS": str(self.nbands),
            "LDAU": "F", "LORBIT": "0", "ENMAX": "520.0", "GGA": "--", **self.incar,
        }  # fmt: skip
        parameters["EDIFFG"] = parameters.get("EDIFFG", str(10 * float(parameters["EDIFF"])))
        atoms = "\n".join(
            f"<rc><c>{symbol}</c><c>{self.cell.symbols.index(symbol) + 1}</c></rc>" for symbol in self.cell.atoms
        )
        types = "\n".join(
            f"<rc><c>{n}</c><c>{symbol}</c><c>1.0</c><c>{z}</c><c>{title}</c></rc>"
            for n, symbol, z, title in zip(self.cell.counts, self.cell.symbols, self.valences, self.titles, strict=True)
        )
        divisions = Path("KPOINTS").read_text().splitlines()[3] if Path("KPOINTS").exists() else "1 1 1"
        incar = "\n".join(typed(key, value) for key, value in self.incar.items())
        return (
            f'<?xml version="1.0" encoding="ISO-8859-1"?>\n<!-- {MARK} -->\n<modeling>\n<generator>'
            '<i name="program" type="string">stand-in</i><i name="version" type="string">0.0.0</i>'
            f'<i name="subversion" type="string">{MARK}</i><i name="date" type="string">2024 01 01</i>'
            '<i name="time" type="string">00:00:00</i></generator>\n'
            f"<incar>\n{incar}\n</incar>\n"
            f'<kpoints><generation param="Gamma"><v type="int" name="divisions"> {divisions} </v>'
            '<v name="usershift"> 0.0 0.0 0.0 </v></generation><varray name="kpointlist"><v> 0.0 0.0 0.0 </v></varray>'
            '<varray name="weights"><v> 1.0 </v></varray></kpoints>\n'
            '<parameters><separator name="general">\n'
            + "\n".join(typed(key, value) for key, value in parameters.items())
            + "\n</separator></parameters>\n"
            f"<atominfo><atoms>{len(self.cell.atoms)}</atoms><types>{len(self.cell.symbols)}</types>"
            '<array name="atoms"><dimension dim="1">ion</dimension><field type="string">element</field>'
            f'<field type="int">atomtype</field><set>\n{atoms}\n</set></array>'
            '<array name="atomtypes"><dimension dim="1">type</dimension><field type="int">atomspertype</field>'
            '<field type="string">element</field><field>mass</field><field>valence</field>'
            f'<field type="string">pseudopotential</field><set>\n{types}\n</set></array></atominfo>\n'
            + structure_xml(*self.initial, "initialpos")
            + "".join(self.calculation_xml(n) for n in range(len(self.steps)))
            + structure_xml(self.steps[-1][0], self.cell.coords, "finalpos")
            + "</modeling>\n"
        )

    def calculation_xml(self, n):
        lattice, energy, pressure, n_electronic = self.steps[n]
        parts = "".join(f'<i name="{key}">{energy:.8f}</i>' for key in ("e_fr_energy", "e_wo_entrp", "e_0_energy"))
        scf = f"<scstep><energy>{parts}</energy></scstep>\n" * n_electronic
        last = n == len(self.steps) - 1
        return (
            f"<calculation>\n{scf}{structure_xml(lattice, self.cell.coords)}"
            f'<varray name="forces">\n{rows(np.zeros((len(self.cell.atoms), 3)))}\n</varray>'
            f'<varray name="stress">\n{rows(np.eye(3) * pressure)}\n</varray><energy>{parts}</energy>\n'
            + (self.bands_xml() if last else "")
            + "</calculation>\n"
        )

    def bands_xml(self):
        """Occupied bands below 5 eV, empty ones above it: by the gap, or across it without one."""
        filled = int(np.ceil(self.electrons / 2))
        levels = [4.0 - 0.1 * k for k in range(filled)][::-1]
        levels += [4.0 + self.gap + 0.1 * k for k in range(self.nbands - filled)]
        if not self.gap:
            levels[filled] = 4.0
        bands = "".join(f"<r> {e:.4f} {float(k < filled):.4f} </r>" for k, e in enumerate(levels))
        spins = "".join(f'<set comment="spin {s}"><set comment="kpoint 1">{bands}</set></set>' for s in (1, 2))
        fermi = 4.0 + self.gap / 2
        density = "".join(
            f'<set comment="spin {s}">{"".join(f"<r> {e:.4f} 1.0 {k + 1.0} </r>" for k, e in enumerate(levels))}</set>'
            for s in (1, 2)
        )
        return (
            '<eigenvalues><array><dimension dim="1">band</dimension><dimension dim="2">kpoint</dimension>'
            '<dimension dim="3">spin</dimension><field>eigene</field><field>occ</field>'
            f'<set>{spins}</set></array></eigenvalues><dos><i name="efermi">{fermi:.4f}</i><total><array>'
            '<dimension dim="1">gridpoints</dimension><dimension dim="2">spin</dimension><field>energy</field>'
            f"<field>total</field><field>integrated</field><set>{density}</set></array></total></dos>\n"
        )

    def write_end(self):
        Path("OUTCAR").write_text(self.outcar())
        text = self.vasprun()
        Path("vasprun.xml").write_text(text[: len(text) // 2] if self.fault == "truncated" else text)
        Path("CONTCAR").write_text(self.cell.poscar())
        for name in ("WAVECAR", "CHGCAR"):
            Path(name).write_text(f"{MARK}\n")


def stopped():
    """Whether a STOPCAR asks for an end after this ionic step."""
    return Path("STOPCAR").exists()


def break_down(fault, run):
    """Act out a fault that ends the call, or holds it up; messages of VASP's are told by the plan itself."""
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "kill_all":  # as when a node goes down: whoever started this, and this
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hang":
        time.sleep(600)
    if fault == "out_of_memory":
        print("slurmstepd: error: Detected 1 oom-kill event(s). oom_kill event", file=sys.stderr, flush=True)
        sys.exit(1)
    if fault == "disk_full":
        print("forrtl: No space left on device", file=sys.stderr, flush=True)
        Path("vasprun.xml").write_text(run.vasprun()[:300])
        sys.exit(1)


def next_fault(formula, folder):
    """The fault that the plan has for this call, and the call noted."""
    log = Path(os.environ["STAND_IN_LOG"])
    before = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    n = sum(call["formula"] == formula and call["folder"] == folder for call in before)
    plan = json.loads(Path(os.environ["STAND_IN_PLAN"]).read_text())
    faults = plan.get(formula, {}).get(folder, [])
    fault = faults[n] if n < len(faults) else None
    with log.open("a") as stream:
        stream.write(json.dumps({"formula": formula, "folder": folder, "fault": fault, "pid": os.getpid()}) + "\n")
    return fault


def main():
    print(MARK, flush=True)
    cell = Cell("POSCAR")
    fault = next_fault(cell.formula, Path.cwd().name)
    message = fault.get("says") if isinstance(fault, dict) else None
    if read_incar().get("IBRION") == "0":
        from stand_in_md import move  # reads this file as a module

        move(fault)
        return
    run = Run(None if isinstance(fault, dict) else fault)
    nsw = int(run.incar.get("NSW", 0))
    wanted = 1 if nsw == 0 else 3 if fault != "unconverged_ionic" else 2
    for number in range(wanted):
        run.ionic_step()
        if message and number == 0:
            print(message, flush=True)
            sys.exit(0)
        if number == min(1, wanted - 1):
            break_down(fault, run)
        if fault == "slow" and number == 1:
            for _ in range(300):
                if stopped():
                    break
                time.sleep(0.1)
        if stopped():
            break
        if number < wanted - 1:
            run.cell.step(last=number == wanted - 2 and fault != "unconverged_ionic")
    converged = nsw == 0 or (number == wanted - 1 and fault not in ("unconverged_ionic", "unconverged_electronic"))
    if converged and nsw:
        print(" reached required accuracy - stopping structural energy minimisation", flush=True)
    if not converged and fault == "unconverged_ionic":
        run.incar["NSW"] = str(len(run.steps))
    run.write_end()


if __name__ == "__main__":
    main()
