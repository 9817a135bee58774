"""Files and folders of every readable form, against pymatgen and ASE."""

import gzip
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp.inputs import Poscar

from unimat import crystal_table
from unimat.crystal_table import from_crystals
from unimat.errors import CrystalRejected, UserError
from unimat.materials.crystals.structures import from_structure, to_structure
from unimat.materials.datasets.readers import records_of
from unimat.materials.datasets.readers.records import Columns, Record
from unimat.materials.datasets.readers.texts import crystal_of
from unimat.materials.datasets.settings import IngestSettings
from unimat.settings import load_settings

EXACT = StructureMatcher(primitive_cell=False, scale=False, ltol=1e-5, stol=1e-4, angle_tol=1e-3)
ROCK_SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
SILICON = Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]])
CIFS = {"nacl": str(CifWriter(ROCK_SALT)), "si": str(CifWriter(SILICON, symprec=0.01))}


def read(path, **columns):
    return {record.material_id: crystal_of(record) for record in records_of(path, Columns(**columns))}


def assert_both(crystals, names=("nacl", "si")):
    assert list(crystals) == list(names)
    for name, structure in zip(names, (ROCK_SALT, SILICON), strict=True):
        assert EXACT.fit(to_structure(crystals[name]), structure)


def test_missing_text_is_rejected_and_not_fatal():
    for content in (None, "", "  \n"):
        with pytest.raises(CrystalRejected, match="the structure is missing"):
            crystal_of(Record("x", "a:0", content))


def test_folder_is_read_recursively_by_relative_path(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "nacl.cif").write_text(CIFS["nacl"])
    (tmp_path / "POSCAR").write_text(str(Poscar(SILICON)))
    (tmp_path / "notes.txt").write_text("no crystal")
    assert_both(dict(reversed(read(tmp_path).items())), ("deep/nacl", "POSCAR"))


def test_folder_without_crystals_is_told(tmp_path):
    with pytest.raises(UserError, match="holds no structure file"):
        list(records_of(tmp_path))


def test_single_files_and_cifs_of_several_structures(tmp_path):
    (tmp_path / "both.cif").write_text(CIFS["nacl"] + CIFS["si"])
    assert_both(read(tmp_path / "both.cif"), ("both/NaCl", "both/Si"))
    (tmp_path / "CONTCAR").write_text(str(Poscar(SILICON)))
    assert list(read(tmp_path / "CONTCAR")) == ["CONTCAR"]


def test_folder_with_cgcnns_table(tmp_path):
    for name, text in CIFS.items():
        (tmp_path / f"{name}.cif").write_text(text)
    (tmp_path / "id_prop.csv").write_text("si,0.61,a\nother,1,b\n")
    nacl, si = records_of(tmp_path, Columns(properties=("gap",)))
    assert (nacl.properties, si.properties) == ({}, {"gap": "0.61"})


def test_blocks_of_one_name_are_all_read(tmp_path):
    larger = CIFS["nacl"].replace("5.64", "5.70").replace("_cell_volume", "_former_volume")
    (tmp_path / "a.cif").write_text(CIFS["nacl"] + larger + CIFS["si"])
    crystals = read(tmp_path / "a.cif")
    assert list(crystals) == ["a/NaCl", "a/NaCl-1", "a/Si"]
    assert [crystal.lattice[0, 0].round(6) for crystal in crystals.values()] == [5.64, 5.7, 5.43]


def test_order_of_a_folder_is_that_of_sorted_paths(tmp_path):
    for name in ("b.cif", "a/z.cif", "B.cif", "a.cif", "a-/x.CIF.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(
            gzip.compress(CIFS["si"].encode()) if name.endswith("gz") else CIFS["si"].encode()
        )
    records = list(records_of(tmp_path))
    assert [record.material_id for record in records] == ["B", "a/z", "a-/x", "a", "b"]
    assert len({record.content for record in records}) == 1


