"""What the engine `gpaw` asks GPAW for, and what it says where something is missing."""

import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from unimat.errors import UserError
from unimat.materials.relax.force_fields.settings import ForceFieldSettings
from unimat.materials.relax.force_fields.settings import energy_type as of_force_field
from unimat.materials.relax.gpaw import inputs as gpaw_inputs
from unimat.materials.relax.gpaw.engine import energy_type
from unimat.materials.relax.gpaw.inputs import kpoint_mesh, symmetrized, with_moments
from unimat.materials.relax.gpaw.job import parameters
from unimat.materials.relax.gpaw.settings import GpawSettings
from unimat.materials.stability.hull import refuse_strangers
from unimat.materials.stability.references.entries import Entries
from unimat.materials.stability.references.reference import Reference
from unimat.settings import load_settings

ROCK_SALT = Lattice.cubic(4.2)
IRON_OXIDE = Structure.from_spacegroup("Fm-3m", ROCK_SALT, ["Fe", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
MAGNESIA = Structure.from_spacegroup("Fm-3m", ROCK_SALT, ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
OXYGEN = Structure(Lattice.cubic(8), ["O", "O"], [[0, 0, 0], [0, 0, 1.21 / 8]])


def test_parameters_are_pbe_in_plane_waves_of_the_papers_cutoff():
    found = parameters(GpawSettings(convergence={"density": 1e-5}))
    assert found["mode"] == {"name": "pw", "ecut": 520.0}
    assert found["xc"] == "PBE"
    assert found["occupations"] == {"name": "fermi-dirac", "width": 0.05}
    assert found["convergence"] == {"density": 1e-5}


@pytest.mark.parametrize(("density", "mesh"), [(4.0, 8), (2.0, 4)])
def test_kpoints_are_at_least_as_dense_as_asked_for(density: float, mesh: int):
    """The reciprocal vectors of silicon's primitive cell are 2π √3 / 5.469 Å = 1.99 Å⁻¹ long."""
    assert kpoint_mesh(bulk("Si", a=5.469), density) == [mesh] * 3


def test_crystals_with_a_magnetic_element_start_ferromagnetic_as_at_the_materials_project():
    started = with_moments(IRON_OXIDE, GpawSettings())
    by_element = {site.specie.symbol: site.properties["magmom"] for site in started}
    assert by_element == {"Fe": 5.0, "O": 0.0}


def test_others_are_computed_without_spin_and_oxygen_as_a_triplet():
    assert "magmom" not in with_moments(MAGNESIA, GpawSettings()).site_properties
    assert with_moments(OXYGEN, GpawSettings()).site_properties["magmom"] == [1.0, 1.0]
    assert "magmom" not in with_moments(IRON_OXIDE, GpawSettings(spin="none")).site_properties
    of_mine = with_moments(MAGNESIA, GpawSettings(moments={"Mg": 0.5}))
    assert set(of_mine.site_properties["magmom"]) == {0.5, 0.0}


def test_a_crystal_near_a_symmetry_is_put_on_it_and_stays_the_crystal_that_it_was():
    diamond = Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.567), ["C"], [[0, 0, 0]]).get_primitive_structure()
    near = diamond.copy().perturb(0.003)
    assert SpacegroupAnalyzer(near, 1e-5).get_space_group_number() < 227
    found = symmetrized(near, 0.01)
    assert SpacegroupAnalyzer(found, 1e-5).get_space_group_number() == 227
    assert abs(found.volume - diamond.volume) < 1e-6
    assert symmetrized(near, 0.0) is near
    skewed = diamond.copy().make_supercell([[1, 1, 1], [0, 1, 0], [0, 0, 1]], in_place=False)
    lengths = symmetrized(skewed, 0.01).lattice.abc
    assert lengths == pytest.approx([3.567 / 2**0.5] * 3)
    far = diamond.copy().perturb(0.3)
    np.testing.assert_allclose(symmetrized(far, 0.01).distance_matrix, far.distance_matrix, atol=0.03)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"cutoff": 0}, "cutoff must be above 0"),
        ({"symmetrize": -0.1}, "symmetrize must be 0 or above"),
        ({"convergence": {"bands": 1}}, "convergence knows energy, density, eigenstates, forces, not bands"),
        ({"spin": "yes"}, "not one of"),
    ],
)
def test_bad_settings_are_told_in_one_line(given: dict, text: str):
    with pytest.raises(UserError, match=text):
        load_settings(GpawSettings, given, "relax.gpaw")


