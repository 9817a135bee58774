"""VASP without VASP: a stand-in program, potentials that hold no potential, and an engine that calls them."""

import dataclasses
import gzip
import json
from pathlib import Path

import numpy as np
from pymatgen.core import Element, Lattice, Structure

from tests.materials.relax.vasp_engine.stand_in_vasp import depth
from unimat.crystal_table import from_crystals
from unimat.materials.crystals.structures import from_structure
from unimat.materials.relax.settings import RelaxSettings, VaspSettings
from unimat.materials.relax.shard import relax_shard

STAND_IN = Path(__file__).with_name("stand_in_vasp.py")
# Valence electrons of the Materials Project's potentials that the tests ask for; the newer ones have the same.
VALENCES = {"Al": 3, "H": 1, "Si": 4, "O": 6, "Fe_pv": 14, "Li_sv": 3, "Li_sv_new": 3, "Zn": 12, "F": 7}
NEWER = {"Li": "Li_sv_new", "Na": "Na_pv_new", "Mg": "Mg_pv_new", "Ge": "Ge_d_new", "Ga": "Ga_d_new"}

ALUMINIUM = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.3), ["Al"], [[0, 0, 0]]).get_primitive_structure()
SILICON = Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.6), ["Si"], [[0, 0, 0]]).get_primitive_structure()
IRON_OXIDE = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.4), ["Fe", "O"], [[0] * 3, [0.5] * 3])
IRON_OXIDE = IRON_OXIDE.get_primitive_structure()
ZINC_OXIDE = Structure.from_spacegroup(
    "P6_3mc", Lattice.hexagonal(3.3, 5.3), ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.38]]
)
LITHIUM_FLUORIDE = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.1), ["Li", "F"], [[0] * 3, [0.5] * 3])
LITHIUM_FLUORIDE = LITHIUM_FLUORIDE.get_primitive_structure()


def bottom(structure: Structure) -> float:
    """Energy per atom (eV) that the stand-in relaxes this composition to: the mean of its made-up values."""
    return float(np.mean([depth(site.specie.symbol) for site in structure]))


def fake_potcar(name: str, valence: int) -> str:
    """Text with the header of a POTCAR and nothing of its data."""
    symbol, title = name.split("_")[0], name.removesuffix("_new")
    date = "01Jan2020" if name.endswith("_new") else "01Jan2000"
    return f"""  PAW_PBE {title} {date}
   {valence:.10f}
 parameters from PSCTR are:
   VRHFIN ={symbol}: STAND-IN, no potential
   LEXCH  = PE
   EATOM  =   100.0000 eV,    7.3499 Ry
   TITEL  = PAW_PBE {title} {date}
   LULTRA =        F    use ultrasoft PP ?
   LPAW   =        T    paw PP
   POMASS =   {float(Element(symbol).atomic_mass):8.3f}; ZVAL   =   {valence:6.3f}    mass and valenz
   ENMAX  =  300.000; ENMIN  =  200.000 eV
 END of PSCTR-controll parameters
  0.0
 End of Dataset
"""


@dataclasses.dataclass
class StandIn:
    """The stand-in, its plan of faults, and what it was asked to do.

    Attributes:
        work: folder of the shard's journal and raw files.
    """

    command: str
    folder: Path
    work: Path

    def plan(self, faults: dict) -> None:
        (self.folder / "plan.json").write_text(json.dumps(faults))

    @property
    def calls(self) -> list[dict]:
        log = self.folder / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def forget(self) -> None:
        """Remove the journal, as if the process had died between the last calculation and its line there."""
        for path in self.work.glob("results-*.jsonl"):
            path.unlink()

    @property
    def stages(self) -> list[str]:
        """Folder names of the calls, in their order."""
        return [call["folder"] for call in self.calls]

    def settings(self, **changes) -> RelaxSettings:
        patience = {"poll_interval": 0.1, "monitor_interval": 0.3} | changes
        return RelaxSettings(engine="vasp", vasp=VaspSettings(command=self.command, **patience))

    def relax(self, *structures: Structure, **changes):
        """Relaxed table of the structures, with ids c-0, c-1, ..."""
        crystals = [from_structure(structure, f"c-{n}") for n, structure in enumerate(structures)]
        return relax_shard(from_crystals(crystals), self.settings(**changes), self.work)

    def raw(self, stage: str) -> Path:
        """Folder of that name of the only crystal."""
        [found] = self.work.glob(f"raw/*/{stage}")
        return found

    def text(self, stage: str, name: str) -> str:
        """A raw file of the only crystal, unzipped."""
        path = self.raw(stage) / name
        return path.read_text() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes()).decode()
