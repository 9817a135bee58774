"""Force fields by name: what they need, what their energies are, and a relaxation by one from crystal to table."""

import json
import subprocess
import sys
import types
from importlib.metadata import version

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from atomate2.forcefields.utils import MLFF
from pymatgen.core import Lattice, Structure

from unimat.cli import main
from unimat.crystal_table import from_crystals, read, write
from unimat.errors import UserError
from unimat.materials.crystals.structures import from_structure, to_structure
from unimat.materials.relax.engine import energy_type_of, make_engine
from unimat.materials.relax.force_fields.known import ASE, FORCE_FIELDS, arguments, unknown_elements
from unimat.materials.relax.force_fields.settings import ForceFieldSettings
from unimat.materials.relax.jobs.context import recorded_by
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.relax.shard import relax_shard
from unimat.settings import load_settings

COPPER = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.8), ["Cu"], [[0, 0, 0]])
SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
OWN = {"functional": "effective medium theory", "corrections": "none"}


class StandIn(EMT):
    """Effective medium theory in the place of a network, which remembers how it was asked for."""

    asked: dict = {}  # noqa: RUF012

    def __init__(self, **kwargs):
        super().__init__()
        StandIn.asked = kwargs
        StandIn.made = getattr(StandIn, "made", 0) + 1


@pytest.fixture
def package(monkeypatch):
    """Makes modules that are not installed importable for one test."""

    def install(path: str, **contents: object) -> None:
        parts = path.split(".")
        for name in [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]:
            if name not in sys.modules:
                module = types.ModuleType(name)
                module.__version__, module.__path__ = "1.2.3", []
                monkeypatch.setitem(sys.modules, name, module)
                if parent := name.rpartition(".")[0]:
                    setattr(sys.modules[parent], name.rpartition(".")[2], module)
        for name, value in contents.items():
            setattr(sys.modules[path], name, value)

    return install


def relaxed(tmp_path, structure, settings):
    return relax_shard(from_crystals([from_structure(structure, "c")]), settings, tmp_path)


def test_every_name_is_atomate2s_or_an_import_path():
    names = {each.value for each in MLFF} - {"MACE", "Forcefield"}  # an alias, and a placeholder
    ours = {each.calculator for name, each in FORCE_FIELDS.items() if name != ASE}
    assert names <= ours
    assert {each for each in ours - names if "." not in each} == set()


def test_another_force_field_by_name_from_crystal_to_table(package, tmp_path):
    """atomate2 finds SevenNet's calculator by its name; the result is ASE's own relaxation with that calculator."""
    package("sevenn.sevennet_calculator", SevenNetCalculator=StandIn)
    table = relaxed(tmp_path, COPPER, RelaxSettings(engine="sevennet", fmax=0.01))
    atoms = bulk("Cu", cubic=True, a=3.8)
    atoms.calc = EMT()
    BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=0.01)
    row = table[0].properties
    assert row["converged"], row
    assert row["energy_per_atom"] == pytest.approx(atoms.get_potential_energy() / 4, abs=1e-6)
    assert row["n_steps"] > 0
    assert to_structure(table[0]).volume == pytest.approx(atoms.get_volume(), rel=1e-4)
    assert StandIn.asked == {"model": "7net-0"}
    assert table.metadata["energy_type"] == {
        "calculator": "SevenNet (sevenn 1.2.3, model 7net-0)",
        "functional": "PBE/PBE+U mixed, as the Materials Project",
        "corrections": "MP2020",
        "correction_version": f"pymatgen {version('pymatgen')}",
        "quantity": "total energy",
    }


def test_corrections_are_added_to_energies_that_were_learned_without(package, tmp_path):
    """MP2020 gives an oxide -0.687 eV per O (Wang et al., Sci. Rep. 11, 15496, 2021); Al2O3 has 3 O of 5 atoms."""
    package("sevenn.sevennet_calculator", SevenNetCalculator=StandIn)
    corundum = Structure.from_spacegroup(
        "R-3c", Lattice.hexagonal(4.8, 13.0), ["Al", "O"], [[0, 0, 0.352], [0.306, 0, 0.25]]
    ).get_primitive_structure()
    settings = RelaxSettings(engine="sevennet", max_steps=2)
    table = relaxed(tmp_path, corundum, settings)
    assert table[0].properties["correction_per_atom"] == pytest.approx(-0.687 * 3 / 5, abs=1e-3)
    raw = RelaxSettings(engine="sevennet", max_steps=2, force_field=ForceFieldSettings(corrections="none"))
    without = relaxed(tmp_path, corundum, raw)
    assert without.metadata["energy_type"]["corrections"] == "none"
    difference = table[0].properties["energy_per_atom"] - without[0].properties["energy_per_atom"]
    assert difference == pytest.approx(-0.687 * 3 / 5, abs=1e-3)


