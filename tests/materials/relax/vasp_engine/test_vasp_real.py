"""Inputs and outputs of real VASP runs by the Materials Project: ours are the same, and ours are read the same.

The runs are those of silicon (atomate2's test data) and of V, O2, V2O3 and VO2 (the Materials Project's tutorial on
phase diagrams), each relax 1, relax 2 and static.
"""

import functools
import gzip
import json
import lzma
import os
from pathlib import Path

import pandas as pd
import pytest
from atomate2.vasp.jobs.base import get_vasp_task_document
from monty.json import MontyDecoder
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedEntry
from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar

from unimat.crystal_table import from_crystals
from unimat.materials.crystals.structures import from_structure
from unimat.materials.relax.engine import Relaxation
from unimat.materials.relax.mp2020 import corrected
from unimat.materials.relax.settings import RelaxSettings, VaspSettings
from unimat.materials.relax.shard import relaxed_table
from unimat.materials.relax.vasp import stage as vasp_stage
from unimat.materials.relax.vasp.engine import VaspEngine, energy_type
from unimat.materials.stability.hull import stability_table
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.settings import HullSettings

pytestmark = pytest.mark.published

STAGES = ["relax_1", "relax_2", "static"]
V_O = {"mp-146": "V", "mp-12957": "O2", "mp-18937": "V2O3", "mp-541404": "VO2"}
SILICON_FOLDERS = dict(zip(STAGES, ["GGA_Relax_1", "GGA_Relax_2", "GGA_Static"], strict=True))
PARALLEL = {"KPAR", "NCORE", "NSIM"}  # tags of the machine
# What is not equal, as (ours, theirs); docs/vasp.md says why.
DIFFERENT_TAGS = {
    ("Si", "relax_1"): {"LCHARG": (None, False)},
    ("Si", "relax_2"): {"LCHARG": (None, False)},
    ("mp-146", "relax_1"): {"ISMEAR": (-5, 2), "SIGMA": (0.05, 0.12377244236218675)},
    ("mp-146", "relax_2"): {"ISMEAR": (-5, 2), "SIGMA": (0.05, 0.2)},
}
DIFFERENT_MESHES = {("Si", "static"): ((8, 8, 8), (7, 7, 7))}


@functools.cache
def files(name: str, stage: str) -> dict[str, dict[str, str]]:
    """Texts of a run's `inputs` and `outputs`, by the names of VASP's files."""
    data = Path(os.environ["UNIMAT_DATA_DIR"]) / "vasp"
    if name != "Si":
        packed = data / "mp_phase_diagram_tutorial" / f"MP_GGA_{stage}_{name}.json.lzma"
        return json.loads(lzma.decompress(packed.read_bytes()))
    folder = data / "Si_mp_gga_relax" / SILICON_FOLDERS[stage]
    return {
        part: {path.stem: gzip.decompress(path.read_bytes()).decode() for path in (folder / part).glob("*.gz")}
        for part in ("inputs", "outputs")
    }


def unpacked(name: str, stage: str, folder: Path) -> Path:
    """The folder of a run, as VASP left it; POTCAR.spec in the place of the POTCAR."""
    folder.mkdir(exist_ok=True)
    for part in ("inputs", "outputs"):
        for file, text in files(name, stage)[part].items():
            if "." not in file or file in ("vasprun.xml", "POTCAR.spec"):
                (folder / file).write_text(text)
    return folder


@pytest.mark.parametrize("name", ["Si", *V_O])
def test_our_inputs_are_theirs(name, tmp_path):
    """INCAR, KPOINTS and names of potentials of all three calculations, each from the one before as in the flow."""
    previous = None
    for stage in VaspEngine(RelaxSettings(engine="vasp")).stages():
        theirs = files(name, stage.name)["inputs"]
        structure = Poscar.from_str(theirs["POSCAR"]).structure
        if previous:
            structure = get_vasp_task_document(previous).output.structure  # with the moments of its atoms
        generator = stage.maker.input_set_generator
        ours = generator.get_input_set(structure, prev_dir=previous, potcar_spec=True)
        incars = dict(ours["INCAR"]), dict(Incar.from_str(theirs["INCAR"]))
        tags = sorted((incars[0].keys() | incars[1].keys()) - PARALLEL)
        differing = {tag: tuple(incar.get(tag) for incar in incars) for tag in tags if not _equal(tag, *incars)}
        assert differing == DIFFERENT_TAGS.get((name, stage.name), {}), stage.name
        meshes = ours["KPOINTS"], Kpoints.from_str(theirs["KPOINTS"])
        assert [mesh.style.name for mesh in meshes] == ["Gamma", "Gamma"]
        expected = DIFFERENT_MESHES.get((name, stage.name), (tuple(meshes[1].kpts[0]),) * 2)
        assert tuple(tuple(mesh.kpts[0]) for mesh in meshes) == expected
        assert ours["POTCAR.spec"].split() == theirs["POTCAR.spec"].split()
        previous = unpacked(name, stage.name, tmp_path / stage.name)


