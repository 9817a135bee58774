"""JSON of pymatgen, pandas and OPTIMADE, and ASE's databases: against pymatgen and ASE."""

import bz2
import gzip
import json
import logging
import zipfile

import numpy as np
import pandas as pd
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.cif import CifWriter

from unimat.errors import CrystalRejected, UserError
from unimat.materials.crystals.structures import from_structure, to_structure
from unimat.materials.datasets.readers import records_of
from unimat.materials.datasets.readers.entries import content_of
from unimat.materials.datasets.readers.records import Columns
from unimat.materials.datasets.readers.texts import crystal_of

EXACT = StructureMatcher(primitive_cell=False, scale=False, ltol=1e-5, stol=1e-4, angle_tol=1e-3)
ROCK_SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
QUARTZ = Structure.from_spacegroup(
    "P3_221", Lattice.hexagonal(4.913, 5.405), ["Si4+", "O2-"], [[0.4697, 0, 2 / 3], [0.4133, 0.2672, 0.7858]]
)
STRUCTURES = {"nacl": ROCK_SALT, "sio2": QUARTZ}
ENERGIES = {"nacl": -27.5, "sio2": -71.25}


def optimade(name, structure, **attributes):
    species = sorted(
        {site.specie.element.symbol if hasattr(site.specie, "element") else site.specie.symbol for site in structure}
    )
    return {
        "id": name,
        "type": "structures",
        "attributes": {
            "lattice_vectors": structure.lattice.matrix.tolist(),
            "cartesian_site_positions": structure.cart_coords.tolist(),
            "species_at_sites": [getattr(site.specie, "element", site.specie).symbol for site in structure],
            "species": [{"name": each, "chemical_symbols": [each], "concentration": [1.0]} for each in species],
            "nsites": len(structure),
            "dimension_types": [1, 1, 1],
            "structure_features": [],
            "energy": ENERGIES[name],
            **attributes,
        },
    }


def entry(name, structure):
    return {**ComputedStructureEntry(structure, ENERGIES[name]).as_dict(), "data": {"mat_id": name, "e_hull": 0.5}}


def pandas_json(orient):
    frame = pd.DataFrame(
        {"structure": [each.as_dict() for each in STRUCTURES.values()], "energy": list(ENERGIES.values())},
        index=list(STRUCTURES),
    )
    if orient == "split":
        return json.loads(frame.to_json(orient="split"))
    named = frame.reset_index(names="material_id")
    return json.loads(named.to_json(orient=orient))


FORMS = {
    "list of dicts": [
        {"material_id": n, "structure": s.as_dict(), "energy": ENERGIES[n]} for n, s in STRUCTURES.items()
    ],
    "list of CIFs": [
        {"material_id": n, "cif": str(CifWriter(s)), "energy": ENERGIES[n]} for n, s in STRUCTURES.items()
    ],
    "alexandria": {"entries": [entry(*each) for each in STRUCTURES.items()]},
    "alexandria list": [entry(*each) for each in STRUCTURES.items()],
    "entries by id": {name: entry(name, each) for name, each in STRUCTURES.items()},
    "matbench": pandas_json("split"),
    "pandas columns": pandas_json("columns"),
    "pandas records": pandas_json("records"),
    "optimade": {
        "links": {"next": None},
        "data": [optimade(*each) for each in STRUCTURES.items()],
        "meta": {"data_returned": 2},
    },
    "wbm": {
        "material_id": {"0": "nacl", "1": "sio2"},
        "computed_structure_entry": {str(i): entry(*each) for i, each in enumerate(STRUCTURES.items())},
    },
    "jarvis": [
        {
            "jid": name,
            "atoms": {
                "lattice_mat": each.lattice.matrix.tolist(),
                "coords": each.frac_coords.tolist(),
                "elements": [getattr(site.specie, "element", site.specie).symbol for site in each],
                "cartesian": False,
            },
            "energy": ENERGIES[name],
        }
        for name, each in STRUCTURES.items()
    ],
}


def read(path, *properties):
    return [(record, crystal_of(record)) for record in records_of(path, Columns(properties=properties))]


def assert_read(path):
    found = read(path, "energy")
    assert [record.material_id for record, _ in found] == list(STRUCTURES)
    assert [record.properties["energy"] for record, _ in found] == list(ENERGIES.values())
    for (_, crystal), structure in zip(found, STRUCTURES.values(), strict=True):
        ours = to_structure(crystal)
        np.testing.assert_allclose(crystal.lattice, structure.lattice.matrix, atol=2e-5)
        assert EXACT.fit(ours, structure.copy().remove_oxidation_states())


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_json(tmp_path, form):
    (tmp_path / "a.json").write_text(json.dumps(FORMS[form]))
    assert_read(tmp_path / "a.json")


