"""Hull references from a JSON of pymatgen's entries, in the shapes that people publish."""

import bz2
import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from pymatgen.analysis.phase_diagram import PDEntry
from pymatgen.core import Composition
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedEntry

from unimat.errors import UserError
from unimat.materials.stability.references.build import build
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.settings import ReferenceSettings
from unimat.settings import load_settings


def made(**settings: Any) -> Reference:
    return build(load_settings(ReferenceSettings, settings, "hull.reference"), {}, 1)


def written(path: Path, value: Any) -> str:
    text = json.dumps(value)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return str(path)


def computed(
    formula: str, energy: float, entry_id: str, run_type: str = "GGA", corrected: bool = True
) -> ComputedEntry:
    parameters = {"run_type": run_type, "hubbards": {}, "is_hubbard": False}
    entry = ComputedEntry(Composition(formula), energy, parameters=parameters, entry_id=entry_id)
    return MaterialsProject2020Compatibility(check_potcar=False).process_entry(entry) if corrected else entry


ROCK_SALT = [computed("Na2", -2.6, "mp-1-GGA"), computed("Cl4", -7.2, "mp-2-GGA"), computed("NaCl", -6.0, "mp-3-GGA")]


def as_dicts(entries: list[Any]) -> list[dict[str, Any]]:
    return [entry.as_dict() for entry in entries]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("list.json", as_dicts),
        ("entries.json.gz", lambda entries: {"entries": as_dicts(entries)}),
        ("by_id.json", lambda entries: {entry.entry_id: entry.as_dict() for entry in entries}),
        (
            "pandas.json.gz",
            lambda entries: {
                "material_id": {str(index): entry.entry_id for index, entry in enumerate(entries)},
                "entry": {str(index): entry.as_dict() for index, entry in enumerate(entries)},
            },
        ),
        ("records.json", lambda entries: [{"material_id": e.entry_id, "entry": e.as_dict()} for e in entries]),
    ],
)
def test_shapes_of_a_json_of_entries(tmp_path, name, shape):
    built = made(kind="entries", path=written(tmp_path / name, shape(ROCK_SALT)))
    assert [entry.name for entry in built.entries] == ["mp-1", "mp-2", "mp-3"]
    assert built.entries.energies == pytest.approx([-1.3, -1.8, -3.0 - 0.307])
    table = built.entries.table.to_pylist()
    assert [row["correction_scheme"] for row in table] == [None, None, "MP2020"]
    assert table[2]["correction_per_atom"] == pytest.approx(-0.307)
    assert built.energy_type["corrections"] == "MP2020"
    assert built.energy_type["pseudopotentials"] == "Materials Project"


