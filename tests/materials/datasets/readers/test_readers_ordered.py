"""Solid solutions, slabs and molecules whose form keeps occupancies or periodicity in another field."""

import json

import ase.db
import ase.io
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from pymatgen.core import Lattice, Molecule, Structure
from pymatgen.core.surface import SlabGenerator

from tests.materials.datasets.readers.test_readers import CIFS, ROCK_SALT, SILICON
from tests.materials.datasets.readers.test_readers_bad_input import outcome, told
from unimat.errors import CrystalRejected
from unimat.materials.datasets.readers import records_of
from unimat.materials.datasets.readers.entries import content_of
from unimat.materials.datasets.readers.ordered import check_ordered
from unimat.materials.datasets.readers.records import Columns

MIXED_CIF = """data_mixed
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 Na 0 0 0 0.75
K1 K 0 0 0 0.25
Cl1 Cl 0.5 0.5 0.5 1
"""


def outcomes(path, **columns):
    return {record.material_id: str(outcome(record)) for record in records_of(path, Columns(**columns))}


def silicon(pbc=True, **info):
    atoms = bulk("Si", a=5.43)
    atoms.pbc = pbc
    atoms.info.update(info)
    return atoms


@pytest.mark.parametrize(
    "stated",
    [
        {"pbc": [True, True, True]},
        {"pbc": "T T T"},
        {"pbc": np.array([1, 1, 1])},
        {"pbc": True},
        {"pbc": None},
        {"dimension_types": [1, 1, 1]},
        {"nperiodic_dimensions": 3},
        {"nperiodic_dimensions": "3"},
        {"nperiodic_dimensions": "nan"},
        {"nperiodic_dimensions": None},
        {"ordered": False},  # of moments, perhaps
        {"occ": 0.5},
        {"occ": [1.0, 1.0]},
        {"occupation": "fermi"},
        {"assemblies": None},
        {"structure_features": []},
        {"structure_features": None},
        {"occupancy": [1, 1.0, 0.9999]},
        {"occupancies": "1.0 1.0"},
        {"occupancy": {"0": {"Na": 1.0}, "1": {"Cl": 1}}},
        {"occupancy": {"Na": 1.0, "K": 0.0}},
        {"occupancy": "full"},
        {"is_ordered": True},
        {"config_type": "bulk"},
    ],
)
def test_fields_of_ordered_crystals(stated):
    check_ordered(stated)


@pytest.mark.parametrize(
    ("stated", "reason", "said"),
    [
        ({"pbc": [True, True, False]}, "not_periodic", "pbc is [True, True, False]"),
        ({"PBC": "T T F"}, "not_periodic", "PBC is T T F"),
        ({"pbc": "[1, 1, 0]"}, "not_periodic", "pbc is [1, 1, 0]"),
        ({"pbc": np.zeros(3, bool)}, "not_periodic", "pbc is [False, False, False]"),
        ({"pbc": False}, "not_periodic", "pbc is False"),
        ({"dimension_types": [0, 0, 0]}, "not_periodic", "dimension_types is [0, 0, 0]"),
        ({"dimension_types": [1.0, 1.0, 0.0]}, "not_periodic", "dimension_types is [1.0, 1.0, 0.0]"),
        ({"nperiodic_dimensions": 2}, "not_periodic", "nperiodic_dimensions is 2"),
        ({"nperiodic_dimensions": "0"}, "not_periodic", "nperiodic_dimensions is 0"),
        ({"config_type": "IsolatedAtom"}, "not_periodic", "config_type is IsolatedAtom"),
        ({"config_type": "isolated_atom"}, "not_periodic", "config_type is isolated_atom"),
        ({"structure_features": ["disorder"]}, "partial_occupancy", "structure_features is ['disorder']"),
        ({"structure_features": '["unknown_positions"]'}, "atoms_missing", "['unknown_positions']"),
        ({"occupancy": [1, 0.5]}, "partial_occupancy", "occupancy is [1, 0.5]"),
        ({"occupancies": np.array([[0.5, 1.0]])}, "partial_occupancy", "occupancies is [[0.5, 1.0]]"),
        ({"occupancy": {"0": {"Na": 0.5, "K": 0.5}}}, "partial_occupancy", "a site with a share of 0.5"),
        ({"site_occupancy": "1 0.5"}, "partial_occupancy", "a site with a share of 0.5"),
        ({"occupancy": 0.5}, "partial_occupancy", "occupancy is 0.5"),
        ({"occ": [0.5, 1.0]}, "partial_occupancy", "occ is [0.5, 1.0]"),
        ({"site_occupancies": [0.5, 1.0]}, "partial_occupancy", "a site with a share of 0.5"),
        ({"assemblies": [{"sites_in_groups": [[0], [1]]}]}, "partial_occupancy", "assemblies is [{'sites_in_groups'"),
        ({"occupancy": [1, float("nan")]}, "partial_occupancy", "a site with a share of nan"),
        ({"is_ordered": False}, "partial_occupancy", "is_ordered is False"),
    ],
)
def test_fields_of_what_is_no_ordered_crystal(stated, reason, said):
    with pytest.raises(CrystalRejected) as error:
        check_ordered(stated)
    assert error.value.reason == reason
    assert said in error.value.detail