def test_zip_of_cifs(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("si", "nacl"):
            archive.writestr(f"run/{name}.CIF", CIFS[name])
        archive.writestr("run/readme.md", "")
        archive.writestr("run/POSCARS/", "")
        archive.writestr("__MACOSX/run/._si.cif", "\0\5")
    assert_both(read(tmp_path / "set.zip"), ("run/nacl", "run/si"))


@pytest.mark.parametrize("packed", [False, True])
def test_json_of_poscars_by_split_with_literal_newlines(tmp_path, packed):
    texts = {"nacl": str(Poscar(ROCK_SALT)), "si": str(Poscar(SILICON))}
    literal = {key: text.replace("\n", "\\n") for key, text in texts.items()}
    data = json.dumps({"train": {"nacl": literal["nacl"]}, "val": {"si": literal["si"]}, "test": {}})
    path = tmp_path / ("d.json.zip" if packed else "d.json")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("d.json", data)
    else:
        path.write_text(data)
    assert_both(read(path))
    assert [record.split for record in records_of(path)] == ["train", "val"]


FRAME = pd.DataFrame(
    {
        "material_id": ["007", "si"],
        "cif": [CIFS["nacl"], CIFS["si"]],
        "band_gap": [0.1 + 0.2, np.nan],
        "group": [225, 227],
        "split": ["train", "test"],
    }
)


@pytest.mark.parametrize(
    "name", ["t.csv", "t.CSV", "t.csv.gz", "t.csv.bz2", "t.csv.xz", "t.feather", "t.arrow", "t.parquet"]
)
def test_tables_with_a_text_column(tmp_path, name):
    path = tmp_path / name
    write = {".feather": FRAME.to_feather, ".arrow": FRAME.to_feather, ".parquet": FRAME.to_parquet}
    write.get(path.suffix, lambda p: FRAME.to_csv(p, index=False))(path)
    assert_both(read(path), ("007", "si"))
    records = list(records_of(path, Columns(properties=("band_gap", "group"))))
    gaps, groups = [[record.properties[name] for record in records] for name in ("band_gap", "group")]
    # A CSV file has no types: its cells are text, from which Python makes the same number again.
    assert float(gaps[0]) == 0.30000000000000004
    assert gaps[1] is None
    assert groups == (["225", "227"] if ".csv" in name.lower() else [225, 227])
    assert [record.split for record in records] == ["train", "test"]


def test_arrow_stream_with_its_columns_in_another_order(tmp_path):
    table = pa.Table.from_pandas(FRAME[["split", "cif", "group", "material_id"]], preserve_index=False)
    with pa.ipc.new_stream(tmp_path / "t.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    assert_both(read(tmp_path / "t.arrow"), ("007", "si"))
    assert [r.properties["group"] for r in records_of(tmp_path / "t.arrow", Columns(properties=("group",)))] == [
        225,
        227,
    ]


def test_a_column_name_with_a_dot(tmp_path):
    FRAME.rename(columns={"group": "spacegroup.number"}).to_parquet(tmp_path / "t.parquet")
    records = records_of(tmp_path / "t.parquet", Columns(properties=("spacegroup.number",)))
    assert [record.properties["spacegroup.number"] for record in records] == [225, 227]


@pytest.mark.parametrize("name", ["t.csv", "t.feather", "t.parquet"])
def test_tables_with_structures_as_json_or_poscar(tmp_path, name):
    frame = FRAME.assign(cif=[json.dumps(ROCK_SALT.as_dict()), str(Poscar(SILICON))])
    path = tmp_path / name
    {".feather": frame.to_feather, ".parquet": frame.to_parquet}.get(path.suffix, frame.to_csv)(path)
    assert_both(read(path), ("007", "si"))


def test_parquet_with_columns_of_optimade(tmp_path):
    frame = pd.DataFrame(
        {
            "immutable_id": ["nacl", "si"],
            "lattice_vectors": [structure.lattice.matrix.tolist() for structure in (ROCK_SALT, SILICON)],
            "cartesian_site_positions": [structure.cart_coords.tolist() for structure in (ROCK_SALT, SILICON)],
            "species_at_sites": [[site.specie.symbol for site in structure] for structure in (ROCK_SALT, SILICON)],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    assert_both(read(tmp_path / "t.parquet", material_id="immutable_id"))


def test_columns_by_name_and_missing_columns_are_told(tmp_path):
    path = tmp_path / "t.csv"
    FRAME.rename(columns={"cif": "relaxed", "material_id": "key"}).to_csv(path, index=False)
    assert_both(read(path, structure="relaxed", material_id="key"), ("007", "si"))
    assert list(read(path, structure="relaxed")) == ["t-0", "t-1"]
    with pytest.raises(UserError, match=r"no structure column among key, relaxed.*structure_column"):
        list(records_of(path))
    with pytest.raises(UserError, match=r"no column 'what' \(id_column\)"):
        list(records_of(path, Columns("what", "relaxed")))
    with pytest.raises(UserError, match="no column 'energy'"):
        list(records_of(path, Columns(None, "relaxed", ("energy",))))


def test_missing_structures_are_rows_to_reject(tmp_path):
    FRAME.assign(cif=[CIFS["nacl"], None]).to_csv(tmp_path / "t.csv", index=False)
    records = list(records_of(tmp_path / "t.csv"))
    assert records[1].content is None
    assert records[1].origin == "t.csv:1"


def test_crystal_table_keeps_its_columns(tmp_path):
    made = from_crystals([from_structure(ROCK_SALT, "nacl", energy=1.5), from_structure(SILICON, "si")])
    crystal_table.write(made, tmp_path / "t.parquet")
    crystals = read(tmp_path / "t.parquet")
    assert_both(crystals)
    assert [crystal.properties["energy"] for crystal in crystals.values()] == [1.5, None]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.feather", "t.parquet", "t.zip", "t.json", "t.json.zip"])
def test_broken_files_are_told_in_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"material_id,cif\n" * 99)[:-9] if name.endswith("gz") else b"")
    with pytest.raises(UserError, match=name) as error:
        list(records_of(path))
    assert "\n" not in str(error.value)


def test_unknown_forms_and_missing_paths_are_told(tmp_path):
    (tmp_path / "a.docx").touch()
    with pytest.raises(UserError, match=r"a\.docx is of no form that can be read; readable: a folder"):
        records_of(tmp_path / "a.docx")
    with pytest.raises(UserError, match="does not exist"):
        records_of(tmp_path / "b.csv")


@pytest.mark.published
def test_both_published_forms_of_carbon_24_agree(published_data):
    folder = published_data / "carbon_24"
    packed = {r.material_id: r for r in records_of(folder / "carbon24_energy_per_atom.json.zip") if r.split == "test"}
    matcher = StructureMatcher(primitive_cell=False, scale=False, ltol=1e-4, stol=1e-3, angle_tol=1e-2)
    for index, record in enumerate(records_of(folder / "test.csv")):
        if index % 200 == 0:
            assert matcher.fit(to_structure(crystal_of(record)), to_structure(crystal_of(packed[record.material_id])))
    assert len(packed) == 2030


@pytest.mark.published
def test_published_generated_crystals_are_read(published_data):
    records = records_of(published_data / "generated" / "diffcsp_mp_20" / "DiffCSP_mp_20.pt")
    n_atoms = [len(record.content.atomic_numbers) for record in records]
    assert (len(n_atoms), sum(n_atoms)) == (10_000, 104_337)
    cdvae = list(records_of(published_data / "generated" / "cdvae" / "CDVAE_cifs.zip"))
    assert len(cdvae) == 478
    assert crystal_of(cdvae[0]).material_id == cdvae[0].material_id


def test_examples_of_the_documentation_are_settings():
    page = (Path(__file__).parents[4] / "docs" / "own_crystals.md").read_text(encoding="utf-8")
    examples = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    datasets = [example["dataset"] for example in examples if "dataset" in example]
    assert len(datasets) >= 8
    for dataset in datasets:
        assert load_settings(IngestSettings, dataset).name in ("custom", "mp_20")


def test_a_table_of_two_columns_of_structures_says_which_is_read(tmp_path, caplog):
    frame = pd.DataFrame({"material_id": ["a"], "structure": [CIFS["si"]], "cif": [CIFS["nacl"]]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert set(read(tmp_path / "a.csv")["a"].atomic_numbers.tolist()) == {11, 17}
    assert "has structures in the columns cif and structure; cif is read" in caplog.text
    caplog.clear()
    assert set(read(tmp_path / "a.csv", structure="structure")["a"].atomic_numbers.tolist()) == {14}
    assert "is read" not in caplog.text