def test_entries_one_to_a_line(tmp_path):
    lines = [json.dumps({"material_id": each.entry_id, "cse": each.as_dict()}) for each in ROCK_SALT]
    (tmp_path / "entries.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    built = made(kind="entries", path=str(tmp_path / "entries.jsonl.gz"))
    assert [entry.name for entry in built.entries] == ["mp-1", "mp-2", "mp-3"]


def test_alexandrias_hull(tmp_path):
    """Ids are called mat_id, and corrections lie in the energies without a word: both have to be said."""
    entries = [
        {**each.as_dict(), "entry_id": None, "energy": each.energy, "energy_adjustments": [], "correction": 0.0}
        | {"parameters": {}, "data": {"mat_id": f"agm{index}", "elements": []}}
        for index, each in enumerate(ROCK_SALT)
    ]
    path = tmp_path / "convex_hull_pbe_2023.12.29.json.bz2"
    path.write_bytes(bz2.compress(json.dumps({"entries": entries}).encode()))
    with pytest.raises(UserError, match=r"hull\.reference\.functional is missing"):
        made(kind="entries", path=str(path), corrections="MP2020")
    built = made(kind="entries", path=str(path), corrections="MP2020", functional="PBE", licence="CC BY 4.0")
    assert [entry.name for entry in built.entries] == ["agm0", "agm1", "agm2"]
    assert built.entries.energies == pytest.approx([-1.3, -1.8, -3.307])
    assert (built.energy_type["corrections"], built.licence) == ("MP2020", "CC BY 4.0")


def test_uncorrected_entries_say_so_and_can_be_corrected(tmp_path):
    entries = [computed(e.composition.formula, e.uncorrected_energy, e.entry_id, corrected=False) for e in ROCK_SALT]
    path = written(tmp_path / "raw.json", as_dicts(entries))
    raw = made(kind="entries", path=path)
    assert raw.energy_type["corrections"] == "none"
    assert raw.entries.energies == pytest.approx([-1.3, -1.8, -3.0])
    corrected = made(kind="entries", path=path, apply_mp2020=True)
    assert corrected.entries.energies == pytest.approx([-1.3, -1.8, -3.307])


def test_corrections_are_made_anew_not_on_top(tmp_path):
    path = written(tmp_path / "done.json", as_dicts(ROCK_SALT))
    assert made(kind="entries", path=path, apply_mp2020=True).entries.energies == pytest.approx([-1.3, -1.8, -3.307])


def test_corrected_and_uncorrected_oxides_in_one_file_are_refused(tmp_path):
    entries = [computed("Li2O", -14.0, "mp-1"), computed("Na2O", -12.0, "mp-2", corrected=False)]
    with pytest.raises(UserError, match=r"MP2020 corrections, such as mp-1 .* 1 without, such as mp-2 .*apply_mp2020"):
        made(kind="entries", path=written(tmp_path / "mixed.json", as_dicts(entries)))


def test_r2scan_and_pbe_in_one_file_are_refused(tmp_path):
    entries = [computed("Si", -5.4, "mp-1"), computed("C", -9.1, "mp-2", "R2SCAN", corrected=False)]
    with pytest.raises(UserError, match=r"different functional: .*mp-1.*r2SCAN \(1 entries: mp-2\)"):
        made(kind="entries", path=written(tmp_path / "mixed.json", as_dicts(entries)))


def test_phase_diagram_entries_have_to_be_labelled(tmp_path):
    entries = [PDEntry(Composition("Na"), -1.3, name="a"), PDEntry(Composition("NaCl"), -6.6, name="b")]
    path = written(tmp_path / "pd.json", as_dicts(entries))
    with pytest.raises(UserError, match=r"hull\.reference\.corrections is missing: .* such as b \(Na1 Cl1\)"):
        made(kind="entries", path=path, functional="PBE")
    with pytest.raises(UserError, match=r"hull\.reference\.functional is missing"):
        made(kind="entries", path=path, corrections="MP2020")
    built = made(kind="entries", path=path, corrections="MP2020", functional="PBE")
    assert built.entries.energies == pytest.approx([-1.3, -3.3])


@pytest.mark.parametrize("name", ["ppd.pkl", "ppd.pkl.gz", "reference.lmdb", "sly.gz", "sly.json"])
def test_pickles_are_refused_unread(tmp_path, name):
    content = pickle.dumps({"would": "run"})
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(UserError, match=r"is a pickle: .* write the entries as JSON"):
        made(kind="entries", path=str(tmp_path / name))


def test_matter_gens_gzipped_database_is_refused_unread(tmp_path):
    (tmp_path / "reference_MP2020correction.gz").write_bytes(gzip.compress(bytes(16) + b"\xde\xc0\xef\xbe" + bytes(64)))
    with pytest.raises(UserError, match="LMDB"):
        made(kind="entries", path=str(tmp_path / "reference_MP2020correction.gz"))


@pytest.mark.parametrize("content", [b"", b'[{"energy": ', b"<html>", b"\xff\xff", b"{}", b'{"a": [1, 2]}'])
def test_broken_json_is_refused_by_name(tmp_path, content):
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.json"):
        made(kind="entries", path=str(tmp_path / "bad.json"))


def test_entries_of_free_energies_are_refused(tmp_path):
    entry = {**ROCK_SALT[0].as_dict(), "@class": "GibbsComputedStructureEntry"}
    with pytest.raises(UserError, match="GibbsComputedStructureEntry hold no total energy"):
        made(kind="entries", path=written(tmp_path / "gibbs.json", [entry]))


@pytest.mark.published
def test_matbench_discoverys_elements(published_data):
    built = made(kind="entries", path=str(published_data / "hull/2023-02-07-mp-elemental-reference-entries.json.gz"))
    assert len(built.entries) == 89
    assert built.missing_elements == []
    assert {row["date"][:2] for row in built.entries.table.to_pylist()} == {"20"}
    assert built.energy_type["functional"] == "PBE/PBE+U mixed, as the Materials Project"