def test_a_force_field_that_atomate2_does_not_name(package, tmp_path):
    names = {"orb-v3-conservative-inf-mpa": lambda **kwargs: ("network", "adapter")}
    package("orb_models.forcefield.pretrained", ORB_PRETRAINED_MODELS=names)
    package("orb_models.forcefield.inference.calculator", ORBCalculator=lambda net, **given: StandIn(net=net, **given))
    table = relaxed(tmp_path, COPPER, RelaxSettings(engine="orb"))
    assert table[0].properties["converged"]
    assert StandIn.asked == {"net": "network", "atoms_adapter": "adapter"}


def test_any_ase_calculator_by_its_import_path(tmp_path):
    given = ForceFieldSettings(calculator="ase.calculators.emt.EMT", **OWN)
    table = relaxed(tmp_path, COPPER, RelaxSettings(engine="ase", force_field=given))
    assert table[0].properties["converged"]
    assert table.metadata["energy_type"] == {
        "calculator": f"ase.calculators.emt.EMT (ase {version('ase')})",
        "functional": "effective medium theory",
        "corrections": "none",
        "quantity": "total energy",
    }


def test_one_process_loads_a_force_field_once(package, tmp_path):
    package("sevenn.sevennet_calculator", SevenNetCalculator=StandIn)
    StandIn.made = 0
    larger = COPPER.copy()
    larger.scale_lattice(COPPER.volume * 1.02)
    settings = RelaxSettings(engine="sevennet", force_field=ForceFieldSettings(calculator_kwargs={"once": True}))
    crystals = [from_structure(each, str(index)) for index, each in enumerate((COPPER, larger))]
    relax_shard(from_crystals(crystals), settings, tmp_path)
    assert StandIn.made == 1


def test_documents_are_atomate2s_where_they_are_wanted(tmp_path):
    """A job store gets the document of a job, and the result is the same with and without."""
    kept = []

    class Recorder:
        def keep(self, documents):
            kept.extend(documents["docs"])

    with recorded_by(Recorder()):
        recorded = relaxed(tmp_path / "recorded", SALT, RelaxSettings())
    plain = relaxed(tmp_path / "plain", SALT, RelaxSettings())
    assert recorded.arrow.equals(plain.arrow)
    [document] = kept
    assert document["output"]["forcefield_name"] == "MLFF.CHGNet"
    assert document["output"]["forcefield_version"] == version("chgnet")
    energy = document["output"]["output"]["energy_per_atom"]
    assert energy == pytest.approx(plain[0].properties["energy_per_atom"], abs=1e-6)


@pytest.mark.parametrize("engine", sorted(set(FORCE_FIELDS) - {"chgnet", ASE}))
def test_an_engine_that_is_not_installed_is_told_in_one_line(engine, tmp_path, capsys):
    settings = {"engine": engine}
    if FORCE_FIELDS[engine].model is None:
        settings["force_field"] = {"model": "mine.model", **OWN}
    write(from_crystals([from_structure(COPPER, "c")]), tmp_path / "crystals.parquet")
    flags = ["--crystals", "crystals.parquet", "--work", "work", "--out-file", "relaxed.parquet"]
    paths = [str(tmp_path / each) if not each.startswith("--") else each for each in flags]
    assert main(["relax", *paths, "--settings", json.dumps(settings)]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    package = FORCE_FIELDS[engine].package
    assert f"relax.engine {engine!r} needs the package {package}, which is not installed: pip install {package}" in line
    assert not list((tmp_path / "work").glob("results-*"))


def test_a_model_that_cannot_be_loaded_is_told_in_one_line(package):
    def broken(**kwargs):
        raise FileNotFoundError("no file mine.pth")

    package("sevenn.sevennet_calculator", SevenNetCalculator=broken)
    with pytest.raises(UserError, match=r"'sevennet'.*cannot be loaded \(FileNotFoundError: no file mine.pth\)"):
        make_engine(RelaxSettings(engine="sevennet"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"engine": "nep"}, "force_field.model: the engine nep has no pretrained model"),
        ({"engine": "nep", "force_field": {"model": "nep.txt"}}, "functional is not known of the model nep.txt"),
        ({"engine": "mace_mp_0", "force_field": {"model": "large"}}, "functional is not known of the model large"),
        ({"engine": "ase"}, "force_field.calculator is the import path of an ASE calculator"),
        ({"engine": "chgnet", "force_field": {"calculator": "a.B"}}, "no other takes it"),
        ({"engine": "m3gnet", "force_field": {"device": "cuda"}}, "the calculator of m3gnet takes no device"),
        ({"engine": "mace"}, "'mace' is not one of"),
    ],
)  # fmt: skip
def test_settings_that_do_not_say_what_the_energies_are(settings, told):
    with pytest.raises(UserError, match=told):
        load_settings(RelaxSettings, settings, "relax")


