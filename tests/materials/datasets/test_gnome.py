"""GNoME: its table and archives, and the generator of files like them."""

import collections
import csv
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from pymatgen.core import Composition, Structure
from pymatgen.io.cif import CifWriter

from tests.materials.datasets.gnome_like import COLUMNS, LAYOUTS, write_gnome_like
from unimat import crystal_table
from unimat.cli import main
from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.fetching.fetch import fetch_dataset
from unimat.materials.datasets.known import GNOME
from unimat.materials.datasets.published.gnome import column_of
from unimat.materials.datasets.settings import IngestSettings
from unimat.materials.datasets.sources import plan_of
from unimat.settings import load_settings

ROOT = Path(__file__).parents[3]
N, MISSING, SURPLUS = 120, 3, 2


def rows_of(folder):
    with (folder / "stable_materials_summary.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request):
    return request.param


@pytest.fixture(scope="module")
def mirror(layout, tmp_path_factory):
    """A mirror that holds one of the three archives, with a few structures too few and too many."""
    folder = tmp_path_factory.mktemp(layout)
    write_gnome_like(folder / "gnome", N, seed=1, layout=layout, missing=MISSING, surplus=SURPLUS)
    return folder


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    return write_gnome_like(tmp_path_factory.mktemp("generated"), N, seed=2)


def structures_of(folder, layout="by_id"):
    with zipfile.ZipFile(folder / f"{layout}.zip") as archive:
        return {
            name.removeprefix(f"{layout}/").removesuffix(".CIF"): archive.read(name).decode()
            for name in archive.namelist()
        }


@pytest.mark.published
def test_generated_columns_are_the_real_ones(published_data, generated):
    with (published_data / "gnome" / "stable_materials_summary.sample.csv").open(encoding="utf-8") as stream:
        assert next(csv.reader(stream)) == COLUMNS
    with (generated / "stable_materials_summary.csv").open(encoding="utf-8") as stream:
        assert next(csv.reader(stream)) == COLUMNS


def test_pymatgen_reads_what_was_generated(generated):
    texts = structures_of(generated)
    for row in rows_of(generated):
        structure = Structure.from_str(texts[row["MaterialId"]], fmt="cif")
        assert re.fullmatch("[0-9a-f]{10}", row["MaterialId"])
        assert (
            structure.composition
            == Composition(row["Composition"])
            == len(structure) / Composition(row["Reduced Formula"]).num_atoms * Composition(row["Reduced Formula"])
        )
        assert len(structure) == int(row["NSites"])
        assert structure.volume == pytest.approx(float(row["Volume"]), abs=1e-3)
        assert structure.density == pytest.approx(float(row["Density"]), abs=1e-2)
        distances = structure.distance_matrix + 9 * np.eye(len(structure))
        assert min(distances.min(), *structure.lattice.abc) > 1.4


def test_generated_cifs_are_laid_out_as_pymatgens(generated):
    def tags(text):
        return [line.split()[0] for line in text.splitlines() if line.strip().startswith(("#", "_", "loop_"))]

    text = next(iter(structures_of(generated).values()))
    assert tags(text) == tags(str(CifWriter(Structure.from_str(text, fmt="cif"))))


def test_generated_crystals_are_like_gnomes_in_size_and_different(generated):
    rows = rows_of(generated)
    sizes = [int(row["NSites"]) for row in rows]
    assert 16 < np.mean(sizes) < 24
    assert max(sizes) <= 40
    for column in ("MaterialId", "Composition", "Reduced Formula"):
        assert len({row[column] for row in rows}) == N


def test_a_seed_makes_the_same_files(generated, tmp_path):
    again = write_gnome_like(tmp_path, N, seed=2)
    assert rows_of(again) == rows_of(generated)
    assert structures_of(again) == structures_of(generated)


@pytest.mark.parametrize(
    ("member", "column"),
    [
        ("by_id/98dee9c38d.CIF", "MaterialId"),
        ("by_reduced_formula/Ac5(Ag2Au3)2.CIF", "Reduced Formula"),
        ("by_composition/Ac10Ag8Au12.CIF", "Composition"),
        ("cifs/98dee9c38d.CIF", "MaterialId"),  # packed anew
        ("Ac10Ag8Au12.CIF", "Composition"),
        ("Ac5(Ag2Au3)2.CIF", "Reduced Formula"),
        ("AlN.cif", "Reduced Formula"),
    ],
)
def test_names_of_members_tell_what_they_name(member, column):
    assert column_of(member) == column


def test_structures_and_table_are_joined(mirror, layout, tmp_path, caplog):
    manifest = fetch_dataset(GNOME, tmp_path, mirror)
    assert [entry["name"] for entry in manifest["files"]] == ["stable_materials_summary.csv", f"{layout}.zip"]
    assert "GNoME is licensed CC BY-NC 4.0: non-commercial use only" in caplog.text
    plan = plan_of(IngestSettings("gnome"), tmp_path)
    assert "has no column 'Uncorrected Energy', 'Crystal System': null" in caplog.text
    records = list(plan.records())
    rejected = [record for record in records if isinstance(record.content, CrystalRejected)]
    assert collections.Counter(record.content.reason for record in rejected) == {
        "structure_missing": MISSING,
        "not_in_table": SURPLUS,
    }
    rows = {row["MaterialId"]: row for row in rows_of(mirror / "gnome")}
    taken = [record for record in records if record not in rejected]
    assert {record.material_id for record in taken} | {
        record.material_id for record in rejected if record.content.reason == "structure_missing"
    } == set(rows)
    texts = structures_of(mirror / "gnome", layout)
    key = {"by_id": "MaterialId", "by_reduced_formula": "Reduced Formula", "by_composition": "Composition"}[layout]
    for record in taken:
        row = rows[record.material_id]
        assert record.content == texts[row[key]]
        assert float(record.properties["Formation Energy Per Atom"]) == float(row["Formation Energy Per Atom"])
        assert record.properties["Bandgap"] not in ("", "inf")
    assert len(list(plan.records(limit=10))) == 10


def test_properties_get_the_fields_names_and_units(mirror, tmp_path):
    fetch_dataset(GNOME, tmp_path, mirror)
    fields = plan_of(IngestSettings("gnome"), tmp_path).fields
    named = {field.name: field.metadata[b"unit"].decode() for field in fields.values()}
    assert named["formation_energy_per_atom"] == named["decomposition_energy_per_atom_mp_oqmd"] == "eV/atom"
    assert (named["band_gap"], named["corrected_energy"], named["density"]) == ("eV", "eV", "g/cm^3")
    assert {"spacegroup_number", "point_group", "dimensionality", "is_train", "crystal_system"} <= set(named)


def test_from_files_of_any_name_to_crystal_tables(mirror, layout, tmp_path, monkeypatch):
    monkeypatch.delenv("UNIMAT_DATA_DIR", raising=False)
    table, archive = tmp_path / "my table.csv", tmp_path / "my structures.zip"
    table.symlink_to(mirror / "gnome" / "stable_materials_summary.csv")
    archive.symlink_to(mirror / "gnome" / f"{layout}.zip")
    files = ["--file", f"table={table}", "--file", f"structures={archive}"]
    assert main(["fetch", "--dataset", "gnome", "--out", str(tmp_path / "files"), *files]) == 0
    settings = '{"name": "gnome", "split": {"fractions": [0.8, 0.1, 0.1], "group_by": "reduced_formula"}}'
    ingest = ["ingest", "--settings", settings, "--files", str(tmp_path / "files"), "--out", str(tmp_path / "out")]
    assert main(ingest) == 0
    tables = {split: crystal_table.read(tmp_path / "out" / f"{split}.parquet") for split in ("train", "val", "test")}
    assert sum(map(len, tables.values())) == N - MISSING
    assert tables["train"].metadata["licence"].startswith("CC BY-NC 4.0")
    assert np.isfinite(tables["train"].column("formation_energy_per_atom")).all()
    assert tables["train"].arrow.column("crystal_system").null_count == len(tables["train"])


@pytest.mark.published
def test_the_real_rows_are_joined(published_data, tmp_path, caplog):
    sample = published_data / "gnome" / "stable_materials_summary.sample.csv"
    with sample.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    with zipfile.ZipFile(tmp_path / "by_id.zip", "w") as archive:
        for row in rows:
            archive.writestr(f"by_id/{row['MaterialId']}.CIF", "data_x")
    files = {"table": sample, "structures": tmp_path / "by_id.zip"}
    fetch_dataset(GNOME, tmp_path / "files", files=files)
    records = {record.material_id: record for record in plan_of(IngestSettings("gnome"), tmp_path / "files").records()}
    assert all(record.content == "data_x" for record in records.values())
    assert len(records) == len(rows)
    assert float(records["719c008190"].properties["Density"]) == 11.2541
    assert records["0001759321"].properties["Bandgap"] is None  # inf in the file
    assert records["bcad131283"].properties["Bandgap"] in (None, "")


def test_corrected_energy_is_corrected():
    """Formation energies of two real rows from their energies; uncorrected they would be 0.14 and 0.30 eV/atom off."""
    # eV/atom, elemental reference entries of the Materials Project
    references = {"Ba": -1.907, "H": -3.386, "Th": -7.443, "Cs": -0.861, "S": -4.135, "Zr": -8.521}
    for composition, energy, e_form in (("Ba1H30Th7", -178.4183, -0.6005), ("Cs1S6Zr3", -70.4155, -1.9058)):
        atoms = Composition(composition)
        total = sum(references[str(element)] * n for element, n in atoms.items())
        assert (energy - total) / atoms.num_atoms == pytest.approx(e_form, abs=0.02)


def test_a_broken_archive_is_told(mirror, tmp_path):
    manifest = fetch_dataset(GNOME, tmp_path, mirror)
    (tmp_path / manifest["files"][1]["name"]).write_bytes(b"PK\3\4 and no more")
    with pytest.raises(UserError, match=r"zip is not what was fetched .*; run fetch again"):
        plan_of(IngestSettings("gnome"), tmp_path)


def test_a_copy_of_the_bucket_is_a_mirror(generated, tmp_path):
    (tmp_path / "gdm_materials_discovery").mkdir()
    (tmp_path / "gdm_materials_discovery" / "gnome_data").symlink_to(generated)
    manifest = fetch_dataset(GNOME, tmp_path / "out", tmp_path)
    assert [entry["verified"] for entry in manifest["files"]] == [False, False]  # there is no checksum to go by


def test_the_configuration_names_it():
    text = (ROOT / "config" / "gnome.yaml").read_text(encoding="utf-8")
    settings = load_settings(IngestSettings, yaml.safe_load(text)["dataset"])
    assert settings.name == "gnome"
    assert settings.split.group_by == "reduced_formula"


@pytest.mark.parametrize("by_split", [False, True])
def test_own_structures_are_joined_to_a_table_of_ones_own(tmp_path, by_split):
    for part in ("train", "val"):
        write_gnome_like(tmp_path / part, 20, seed=len(part), missing=1, surplus=1)
    tables = [(tmp_path / part / "stable_materials_summary.csv").read_text().splitlines() for part in ("train", "val")]
    (tmp_path / "all.csv").write_text("\n".join(tables[0] + tables[1][1:]) + "\n")
    source = {part: str(tmp_path / part / "by_id.zip") for part in ("train", "val")}
    settings = load_settings(
        IngestSettings,
        {
            "name": "custom",
            "source": source if by_split else source["train"],
            "table": str(tmp_path / "all.csv"),
            "id_column": "MaterialId",
            "properties": {"e_form": {"unit": "eV/atom", "column": "Formation Energy Per Atom"}},
        },
    )
    plan = plan_of(settings, None)
    counts = collections.Counter(
        record.content.reason if isinstance(record.content, CrystalRejected) else record.split
        for record in plan.records()
    )
    if by_split:  # a row is missing only if no split has its structure
        assert counts == {"train": 19, "val": 19, "not_in_table": 2, "structure_missing": 2}
    else:
        assert counts == {None: 19, "not_in_table": 1, "structure_missing": 21}
    assert [field.name for field in plan.fields.values()] == ["e_form"]
