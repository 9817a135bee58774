"""The engine `vasp` from a crystal to its row, through atomate2, jobflow and custodian, with a stand-in for VASP."""

import json

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry
from pymatgen.core import Composition
from pymatgen.io.vasp import Kpoints
from pymatgen.io.vasp.inputs import Incar

from tests.materials.relax.vasp_engine.stand_in_vasp import MARK, ideal_volume
from tests.materials.relax.vasp_engine.vasp_helpers import (
    ALUMINIUM,
    IRON_OXIDE,
    LITHIUM_FLUORIDE,
    NEWER,
    SILICON,
    ZINC_OXIDE,
    bottom,
)
from unimat.errors import UserError
from unimat.materials.crystals.structures import to_structure
from unimat.materials.relax.gather import relaxation_summary
from unimat.materials.relax.settings import VaspSettings
from unimat.materials.relax.vasp.engine import energy_type
from unimat.materials.relax.vasp.stage import last_structure
from unimat.materials.stability.hull import refuse_strangers, shift_sign, stability_table
from unimat.materials.stability.references.reference import Reference, from_relaxed
from unimat.materials.stability.settings import HullSettings

# MP2020 (Wang et al., Sci. Rep. 11, 15496, 2021, Table 2), eV per atom of the element.
OXIDE, FLUORIDE, IRON_IN_OXIDES = -0.687, -0.462, -2.256
STAGES = ["relax_1", "relax_2", "static"]


def test_a_metal(stand_in):
    """Relaxed in two stages, with the smearing that custodian finds wrong for a metal put right in both."""
    table = stand_in.relax(ALUMINIUM)
    row = table[0].properties
    assert row["converged"]
    assert row["failure"] is None
    assert row["energy_per_atom"] == pytest.approx(bottom(ALUMINIUM), abs=1e-7)
    assert row["initial_energy_per_atom"] > row["energy_per_atom"]
    assert row["n_steps"] == 6
    assert to_structure(table[0]).volume == pytest.approx(ideal_volume("Al"), rel=1e-6)
    assert row["n_mended"] == 2
    changed = ["INCAR ISMEAR = 2", "INCAR SIGMA = 0.2"]
    expected = {"stage": "relax_1", "error": "IncorrectSmearing", "count": 1, "changed": changed}
    assert json.loads(row["mended"])[0] == expected
    summary = relaxation_summary(table, "metals")["mended"]
    assert summary == {"crystals": 1, "of": 1, "errors": {"IncorrectSmearing": {"count": 2, "crystals": 1}}}


def test_an_oxide_with_hubbard_u(stand_in):
    """U of 5.3 eV on iron, a ferromagnetic start, and the corrections of GGA+U on the energy."""
    table = stand_in.relax(IRON_OXIDE)
    for stage in STAGES:
        incar = Incar.from_str(stand_in.text(stage, "INCAR"))
        assert incar["ENCUT"] == 520
        assert incar["LDAUU"] == [5.3, 0]
        assert incar["ISPIN"] == 2
    assert Incar.from_str(stand_in.text("relax_1", "INCAR"))["MAGMOM"] == [5, 0.6]
    share = (OXIDE + IRON_IN_OXIDES) / 2
    row = table[0].properties
    assert row["correction_per_atom"] == pytest.approx(share, abs=1e-4)
    assert row["energy_per_atom"] == pytest.approx(bottom(IRON_OXIDE) + share, abs=1e-4)
    assert row["n_mended"] == 0
    assert row["mended"] is None


def test_a_hexagonal_cell_has_gamma_centred_k_points(stand_in):
    table = stand_in.relax(ZINC_OXIDE)
    for stage in STAGES:
        assert Kpoints.from_str(stand_in.text(stage, "KPOINTS")).style.name == "Gamma"
    assert table[0].properties["correction_per_atom"] == pytest.approx(OXIDE / 2, abs=1e-4)


def test_newer_potentials_under_their_own_names(stand_in):
    """The POTCAR of lithium is the newer file, and the energies are on GNoME's scale."""
    table = stand_in.relax(LITHIUM_FLUORIDE, potcars=NEWER)
    assert table[0].properties["converged"]
    assert "PAW_PBE Li_sv 01Jan2020" in stand_in.text("static", "POTCAR")
    assert "PAW_PBE F 01Jan2000" in stand_in.text("static", "POTCAR")
    assert table[0].properties["correction_per_atom"] == pytest.approx(FLUORIDE / 2, abs=1e-4)
    assert table.metadata["energy_type"]["pseudopotentials"] == "GNoME"
    assert energy_type(VaspSettings())["pseudopotentials"] == "Materials Project"
    with pytest.raises(ValueError, match="but not of Na, Mg, Ge, Ga; name all five or none"):
        VaspSettings(potcars={"Li": "Li_sv_new"})