def _equal(tag: str, ours: dict, theirs: dict) -> bool:
    if tag == "MAGMOM" and tag in ours and tag in theirs:
        return ours[tag] == pytest.approx(theirs[tag], abs=2e-3)
    return ours.get(tag) == theirs.get(tag)


@functools.cache
def documents_of_the_materials_project() -> dict[str, dict]:
    data = Path(os.environ["UNIMAT_DATA_DIR"]) / "vasp" / "mp_phase_diagram_tutorial"
    return json.loads(gzip.decompress((data / "MP-example-V-O-phase-diagram.json.gz").read_bytes()))


def static_of(name: str) -> dict:
    """The Materials Project's own document of the static calculation."""
    found = documents_of_the_materials_project()[name]
    return found["GGA+U Static"] if "GGA+U Static" in found else found["GGA Static"]


def parsed(name: str, folder: Path) -> Relaxation:
    """Row of the engine for the static calculation, without corrections."""
    result = vasp_stage.stage_result(get_vasp_task_document(unpacked(name, "static", folder)))
    n_atoms = len(result.structure)
    return Relaxation(
        result.structure, result.energy / n_atoms, result.first_energy / n_atoms, result.fmax, result.n_steps, True,
        parameters=result.parameters,
    )  # fmt: skip


@pytest.mark.parametrize("name", V_O)
def test_our_parser_gets_their_energies(name, tmp_path):
    found, theirs = parsed(name, tmp_path / name), static_of(name)["output"]
    assert found.energy_per_atom == pytest.approx(theirs["energy_per_atom"], abs=1e-8)
    assert found.structure.composition.reduced_formula == V_O[name]
    assert found.parameters["hubbards"].get("V", 0) == (3.25 if "V" in V_O[name] and "O" in V_O[name] else 0)


def test_silicon_is_read_as_vasp_wrote_it(tmp_path):
    """-10.84060922 eV is the last energy of the OUTCAR."""
    assert parsed("Si", tmp_path / "Si").energy_per_atom == pytest.approx(-10.84060922 / 2, abs=1e-8)


def test_elements_lie_where_the_database_has_them(tmp_path):
    """Uncorrected energies of vanadium and oxygen in the Materials Project's database, to 5 meV/atom."""
    summary = pd.read_csv(Path(os.environ["UNIMAT_DATA_DIR"]) / "hull" / "mp_materials_summary.csv")
    for name in ("mp-146", "mp-12957"):
        [row] = summary[summary["MaterialId"] == name].to_dict("records")
        found = parsed(name, tmp_path / name).energy_per_atom
        theirs = row["Corrected Energy"] / row["NSites"]  # uncorrected, whatever its name
        assert found == pytest.approx(theirs, abs=0.005)


def test_decomposition_energies_are_the_materials_projects(tmp_path):
    """V, O2, V2O3, VO2 by our parser, corrections and hull, against their documents by pymatgen's: to 5 meV/atom."""
    rows = {name: corrected(parsed(name, tmp_path / name)) for name in V_O}
    theirs = {name: MontyDecoder().process_decoded(static_of(name)["entry"]) for name in V_O}
    for entry in theirs.values():
        assert isinstance(entry, ComputedEntry)
        assert entry.parameters["run_type"] in ("GGA", "GGA+U")
    entries = MaterialsProject2020Compatibility(check_potcar=False).process_entries(list(theirs.values()), clean=True)
    assert len(entries) == 4
    energies = {entry.composition.reduced_formula: entry.energy_per_atom for entry in entries}
    for name, formula in V_O.items():
        assert rows[name].energy_per_atom == pytest.approx(energies[formula], abs=1e-6)

    for judged in ("mp-18937", "mp-541404"):
        phases = [
            PDEntry(Composition(formula), rows[name].energy_per_atom * Composition(formula).num_atoms, name=name)
            for name, formula in V_O.items()
            if name != judged
        ]
        table = relaxed_table(from_crystals([from_structure(rows[judged].structure, judged)]), [rows[judged]])
        table = table.with_metadata(energy_type=energy_type(VaspSettings()))
        reference = Reference("V-O", phases, energy_type(VaspSettings()))
        [ours] = stability_table(table, reference, HullSettings())["decomposition_energy"]
        [entry] = [each for each in entries if each.composition.reduced_formula == V_O[judged]]
        stable = PhaseDiagram([each for each in entries if each is not entry])
        assert ours == pytest.approx(stable.get_decomp_and_e_above_hull(entry, allow_negative=True)[1], abs=0.005)