def test_arguments_of_calculators():
    """As the packages' own pages have them: a device inside FAIRChem's predict_unit takes its model along."""
    assert arguments("sevennet", None, "auto", {}) == {}
    assert arguments("mattersim", "MatterSim-v1.0.0-5M.pth", "cuda", {}) == {
        "load_path": "MatterSim-v1.0.0-5M.pth",
        "device": "cuda",
    }
    assert arguments("fairchem", None, "cpu", {"task_name": "omat"}) == {
        "task_name": "omat",
        "predict_unit": {"model_name": "uma-s-1p1", "device": "cpu"},
    }
    assert arguments("mace_mp_0", None, "cpu", {"default_dtype": "float64"}) == {
        "device": "cpu",
        "default_dtype": "float64",
    }
    assert arguments("orb", None, "auto", {})["model"] == "orb-v3-conservative-inf-mpa"


def test_another_file_of_the_same_name_is_another_model(tmp_path):
    kinds = []
    for content in (b"one", b"other"):
        (tmp_path / "m.pt").write_bytes(content)
        given = ForceFieldSettings(model=str(tmp_path / "m.pt"), functional="PBE", corrections="none")
        kinds.append(energy_type_of(RelaxSettings(engine="deepmd", force_field=given))["calculator"])
    assert kinds[0].startswith("DeepMD (deepmd-kit of unknown version, model m.pt ")
    assert kinds[0] != kinds[1]


def test_elements_that_a_force_field_does_not_know_are_a_row_with_the_reason(tmp_path):
    """CHGNet would give At, of which MPtrj has no crystal, a number; for Am its network has no row at all."""
    assert unknown_elements("chgnet", {"Na", "At", "Am", "Pu"}) == ["Am", "At"]
    assert len(FORCE_FIELDS["chgnet"].elements) == 89
    strange = [SALT.copy(), SALT.copy()]
    for structure, symbol in zip(strange, ("At", "Am"), strict=True):
        structure.replace_species({"Cl": symbol})
    crystals = [from_structure(each, str(index)) for index, each in enumerate((*strange, SALT))]
    table = relax_shard(from_crystals(crystals), RelaxSettings(), tmp_path)
    assert table.column("failure").tolist() == [
        "not relaxed, CHGNet was not trained on: At",
        "not relaxed, CHGNet was not trained on: Am",
        None,
    ]
    assert table.column("converged").tolist() == [False, False, True]


def test_elements_that_only_the_calculator_knows_of(tmp_path):
    """EMT has parameters of a few metals."""
    given = ForceFieldSettings(calculator="ase.calculators.emt.EMT", **OWN)
    crystals = [from_structure(each, each.formula) for each in (SALT, COPPER)]
    table = relax_shard(from_crystals(crystals), RelaxSettings(engine="ase", force_field=given), tmp_path)
    assert table.column("failure")[0].startswith("calculation failed: NotImplementedError: No EMT-potential for Na")
    assert table.column("converged").tolist() == [False, True]


def test_chgnet_gives_the_numbers_of_its_own_calculator():
    """One backward pass in the place of two."""
    from chgnet.model.dynamics import CHGNetCalculator

    from unimat.materials.relax.force_fields import chgnet_model

    atoms = SALT.to_ase_atoms()
    atoms.rattle(0.05, seed=0)
    ours, theirs = atoms.copy(), atoms.copy()
    ours.calc, theirs.calc = chgnet_model.calculator(use_device="cpu"), CHGNetCalculator(use_device="cpu")
    assert ours.get_potential_energy() == pytest.approx(theirs.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(ours.get_forces(), theirs.get_forces(), atol=1e-5)
    np.testing.assert_allclose(ours.get_stress(), theirs.get_stress(), atol=1e-6)
    np.testing.assert_allclose(ours.get_magnetic_moments(), theirs.get_magnetic_moments(), atol=1e-6)


def test_threads_are_set_before_numpy_is_there(tmp_path):
    """OMP_NUM_THREADS is read when numpy is loaded; settings must not load it."""
    code = "import sys, unimat.materials.relax.settings; print({'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_command_relaxes_with_a_configured_calculator(tmp_path):
    folder = tmp_path / "sets/mine"
    write(from_crystals([from_structure(COPPER, "c")]), folder / "crystals.parquet")
    settings = {"engine": "ase", "force_field": {"calculator": "ase.calculators.emt.EMT", **OWN}}
    flags = ["--crystals", f"{folder}/crystals.parquet", "--work", f"{tmp_path}/work", "--out-file"]
    assert main(["relax", *flags, f"{folder}/relaxed.parquet", "--settings", json.dumps(settings)]) == 0
    assert read(folder / "relaxed.parquet")[0].properties["converged"]
    assert [path.name for path in (tmp_path / "work").glob("results-*")] == ["results-mine-1of1.jsonl"]