def test_nothing_is_computed_twice(stand_in):
    """Neither a journaled crystal, whatever is asked of its energy, nor a static calculation without its line there."""
    first = stand_in.relax(IRON_OXIDE)
    assert stand_in.stages == STAGES
    second = stand_in.relax(IRON_OXIDE, corrections="none", hang_timeout=60.0)
    assert second[0].properties["correction_per_atom"] is None
    assert second[0].properties["energy_per_atom"] == pytest.approx(bottom(IRON_OXIDE), abs=1e-7)
    stand_in.forget()
    assert stand_in.relax(IRON_OXIDE).arrow.equals(first.arrow)
    assert stand_in.stages == STAGES


def test_a_calculation_without_custodians_last_word_is_done_again(stand_in):
    """Killed after VASP's last line and before custodian looked at it: that stage alone."""
    stand_in.relax(SILICON)
    (stand_in.raw("static") / "custodian.json.gz").unlink()
    stand_in.forget()
    assert stand_in.relax(SILICON)[0].properties["converged"]
    assert stand_in.stages == [*STAGES, "static"]


def test_the_last_structure_of_a_relaxation(tmp_path):
    """Of the folder, else of the latest attempt that wrote one; never a torn one, nor one of another composition."""
    start = SILICON.copy(site_properties={"magmom": [0.1, 0.2]})
    folder, first, second = (tmp_path / name for name in ("relax_1", "relax_1.attempt_1", "relax_1.attempt_2"))
    assert last_structure(folder, start) is start
    for place, volume in ((first, 41.0), (second, 42.0), (folder, 43.0)):
        place.mkdir()
        grown = SILICON.copy()
        grown.scale_lattice(volume)
        grown.to(str(place / "CONTCAR"), fmt="poscar")
    found = last_structure(folder, start)
    assert found.volume == pytest.approx(43.0)
    assert found.site_properties["magmom"] == [0.1, 0.2]
    (folder / "CONTCAR").write_text((folder / "CONTCAR").read_text()[:90])
    assert last_structure(folder, start).volume == pytest.approx(42.0)
    ALUMINIUM.to(str(second / "CONTCAR"), fmt="poscar")
    assert last_structure(folder, start).volume == pytest.approx(41.0)


@pytest.mark.parametrize(
    ("raw_outputs", "there", "gone"),
    [
        ("keep", ["OUTCAR", "WAVECAR"], ["OUTCAR.gz"]),
        ("compress", ["OUTCAR.gz", "WAVECAR.gz"], ["OUTCAR"]),
        ("slim", ["OUTCAR.gz", "vasprun.xml.gz", "custodian.json.gz"], ["WAVECAR.gz", "CHGCAR.gz"]),
    ],
)
def test_raw_outputs_that_stay(stand_in, raw_outputs, there, gone):
    stand_in.relax(SILICON, raw_outputs=raw_outputs)
    for stage in STAGES:
        names = {path.name for path in stand_in.raw(stage).iterdir()}
        assert names.issuperset(there)
        assert names.isdisjoint(gone)


def test_raw_outputs_removed(stand_in):
    assert stand_in.relax(SILICON, raw_outputs="remove")[0].properties["converged"]
    assert list(stand_in.work.glob("raw/*")) == []


def test_every_file_of_the_stand_in_says_so(stand_in):
    stand_in.relax(SILICON, raw_outputs="keep")
    for name in ("vasp.out", "OUTCAR", "OSZICAR", "CONTCAR", "vasprun.xml", "WAVECAR", "CHGCAR"):
        assert MARK in stand_in.text("static", name)[:200], name


def test_energies_meet_a_hull_of_their_own_kind_alone(stand_in):
    """A set judged against itself lies on its hull; uncorrected, other and shifted energies are told apart."""
    table = stand_in.relax(SILICON)
    reference = from_relaxed(table, "ours")
    judged = stability_table(table, reference, HullSettings())
    np.testing.assert_allclose(judged["decomposition_energy"], 0, atol=1e-9)

    kind = table.metadata["energy_type"]
    phases = [PDEntry(Composition("Si"), -5.4)]
    for key, other in {"functional": "r2SCAN", "corrections": "none", "quantity": "formation energy"}.items():
        with pytest.raises(UserError):
            refuse_strangers(kind, Reference("theirs", phases, kind | {key: other}))
    gnome = Reference("GNoME", phases, kind | {"pseudopotentials": "GNoME"})
    assert shift_sign(kind, gnome) == 1
    assert shift_sign(energy_type(VaspSettings(potcars=NEWER)), gnome) == 0
