"""Every kind of hull reference, what is recorded of it, and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unimat import cli, crystal_table
from unimat.crystal_table import Crystal
from unimat.errors import UserError
from unimat.materials.stability.references import pseudopotentials, reference
from unimat.materials.stability.references.build import build, summary
from unimat.materials.stability.references.pseudopotentials import SHIFTS
from unimat.materials.stability.references.reference import Reference
from unimat.materials.stability.settings import ReferenceSettings
from unimat.settings import load_settings

ENGINE = {"calculator": "CHGNet", "functional": "PBE", "corrections": "MP2020, learned", "quantity": "total energy"}
OWN = {"functional": "PBE", "calculator": "GPAW", "corrections": "none"}


def made(**settings: Any) -> Reference:
    return build(load_settings(ReferenceSettings, settings, "hull.reference"), {}, 1)


def csv(path: Path, rows: list[dict[str, Any]]) -> str:
    pd.DataFrame(rows).to_csv(path, index=False)
    return str(path)


def summary_csv(path: Path, *rows: tuple[str, str, Any], **more: Any) -> str:
    names = ("Composition", "MaterialId", "Corrected Energy")
    return csv(path, [dict(zip(names, row, strict=True)) | more for row in rows])


def table_csv(path: Path, *rows: tuple[str, str, Any]) -> str:
    return csv(path, [dict(zip(("entry_id", "formula", "energy_per_atom"), row, strict=True)) for row in rows])


# GNoME's summaries


def test_gnomes_own_summary_is_taken_as_corrected(tmp_path):
    own = {"Formation Energy Per Atom": -1.0}
    path = summary_csv(tmp_path / "stable.csv", ("Na1Cl1", "00000aaaaa", -6.6), ("Cl4", "00000bbbbb", -7.2), **own)
    built = made(kind="gnome", path=path)
    assert built.entries.energies == pytest.approx([-3.3, -1.8])
    assert built.energy_type["corrections"] == "MP2020"
    assert built.energy_type["correction_version"] == "as published by GNoME"
    assert built.energy_type["pseudopotentials"] == "GNoME"
    assert built.entries.table["correction_per_atom"].to_pylist() == [None, None]
    assert built.licence == "CC BY-NC 4.0"


def test_gnomes_newer_summary_tells_the_correction(tmp_path):
    row = {"Composition": "Na1Cl1", "MaterialId": "a", "Corrected Energy": -6.6, "Uncorrected Energy": -6.0}
    built = made(kind="gnome", path=csv(tmp_path / "external.csv", [row]))
    assert built.entries.table["correction_per_atom"].to_pylist() == pytest.approx([-0.3])


def test_a_summary_of_unknown_corrections_needs_a_word(tmp_path):
    path = summary_csv(tmp_path / "external_materials_summary.csv", ("Na1Cl1", "a", -6.0))
    with pytest.raises(UserError, match=r"set hull\.reference\.corrections to MP2020 or none"):
        made(kind="gnome", path=path)
    assert made(kind="gnome", path=path, corrections="MP2020").entries.energies == pytest.approx([-3.0])
    assert made(kind="gnome", path=path, corrections="none").entries.energies == pytest.approx([-3.0 - 0.307])


@pytest.mark.published
def test_the_rows_of_gnomes_files(published_data):
    built = made(kind="gnome", path=str(published_data / "gnome/stable_materials_summary.sample.csv"))
    assert len(built.entries) == 21
    assert built.details["dropped"] == [("8df1ed396f", "no energy")]
    path = str(published_data / "gnome/external_materials_summary.sample.csv")
    assert len(made(kind="gnome", path=path, corrections="MP2020").entries) == 10


# Several sources together


def sources(tmp_path: Path) -> dict[str, Any]:
    gnome = summary_csv(tmp_path / "stable.csv", ("Mg2Ge1", "aaaaa", -8.0), **{"Formation Energy Per Atom": -1.0})
    mp = summary_csv(tmp_path / "mp.csv", ("Ge2", "mp-32", -9.246), ("Mg2", "mp-153", -3.2), ("Pt4", "mp-126", -24.0))
    return {"gnome": {"kind": "gnome", "path": gnome}, "mp": {"kind": "materials_project", "path": mp}}


def test_the_materials_project_is_shifted_when_it_meets_gnome(tmp_path):
    built = made(kind="combined", sources=sources(tmp_path))
    expected = [-8.0 / 3, -4.623 + SHIFTS["Ge"], -1.6 + SHIFTS["Mg"], -6.0]
    assert built.entries.energies == pytest.approx(expected)
    table = built.entries.table.to_pylist()
    assert [row["shift_per_atom"] for row in table] == pytest.approx([0, SHIFTS["Ge"], SHIFTS["Mg"], 0])
    assert [row["source"] for row in table] == ["gnome", "mp", "mp", "mp"]
    assert built.energy_type["pseudopotentials"] == "GNoME"
    about = summary(built)
    assert about["pseudopotential_shifts"]["n_entries"] == {"Ge": 1, "Mg": 1}
    assert about["counts"]["source"] == {"mp": 3, "gnome": 1}
    assert about["n_shifted"] == 2
    assert about["inputs"].keys() == {"stable.csv", "mp.csv"}


def test_the_materials_project_alone_is_not_shifted(tmp_path):
    alone = made(**sources(tmp_path)["mp"])
    assert alone.entries.energies == pytest.approx([-4.623, -1.6, -6.0])
    assert summary(alone)["n_shifted"] == 0


def test_a_shift_is_never_applied_twice(tmp_path):
    parts = sources(tmp_path)
    once = made(kind="combined", sources=parts)
    reference.write(once, tmp_path / "once.parquet")
    again = made(kind="table", path=str(tmp_path / "once.parquet"))
    assert again.entries.table.equals(once.entries.table)
    more = summary_csv(tmp_path / "more.csv", ("Mg1Pt1", "ccccc", -9.0), **{"Formation Energy Per Atom": -1.0})
    earlier = {"kind": "table", "path": str(tmp_path / "once.parquet")}
    third = made(kind="combined", sources={"earlier": earlier, "more": {"kind": "gnome", "path": more}})
    assert third.entries.energies == pytest.approx([*once.entries.energies, -4.5])
    assert set(third.entries.table["source"].to_pylist()) == {"gnome", "mp", "more"}
    table = pseudopotentials.on_one_scale(once.entries.table, "GNoME")
    assert table.equals(once.entries.table)


def test_there_and_back_is_where_it_was(tmp_path):
    mp = made(**sources(tmp_path)["mp"]).entries
    there = pseudopotentials.on_one_scale(mp.table, "GNoME")
    back = pseudopotentials.on_one_scale(there, "Materials Project")
    assert back["energy_per_atom"].to_pylist() == pytest.approx(mp.energies)
    assert back["shift_per_atom"].to_pylist() == [0.0, 0.0, 0.0]


def table_of(path: Path, *rows: tuple[str, str, Any], **labels: str) -> dict[str, Any]:
    return {"kind": "table", "path": table_csv(path, *rows), **OWN, **labels}


@pytest.mark.parametrize(
    ("label", "ours", "theirs"),
    [
        ("functional", "PBE", "r2SCAN"),
        ("corrections", "none", "MP2020"),
        ("calculator", "VASP, Materials Project", "CHGNet (chgnet 0.4.2)"),
    ],
)
def test_energies_that_share_no_scale_are_refused_with_their_ids(tmp_path, label, ours, theirs):
    one = table_of(tmp_path / "a.csv", ("si-1", "Si", -5.4), **{label: ours})
    other = table_of(tmp_path / "b.csv", ("c-1", "C", -9.1), ("c-2", "C", -9.0), **{label: theirs})
    found = rf"mixes entries of different .*{theirs.split(' ')[0]} \(2 entries: c-1, c-2\).*\(1 entries: si-1\)"
    swapped = rf"mixes entries of different .*\(1 entries: si-1\).*{theirs.split(' ')[0]}.* \(2 entries: c-1, c-2\)"
    with pytest.raises(UserError, match=f"({found})|({swapped})"):
        made(kind="combined", sources={"a": one, "b": other})


def test_one_code_at_two_places_shares_a_scale_and_versions_are_told(tmp_path, caplog):
    one = table_of(tmp_path / "a.csv", ("si-1", "Si", -5.4), calculator="VASP, here")
    other = table_of(tmp_path / "b.csv", ("c-1", "C", -9.1), calculator="VASP, there")
    built = made(kind="combined", name="both", sources={"a": one, "b": other})
    assert built.energy_type["calculator"] == "VASP, here and VASP, there"
    assert built.name == "both"


def test_an_id_of_two_energies_is_refused_and_of_one_is_kept_once(tmp_path):
    one = table_of(tmp_path / "a.csv", ("si-1", "Si", -5.4), ("c-1", "C", -9.1))
    same = table_of(tmp_path / "b.csv", ("si-1", "Si", -5.4))
    built = made(kind="combined", sources={"a": one, "b": same})
    assert summary(built)["n_dropped"] == 1
    other = table_of(tmp_path / "c.csv", ("si-1", "Si", -5.5))
    with pytest.raises(UserError, match=r"si-1: -5\.400000 eV/atom \(a\) and -5\.500000 eV/atom \(c\)"):
        made(kind="combined", sources={"a": one, "c": other})


# Somebody's own table


def test_rows_that_cannot_be_used_are_left_out_by_name(tmp_path, caplog):
    rows = [("a", "Si", -5.4), ("b", "Si", "about five"), ("c", "Si", None), ("d", "Si", 1e4), ("e", "Qq2", -1.0)]
    built = made(**table_of(tmp_path / "mine.csv", *rows, ("f", "Si", "inf"), ("a", "Si", -5.4)))
    assert [entry.name for entry in built.entries] == ["a"]
    reasons = dict(built.details["dropped"])
    assert reasons["b"] == "the energy 'about five' is no number"
    assert reasons["c"] == "no energy"
    assert reasons["d"] == "an energy of 10000 eV/atom, above 100, beyond any repulsion"
    assert "Qq" in reasons["e"]
    assert reasons["f"] == "an energy of inf"
    assert reasons["a"] == "the same entry once more"
    assert "6 entries are left out" in caplog.text


def test_lost_phases_are_told_by_chemical_system(tmp_path, caplog):
    path = tmp_path / "mine.csv"
    path.write_text(
        "entry_id,formula,energy_per_atom\n1,Na,-1.3\n2,N,-8.3\n3,NaN,-5.2\n4,Na3N,\n5,NaN3.2H2O,-5\n6,?,-5\n"
    )
    settings = {"reference": {"kind": "table", "path": str(path), **OWN}}
    assert cli.main(["reference", "--settings", json.dumps(settings), "--out", str(tmp_path / "hull")]) in (None, 0)
    about = json.loads((tmp_path / "hull/reference.json").read_text())
    assert about["lost_systems"] == {"H-N-Na-O": 1, "N-Na": 1, "unknown": 1}
    assert [(each["entry_id"], each["formula"]) for each in about["lost"]] == [
        ("4", "Na3N"),
        ("5", "NaN3.2H2O"),
        ("6", "?"),
    ]
    assert reference.read(tmp_path / "hull/reference.parquet").details["lost_systems"] == about["lost_systems"]
    assert "3 phases are lost" in caplog.text
    assert "on any crystal, as the elements of 1 of them are unknown, of H-N-Na-O, N-Na above all" in caplog.text


def test_a_table_that_repeats_an_id_with_another_energy_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"mine\.csv: the id 'a' stands for Si at -5\.4"):
        made(**table_of(tmp_path / "mine.csv", ("a", "Si", -5.4), ("a", "Si", -5.0)))


def test_a_table_without_a_usable_row_is_refused(tmp_path):
    with pytest.raises(UserError, match="no entry that can be used, of 1 rows; the first, a: no energy"):
        made(**table_of(tmp_path / "mine.csv", ("a", "Si", None)))
    (tmp_path / "empty.csv").write_text("entry_id,formula,energy_per_atom\n")
    with pytest.raises(UserError, match="of 0 rows"):
        made(kind="table", path=str(tmp_path / "empty.csv"), **OWN)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00junk", b"<html><body>404</body></html>"])
def test_what_is_no_table_is_refused_by_name(tmp_path, content):
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.csv"):
        made(kind="table", path=str(tmp_path / "bad.csv"), **OWN)


def test_columns_and_unit_of_a_table(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "cell": ["Na2Cl2", "Cl4"], "E": [-12.0, -7.2]})
    frame.to_parquet(tmp_path / "mine.parquet")
    columns = {"entry_id": "id", "formula": "cell", "energy": "E", "unit": "eV"}
    options = {"kind": "table", "path": str(tmp_path / "mine.parquet"), "columns": columns, **OWN}
    assert made(**options).entries.energies == pytest.approx([-3.0, -1.8])
    corrected = made(**options, apply_mp2020=True)
    assert corrected.entries.energies == pytest.approx([-3.0 - 0.307, -1.8])
    assert corrected.energy_type["corrections"] == "MP2020"
    with pytest.raises(UserError, match=r"apply_mp2020.*carries the corrections 'MP2020' already"):
        made(**options | {"corrections": "MP2020"}, apply_mp2020=True)
    with pytest.raises(UserError, match="no column 'entry_id'"):
        made(**options | {"columns": {}})


@pytest.mark.parametrize("key", ["functional", "calculator", "corrections"])
def test_a_table_needs_to_be_labelled(tmp_path, key):
    options = table_of(tmp_path / "mine.csv", ("a", "Si", -5.4))
    options.pop(key)
    with pytest.raises(UserError, match=rf"hull\.reference\.{key} is missing"):
        made(**options)


# Settings and the command


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "gnome"}, "path is missing: a reference of kind 'gnome'"),
        ({"kind": "materials_project_api"}, "chemical_systems is missing"),
        ({"kind": "combined"}, "`sources` and `kind: combined` go together"),
        ({"kind": "set", "sources": {"a": {"kind": "set"}}}, "go together"),
        ({"kind": "combined", "sources": {"a": {"kind": "combined"}}}, "'combined' is not one of"),
        ({"kind": "pickle"}, "'pickle' is not one of"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(UserError, match=message):
        load_settings(ReferenceSettings, settings, "hull.reference")


def test_the_command_writes_the_reference_and_its_summary(tmp_path):
    settings = json.dumps({"reference": {"kind": "combined", "sources": sources(tmp_path)}})
    cli.main(["reference", "--settings", settings, "--processes", "1", "--out", str(tmp_path / "hull")])
    about = json.loads((tmp_path / "hull/reference.json").read_text())
    assert about["n_entries"] == len(reference.read(tmp_path / "hull/reference.parquet").entries) == 4
    assert about["elements"] == ["Ge", "Mg", "Pt"]
    assert about["counts"]["correction_scheme"] == {"MP2020": 4}
    assert str(tmp_path) not in (tmp_path / "hull/reference.json").read_text()


def relaxed(path: Path, *rows: tuple[str, int, float]) -> Path:
    """Relaxed table of elemental crystals with one atom: id, atomic number, energy."""
    crystals = [
        Crystal(name, np.eye(3) * 3, np.array([number]), np.zeros((1, 3)), {"energy_per_atom": e, "converged": True})
        for name, number, e in rows
    ]
    crystal_table.write(crystal_table.from_crystals(crystals, energy_type=ENGINE), path)
    return path


def test_sets_relaxed_by_one_engine_are_combined(tmp_path):
    one, other = relaxed(tmp_path / "a.parquet", ("si", 14, -5.4)), relaxed(tmp_path / "b.parquet", ("c", 6, -9.1))
    sets = {"first": {"kind": "set", "set": "a"}, "second": {"kind": "set", "set": "b"}}
    settings = json.dumps({"reference": {"kind": "combined", "sources": sets}})
    files = ["--relaxed", f"a={one}", "--relaxed", f"b={other}"]
    cli.main(["reference", "--settings", settings, *files, "--out", str(tmp_path / "hull")])
    built = reference.read(tmp_path / "hull/reference.parquet")
    assert built.energy_type == {**ENGINE, "corrections": "MP2020", "correction_version": "learned"}
    assert built.entries.table["source"].to_pylist() == ["first", "second"]
    assert "pseudopotential_shifts" not in built.details


def test_the_command_wants_the_relaxed_table_of_a_set(tmp_path, capsys):
    code = cli.main(["reference", "--out", str(tmp_path / "hull")])
    assert code == 2
    assert "--relaxed is missing" in capsys.readouterr().err
    assert not (tmp_path / "hull").exists()