def test_without_gpaw_one_line_names_pip_and_debian_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "gpaw", None)
    with pytest.raises(
        UserError, match=r"libxc-dev libopenblas-dev libfftw3-dev libopenmpi-dev.*pip install"
    ) as caught:
        gpaw_inputs.check_installed()
    assert "\n" not in str(caught.value)


def of_gpaw(**changed) -> dict[str, str]:
    """What energies of the engine are, as with gpaw-data."""
    settings = GpawSettings(**changed)
    numerics = f"gpaw-data 1.2.1, {settings.cutoff:g} eV, {settings.kpoint_density:g} k-points per Å⁻¹"
    basic = {"calculator": "GPAW 26.7.0", "functional": "PBE", "corrections": "none", "quantity": "total energy"}
    return {**basic, "numerics": numerics}


def hull_of(energy_type: dict[str, str]) -> Reference:
    return Reference("theirs", Entries.of([]), energy_type)


def test_no_other_energies_share_a_hull_with_gpaws():
    chgnet = of_force_field("chgnet", ForceFieldSettings())
    plain_pbe = {key: value for key, value in of_gpaw().items() if key != "numerics"} | {"calculator": "MatPES"}
    strangers = [chgnet, plain_pbe, of_gpaw(cutoff=400.0), of_gpaw(kpoint_density=2.0)]
    for stranger in strangers:
        with pytest.raises(UserError, match="they cannot share a hull; relax both with one engine"):
            refuse_strangers(stranger, hull_of(of_gpaw()))
        with pytest.raises(UserError, match="they cannot share a hull"):
            refuse_strangers(of_gpaw(), hull_of(stranger))
    refuse_strangers(of_gpaw(), hull_of(of_gpaw()))


@pytest.mark.system("gpaw")
def test_energies_name_code_functional_and_numerics():
    found = energy_type(GpawSettings())
    assert found["calculator"] == "GPAW 26.7.0 (gpaw-data 1.2.1)"
    assert (found["functional"], found["corrections"], found["quantity"]) == ("PBE", "none", "total energy")
    assert found["numerics"] == "gpaw-data 1.2.1, 520 eV, 4 k-points per Å⁻¹, Fermi-Dirac 0.05 eV"
    assert energy_type(GpawSettings(spin="none")) != found


@pytest.mark.system("gpaw")
def test_sets_of_ones_own_are_told_by_what_they_hold(monkeypatch, tmp_path: Path):
    import gpaw

    monkeypatch.setattr(gpaw, "setup_paths", list(gpaw.setup_paths))
    (tmp_path / "C.PBE").write_text("<paw_setup/>")
    first = gpaw_inputs.paw_sets(GpawSettings(setups=str(tmp_path)))
    assert first.startswith(f"{tmp_path.name} ")
    other = tmp_path / "other"
    other.mkdir()
    (other / "C.PBE").write_text("<paw_setup version='2'/>")
    assert gpaw_inputs.paw_sets(GpawSettings(setups=str(other))).split()[1] != first.split()[1]


@pytest.mark.system("gpaw")
def test_without_paw_sets_one_line_names_package_and_variable(monkeypatch, tmp_path: Path):
    import gpaw

    monkeypatch.setattr(gpaw, "setup_paths", [str(tmp_path)])
    with pytest.raises(UserError, match=r"pip install gpaw-data.*GPAW_SETUP_PATH or relax.gpaw.setups"):
        energy_type(GpawSettings())


@pytest.mark.system("gpaw")
def test_an_element_without_a_set_is_named():
    uranium = Structure(Lattice.cubic(3.4), ["U"], [[0, 0, 0]])
    assert gpaw_inputs.elements_without_set(uranium, GpawSettings()) == ["U"]
    assert gpaw_inputs.elements_without_set(IRON_OXIDE, GpawSettings()) == []


@pytest.mark.system("gpaw")
def test_gpaw_sees_the_symmetry_of_a_crystal_anywhere_in_a_skewed_cell():
    from gpaw.new.symmetry import create_symmetries_object

    carbide = Structure.from_spacegroup("F-43m", Lattice.cubic(4.36), ["Si", "C"], [[0, 0, 0], [0.25, 0.25, 0.25]])
    skewed = carbide.get_primitive_structure().make_supercell([[1, 1, 1], [0, 1, 0], [0, 0, 1]], in_place=False)
    skewed.translate_sites([0, 1], [0.1, 0.2, 0.3])
    seen = [
        len(create_symmetries_object(AseAtomsAdaptor.get_atoms(each))) for each in (skewed, symmetrized(skewed, 0.01))
    ]
    assert seen[0] < 24
    assert seen[1] == 24  # the point group of zinc blende, -43m