@pytest.mark.parametrize("name", ["a.json.gz", "a.json.bz2", "a.json.zip", "a.zip"])
def test_packed_json(tmp_path, name):
    data = json.dumps(FORMS["alexandria"], indent=1).encode()
    if name.endswith("zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a.json", data)
    else:
        (tmp_path / name).write_bytes({"gz": gzip, "bz2": bz2}[name.split(".")[-1]].compress(data))
    assert_read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.ndjson.gz"])
def test_lines_of_json(tmp_path, name):
    lines = [{"x-optimade": {"meta": {}}}, {"type": "info", "id": "structures", "properties": {}}]
    lines += [optimade(*each) for each in STRUCTURES.items()]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert_read(tmp_path / name)


def test_a_broken_line_is_rejected_and_a_broken_first_line_is_told(tmp_path):
    lines = [json.dumps({"id": name, "structure": each.as_dict()}) for name, each in STRUCTURES.items()]
    (tmp_path / "a.jsonl").write_text("\n".join([lines[0], lines[1][:-10], "", lines[1]]))
    contents = [record.content for record in records_of(tmp_path / "a.jsonl")]
    assert [isinstance(content, CrystalRejected) for content in contents] == [False, True, False]
    (tmp_path / "a.jsonl").write_text("what\n" + lines[0])
    with pytest.raises(UserError, match="not readable as JSON"):
        list(records_of(tmp_path / "a.jsonl"))


def test_one_structure_and_one_entry(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(ROCK_SALT.as_dict(), indent=2))
    ((record, crystal),) = read(tmp_path / "a.json")
    assert record.material_id == "a-0"
    assert EXACT.fit(to_structure(crystal), ROCK_SALT)
    (tmp_path / "a.json").write_text(json.dumps(entry("nacl", ROCK_SALT)))
    ((record, crystal),) = read(tmp_path / "a.json", "e_hull")
    assert (record.material_id, record.properties["e_hull"]) == ("nacl", 0.5)
    (tmp_path / "a.json").write_text(json.dumps({"data": optimade("nacl", ROCK_SALT), "meta": {}}))
    assert [record.material_id for record, _ in read(tmp_path / "a.json")] == ["nacl"]


def test_id_and_structure_by_name(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([{"id": 1, "name": "x", "initial": 1, "final": ROCK_SALT.as_dict()}]))
    (record,) = records_of(tmp_path / "a.json", Columns("name", "final"))
    assert record.material_id == "x"
    assert len(crystal_of(record).atomic_numbers) == 8
    (record,) = records_of(tmp_path / "a.json", Columns("name"))
    assert "no structure in this entry; its keys: id, name, initial, final" in record.content.detail


def test_split_lists_and_splits_of_entries(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"train": [entry("nacl", ROCK_SALT)], "test": {"q": QUARTZ.as_dict()}}))
    found = read(tmp_path / "a.json")
    assert [(record.material_id, record.split) for record, _ in found] == [("nacl", "train"), ("q", "test")]


def test_pages_and_errors_of_a_server(tmp_path, caplog):
    page = {"data": [optimade("nacl", ROCK_SALT)], "links": {"next": "https://example.org/?page=2"}}
    (tmp_path / "a.json").write_text(json.dumps(page))
    with caplog.at_level(logging.WARNING):
        assert len(list(records_of(tmp_path / "a.json", Columns(properties=("gap",))))) == 1
    assert "is one page of several" in caplog.text
    assert "no crystal has the property 'gap'" in caplog.text
    (tmp_path / "a.json").write_text(json.dumps({"errors": [{"detail": "no such filter"}], "meta": {}}))
    with pytest.raises(UserError, match=r"error message of a server.*no such filter"):
        list(records_of(tmp_path / "a.json"))