def test_extxyz_by_what_its_lines_say(tmp_path):
    mixed = silicon(material_id="mixed")
    mixed.set_array("occupancy", np.array([1.0, 0.5]))
    frames = [
        silicon(material_id="bulk"),
        silicon([True, True, False], material_id="layer"),
        silicon(False, material_id="cluster"),
        silicon(material_id="named", config_type="IsolatedAtom"),
        mixed,
    ]
    ase.io.write(tmp_path / "a.extxyz", frames)
    with (tmp_path / "a.extxyz").open("a") as stream:
        stream.write('1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3 material_id=without\nPo 0 0 0\n')
        stream.write("1\nProperties=species:S:1:pos:R:3 material_id=atom\nPo 0 0 0\n")
    found = outcomes(tmp_path / "a.extxyz")
    assert found["bulk"] == "2"
    assert found["without"] == "1"  # ASE's rule: a Lattice without pbc is periodic in three directions
    assert found["layer"].startswith("not_periodic: pbc is T T F")
    assert found["cluster"].startswith("not_periodic: pbc is F F F")
    assert found["atom"] == "not_periodic: no Lattice: a molecule or an isolated atom, not a crystal"
    assert found["named"].startswith("not_periodic: config_type is IsolatedAtom")
    assert found["mixed"].startswith("partial_occupancy: occupancy is [1.0, 0.5]")


@pytest.mark.parametrize(
    ("properties", "line", "expected"),
    [
        ("species:S:1:pos:R:3", "Si 0 0 0", "1"),
        ("pos:R:3:species:S:1", "0 0 0 SI", "1"),
        ("species:S:1:pos:R:3:Z:I:1", "Si 0 0 0 14", "1"),
        ("Z:I:1:pos:R:3", "14 0 0 0", "1"),
        ("species:S:1:pos:R:3", "NH 0 0 0", "not_an_element: species 'NH'"),  # ASE: nihonium
        ("species:S:1:pos:R:3", "D 0 0 0", "not_an_element: species 'D'"),
        ("species:S:1:pos:R:3", "X 0 0 0", "not_an_element: species 'X'"),
        (
            "species:S:1:frac_coords:R:3",
            "Si 0 0 0",
            "unreadable: extxyz: no column pos among the Properties species, frac",
        ),
        ("species:S:1:pos:R:3:Z:I:1", "Si 0 0 0 32", "contradicts_source: an atom is of species 14 by its symbol, 32"),
    ],
)
def test_species_of_extxyz(tmp_path, properties, line, expected):
    frame = f'1\nLattice="3 0 0 0 3 0 0 0 3" Properties={properties} material_id=a\n{line}\n'
    (tmp_path / "a.extxyz").write_text(frame)
    assert outcomes(tmp_path / "a.extxyz")["a"].startswith(expected)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('"T T F"', "T T F"),
        ('"t t f"', "t t f"),
        ("TTF", "TTF"),
        ('"1 1 0"', "1 1 0"),
        ("[T,T,F]", "[T,T,F]"),
        ("_JSON [true, true, false]", "[true, true, false]"),
        ("F", "F"),
        ('"T T T"', None),
        ("TTT", None),
        ('"1.0 1.0 1.0"', None),
        ("{True True True}", None),
    ],
)
def test_pbc_in_any_spelling(tmp_path, written, said):
    frame = f'1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3 material_id=a pbc={written}\nPo 0 0 0\n'
    (tmp_path / "a.extxyz").write_text(frame)
    expected = f"not_periodic: pbc is {said}, and" if said else "1"
    assert outcomes(tmp_path / "a.extxyz")["a"].startswith(expected)
    (tmp_path / "a.extxyz").write_text(frame.replace(written, "xyz"))
    assert outcomes(tmp_path / "a.extxyz")["a"].startswith("unreadable: extxyz: pbc is xyz, expected three of T and F")