def species(symbols, shares, **more):
    return {"name": "Na", "chemical_symbols": symbols, "concentration": shares, **more}


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"species": [species(["Na", "K"], [0.5, 0.5])]}, "partial_occupancy"),
        ({"species": [species(["Na", "vacancy"], [0.9, 0.1])]}, "partial_occupancy"),
        ({"species": [species(["Na"], [0.9])]}, "partial_occupancy"),
        ({"species": [species(["X"], [1])]}, "not_an_element"),
        ({"species": [species(["vacancy"], [1])]}, "not_an_element"),
        ({"species": [species(["Na"], [1], attached=["H"])]}, "atoms_missing"),
        ({"structure_features": ["assemblies"]}, "partial_occupancy"),
        ({"species_at_sites": ["D"] * 8}, "not_an_element"),
        ({"species_at_sites": ["Na"] * 7}, "unreadable"),
        ({"species_at_sites": []}, "no_atoms"),
        ({"species_at_sites": None}, "unreadable"),
        ({"lattice_vectors": [[1, 0, 0], [0, 1, 0], [1, 1, 0]]}, "degenerate_lattice"),
        ({"lattice_vectors": [[1, 0, 0], [0, 1, 0], [None, None, None]]}, "degenerate_lattice"),
        ({"lattice_vectors": [[1, 0], [0, 1]]}, "unreadable"),
        ({"cartesian_site_positions": "no"}, "unreadable"),
    ],
)
def test_optimade_that_is_no_ordered_crystal(attributes, reason):
    content = content_of(optimade("nacl", ROCK_SALT, **attributes)["attributes"], "x")
    if isinstance(content, CrystalRejected):
        assert content.reason == reason
    else:  # not finite: left to the check that every crystal passes
        assert reason == "degenerate_lattice"
        assert not np.isfinite(content.frac_coords).all()


def test_structures_agree_with_pymatgens_decoder():
    for structure in (
        *STRUCTURES.values(),
        Structure(Lattice([[1, 2, 3], [3, 0, 1], [0, 4, 4]]), ["Po"], [[-0.5, 2, 0.1]]),
    ):
        data = json.loads(json.dumps(structure.as_dict()))
        ours, theirs = content_of(data, "x"), from_structure(Structure.from_dict(data), "x")
        np.testing.assert_array_equal(ours.lattice, theirs.lattice)
        np.testing.assert_array_equal(ours.frac_coords, theirs.frac_coords)
        assert ours.atomic_numbers.tolist() == theirs.atomic_numbers.tolist()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d["sites"][0]["species"].append({"element": "K", "occu": 0.5}), "partial_occupancy"),
        (lambda d: d["sites"][0]["species"][0].update(occu=0.5), "partial_occupancy"),
        (lambda d: d["sites"][0]["species"][0].update(occu=float("nan")), "partial_occupancy"),
        (lambda d: d["sites"][0]["species"][0].update(element="D"), "not_an_element"),
        (lambda d: d["sites"][0]["species"][0].update(element="Xa"), "not_an_element"),
        (lambda d: d["sites"][0]["species"][0].update(element=[1]), "unreadable"),
        (lambda d: d["sites"][0].pop("abc"), "unreadable"),
        (lambda d: d["sites"].clear(), "no_atoms"),
        (lambda d: d["lattice"].update(matrix=[[1, 2]]), "unreadable"),
        (lambda d: d["lattice"].update(matrix=[["a"] * 3] * 3), "unreadable"),
        (lambda d: d.update(sites=3), "unreadable"),
    ],
)
def test_pymatgen_dicts_that_are_no_ordered_crystals(change, reason):
    data = json.loads(json.dumps(ROCK_SALT.as_dict()))
    change(data)
    assert content_of(json.dumps(data), "x").reason == reason
    assert content_of(data, "x").reason == reason


def test_entries_name_no_code_to_run():
    data = json.loads(json.dumps(ROCK_SALT.as_dict()))
    data["sites"][0]["properties"] = {"x": {"@module": "no_such_module_of_ours", "@class": "Popen", "args": "false"}}
    assert len(content_of(data, "x").atomic_numbers) == 8


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[",
        "[1,",
        '{"a"',
        '{"a":',
        '{"a":1',
        '{"a":1,',
        "[1 2]",
        '{"a" 1}',
        "{1: 2}",
        "[] []",
        "3",
        "nul",
        "[" * 5000,
    ],
)
def test_broken_json_is_told(tmp_path, text):
    (tmp_path / "a.json").write_text(text or " ")
    with pytest.raises(UserError, match="not readable as JSON"):
        list(records_of(tmp_path / "a.json"))


@pytest.mark.parametrize("text", ["{}", "[]", " [\n] "])
def test_empty_json_is_told(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match="is empty JSON"):
        list(records_of(tmp_path / "a.json"))