def test_extxyz_in_a_cell_of_a_table(tmp_path):
    one = '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3{}\nCs 0 0 0\nCl 2 2 2\n'
    texts = {
        "one": one,
        "two": one + one,
        "layer": one.replace("{}", ' pbc="T T F"'),
        "other": one.replace("{}", " formula=KCl"),
    }
    frame = pd.DataFrame({"id": list(texts), "structure": [text.replace("{}", "") for text in texts.values()]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    found = outcomes(tmp_path / "a.csv")
    assert found["one"] == "2"
    assert found["two"].startswith("unreadable: extxyz: more than one frame")
    assert found["layer"].startswith("not_periodic: pbc is T T F")
    assert found["other"].startswith("contradicts_source: formula is 'KCl'; what was read is CsCl")


def test_occupancies_of_ases_cif_reader(tmp_path):
    (tmp_path / "a.cif").write_text(MIXED_CIF)
    (tmp_path / "b.cif").write_text(CIFS["nacl"])
    mixed, whole = ase.io.read(tmp_path / "a.cif"), ase.io.read(tmp_path / "b.cif")
    assert mixed.info["occupancy"]["0"] == {"Na": 0.75, "K": 0.25}
    ase.io.write(tmp_path / "a.extxyz", [mixed, whole])
    found = list(outcomes(tmp_path / "a.extxyz").values())
    assert found[0].startswith("partial_occupancy: occupancy is")
    assert found[1] == "8"


def test_images_of_a_trajectory(tmp_path):
    with ase.io.Trajectory(tmp_path / "a.traj", "w") as trajectory:
        for atoms in (silicon(), silicon([True, True, False]), molecule("H2O"), silicon()):
            trajectory.write(atoms)
    found = outcomes(tmp_path / "a.traj")
    assert found["a-0"] == found["a-3"] == "2"
    assert found["a-1"].startswith("not_periodic: pbc is [True, True, False]")
    assert found["a-2"].startswith("not_periodic: pbc is [False, False, False]")
    records = list(records_of(tmp_path / "a.traj"))
    np.testing.assert_allclose(records[0].content.lattice, silicon().cell.array)
    np.testing.assert_allclose(records[0].content.frac_coords, silicon().get_scaled_positions(), atol=1e-12)
    data = (tmp_path / "a.traj").read_bytes()
    (tmp_path / "b.traj").write_bytes(data[:100])
    assert "not readable as a trajectory" in told(tmp_path / "b.traj")
    (tmp_path / "c.traj").write_bytes(b"no trajectory")
    assert "is no trajectory of ASE" in told(tmp_path / "c.traj")


def test_ase_databases_by_pbc_and_data(tmp_path):
    (tmp_path / "a.cif").write_text(MIXED_CIF)
    mixed = ase.io.read(tmp_path / "a.cif")
    occupancy = {"occupancy": mixed.info["occupancy"]}
    for name in ("a.db", "a.json"):
        with ase.db.connect(tmp_path / name) as connection:
            connection.write(silicon(), key_value_pairs={"material_id": "bulk"})
            connection.write(fcc111("Al", (1, 1, 3), vacuum=10), key_value_pairs={"material_id": "slab"})
            connection.write(molecule("H2O", vacuum=4), key_value_pairs={"material_id": "water"})
            connection.write(mixed, key_value_pairs={"material_id": "mixed"}, data=occupancy)
            connection.write(mixed, key_value_pairs={"material_id": "info"}, data={"info": occupancy})
        found = outcomes(tmp_path / name)
        assert found["bulk"] == "2"
        assert found["slab"].startswith("not_periodic: pbc is [True, True, False]")
        assert found["water"].startswith("not_periodic: pbc is [False, False, False]")
        assert found["mixed"].startswith("partial_occupancy: occupancy is")
        assert found["info"].startswith("partial_occupancy: occupancy is")


def test_atoms_that_ase_writes_as_json(tmp_path):
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    ase.io.write(tmp_path / "a.json", atoms)
    (record,) = records_of(tmp_path / "a.json")
    np.testing.assert_allclose(record.content.lattice, 5.64 * np.eye(3))
    np.testing.assert_allclose(record.content.frac_coords, atoms.get_scaled_positions(), atol=1e-12)
    assert record.content.atomic_numbers.tolist() == [11, 17] * 4
    ase.io.write(tmp_path / "a.json", Atoms("Po", cell=[3, 3, 3], pbc=[True, False, True]))
    assert next(iter(outcomes(tmp_path / "a.json").values())).startswith("not_periodic: pbc is [True, False, True]")


def test_molecules_in_a_file_of_entries(tmp_path):
    water = Molecule(["O", "H", "H"], [[0, 0, 0], [0, 0, 1], [0, 1, 0]]).as_dict()
    (tmp_path / "a.json").write_text(json.dumps({"a": water, "b": {"id": "b", "structure": water, "gap": 1}}))
    assert set(outcomes(tmp_path / "a.json").values()) == {"not_periodic: @class is Molecule, which is no bulk crystal"}


def test_pymatgens_slabs_molecules_and_lattices():
    layer = Structure(Lattice([[3, 0, 0], [0, 3, 0], [0, 0, 20]], pbc=(True, True, False)), ["C"], [[0, 0, 0]])
    slab = SlabGenerator(SILICON, (1, 1, 1), 5, 10).get_slab()
    water = Molecule(["O", "H", "H"], [[0, 0, 0], [0, 0, 1], [0, 1, 0]])
    for structure, said in (
        (layer, "pbc is [True, True, False]"),
        (slab, "@class is Slab"),
        (water, "@class is Molecule"),
    ):
        found = content_of(json.dumps(structure.as_dict()), "x")
        assert found.reason == "not_periodic"
        assert said in found.detail


@pytest.mark.parametrize(
    ("species", "label", "reason"),
    [
        ([{"element": "Na", "occu": 0.5}, {"element": "K", "occu": 0.5}], "Na", "partial_occupancy"),
        ([{"element": "Na", "occu": 0.5}], "Na", "partial_occupancy"),
        ([{"element": "X", "oxidation_state": 0, "occu": 1}], "X0+", "not_an_element"),
        ([{"element": "H", "oxidation_state": 1, "occu": 1}], "D+", "not_an_element"),
    ],
)
def test_species_of_pymatgen(species, label, reason):
    data = ROCK_SALT.as_dict()
    data["sites"][0].update(species=species, label=label)
    assert content_of(data, "x").reason == reason


def test_occupancies_among_the_properties_of_pymatgens_sites():
    structure = ROCK_SALT.copy(site_properties={"occupancy": [1.0] * 7 + [0.5], "magmom": [0.0] * 8})
    found = content_of(structure.as_dict(), "x")
    assert (found.reason, found.detail) == ("partial_occupancy", "occupancy is 0.5: a site with a share of 0.5")
    full = ROCK_SALT.copy(site_properties={"occupancy": [1.0] * 8})
    assert len(content_of(full.as_dict(), "x").atomic_numbers) == 8


def optimade(name, **more):
    attributes = {
        "lattice_vectors": [[4, 0, 0], [0, 4, 0], [0, 0, 4]],
        "cartesian_site_positions": [[0, 0, 0], [2, 2, 2]],
        "species_at_sites": ["Cs", "Cl"],
        "species": [{"name": each, "chemical_symbols": [each], "concentration": [1.0]} for each in ("Cs", "Cl")],
        "dimension_types": [1, 1, 1],
        "nperiodic_dimensions": 3,
        "structure_features": [],
        "chemical_formula_reduced": "ClCs",
        "nsites": 2,
        "elements": ["Cl", "Cs"],
        "nelements": 2,
    }
    return {"id": name, "type": "structures", "attributes": {**attributes, **more}}


OPTIMADE = {
    "good": ({}, "2"),
    "layer": ({"dimension_types": [1, 1, 0]}, "not_periodic: dimension_types is [1, 1, 0]"),
    "molecule": ({"nperiodic_dimensions": 0}, "not_periodic: nperiodic_dimensions is 0"),
    "vectors": (
        {"dimension_types": [1, 1, 0], "lattice_vectors": [[4, 0, 0], [0, 4, 0], [None] * 3]},
        "not_periodic: dimension_types is [1, 1, 0]",
    ),
    "formula": ({"chemical_formula_reduced": "Cl2Cs"}, "contradicts_source: chemical_formula_reduced is 'Cl2Cs'"),
    "sites": ({"nsites": 4}, "contradicts_source: nsites is 4"),
    "place": (
        {"cartesian_site_positions": [[0, 0, 0], [None] * 3]},
        "atoms_missing: cartesian_site_positions has a site",
    ),
    **{
        feature: ({"structure_features": [feature]}, f"{reason}: structure_features is ['{feature}']")
        for reason, features in (
            ("partial_occupancy", ("disorder", "assemblies")),
            ("atoms_missing", ("unknown_positions", "site_attachments", "implicit_atoms")),
        )
        for feature in features
    },
}


@pytest.mark.parametrize(
    ("species", "reason"),
    [
        ([("D", "H", {"mass": [2.014]}), ("Cl", "Cl", {})], "not_an_element"),
        ([("A", "H", {"mass": [2.014]}), ("Cl", "Cl", {})], "not_an_element"),
        ([("A", "H", {"mass": [1.008]}), ("B", "Cl", {"mass": None})], None),  # a name may be another element's symbol
        ([("A", "Cs", {}), ("A", "K", {}), ("Cl", "Cl", {})], "unreadable"),
    ],
)
def test_species_of_optimade(species, reason):
    listed = [
        {"name": name, "chemical_symbols": [symbol], "concentration": [1], **more} for name, symbol, more in species
    ]
    sites = [species[0][0], species[-1][0]]
    attributes = optimade("x", species=listed, species_at_sites=sites)["attributes"]
    found = content_of({**attributes, "elements": None, "chemical_formula_reduced": None}, "x")
    assert getattr(found, "reason", None) == reason


def test_optimade_by_its_own_fields(tmp_path):
    entries = [optimade(name, **more) for name, (more, _) in OPTIMADE.items()]
    (tmp_path / "a.json").write_text(json.dumps({"data": entries, "meta": {}}))
    found = outcomes(tmp_path / "a.json")
    for name, (_, expected) in OPTIMADE.items():
        assert found[name].startswith(expected)


def test_optimade_as_columns_of_a_table(tmp_path):
    rows = {name: more for name, (more, _) in OPTIMADE.items() if name != "vectors"}
    frame = pd.DataFrame(
        [{"immutable_id": name, **optimade(name, **more)["attributes"]} for name, more in rows.items()]
    )
    pyarrow.feather.write_feather(pa.Table.from_pandas(frame), tmp_path / "a.arrow")
    found = outcomes(tmp_path / "a.arrow", material_id="immutable_id")
    for name in rows:
        assert found[name].startswith(OPTIMADE[name][1])


def test_columns_beside_a_cif(tmp_path):
    frame = pd.DataFrame(
        {"id": ["a", "b"], "cif": CIFS["si"], "pbc": ["T T T", "T T F"], "occupancies": ["1 1", "1 1"]}
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    found = outcomes(tmp_path / "a.csv")
    assert found["a"] == "8"
    assert found["b"].startswith("not_periodic: pbc is T T F")
