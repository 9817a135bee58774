"""Damaged files of every text form: read, rejected or told, and never anything else."""

import io
import json
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp.inputs import Poscar

from unimat.errors import REJECTION_REASONS, CrystalRejected, UserError
from unimat.materials.datasets.readers import records_of
from unimat.materials.datasets.readers.records import Columns
from unimat.materials.datasets.readers.texts import crystal_of

ROCK_SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
CIF = str(CifWriter(ROCK_SALT, symprec=1e-3))
P1 = "\n".join(str(CifWriter(ROCK_SALT)).splitlines())
POSCAR = str(Poscar(ROCK_SALT))
FRAME = 'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 material_id=a gap=1.5 pbc="T T T"'


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


def zip_of(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name.replace("_", "."), (2020, 1, 1, 0, 0, 0)), text)
    return stream.getvalue()


def optimade():
    attributes = {
        "lattice_vectors": [[4, 0, 0], [0, 4, 0], [0, 0, 4]],
        "cartesian_site_positions": [[0, 0, 0], [2, 2, 2]],
        "species_at_sites": ["Cs", "Cl"],
        "species": [{"name": name, "chemical_symbols": [name], "concentration": [1.0]} for name in ("Cs", "Cl")],
    }
    return {"data": [{"id": "a", "type": "structures", "attributes": attributes}], "links": {"next": None}}


def tar_of(**members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, text in members.items():
            header = tarfile.TarInfo(name.replace("_", "."))
            header.size = len(text.encode())
            archive.addfile(header, io.BytesIO(text.encode()))
    return stream.getvalue()


RES = """TITL CsCl-1 0.0 64.0 -10.5 0.0 0.0 2 (Pm-3m) n - 1
CELL 1.54180 4.0 4.0 4.0 90.0 90.0 90.0
LATT -1
SFAC Cs Cl
Cs 1 0.0 0.0 0.0 1.0
Cl 2 0.5 0.5 0.5 1.0
END
"""
WYCKOFF = ("[4, 4, 4, 90, 90, 90]", "[[0, 0, 0], [0.5, 0.5, 0.5], [0, 0, 0]]", "[55, 17, 0]", "[1, 2, 0]", "[1, 1, 0]")
ASE_ROW = {
    "numbers": {"__ndarray__": [[2], "int64", [55, 17]]},
    "positions": {"__ndarray__": [[2, 3], "float64", [0, 0, 0, 2, 2, 2]]},
    "cell": {"array": {"__ndarray__": [[3, 3], "float64", [4, 0, 0, 0, 4, 0, 0, 0, 4]]}, "__ase_objtype__": "cell"},
    "pbc": {"__ndarray__": [[3], "bool", [True, True, True]]},
    "key_value_pairs": {"gap": 1},
}
STRUCTURE = Structure(Lattice.cubic(4), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]).as_dict()
FILES = {
    "a.cif": CIF.encode(),
    "b.cif": (P1 + "\n" + CIF.replace("data_NaCl", "data_2")).encode(),
    "POSCAR": POSCAR.encode(),
    "a.csv": f"material_id,cif,gap\na,{quoted(CIF)},1.5\nb,{quoted(POSCAR)},\n".encode(),
    "b.csv": f"material_id,structure,split\na,{quoted(json.dumps(STRUCTURE))},train\n".encode(),
    "a.zip": zip_of(a_cif=P1, POSCAR=POSCAR),
    "b.zip": zip_of(a_json=json.dumps({"a": POSCAR})),
    "a.json": json.dumps({"train": {"a": POSCAR.replace("\n", "\\n")}, "val": {}}).encode(),
    "b.json": json.dumps({"entries": [{"data": {"mat_id": "a"}, "energy": 1, "structure": STRUCTURE}]}).encode(),
    "c.json": json.dumps(optimade(), indent=1).encode(),
    "a.jsonl": "\n".join(json.dumps({"id": i, "structure": STRUCTURE, "gap": 1}) for i in range(3)).encode(),
    "a.extxyz": f"2\n{FRAME}\nCs 0 0 0\nCl 2 2 2\n1\n{FRAME}\nPo 0 0 0\n".encode(),
}
XYZ = f"2\n{FRAME}\nCs 0 0 0\nCl 2 2 2"
FILES |= {
    "a.res": RES.encode(),
    "b.res": (RES + RES.replace("-1 ", "-2 ")).encode(),
    "output_221.csv": ("L,X,A,W,M\n" + ",".join(map(quoted, WYCKOFF)) + "\n").encode(),
    "c.csv": f"cif,formula,nsites\n{quoted(str(STRUCTURE))},CsCl,2\n".encode(),
    "d.csv": f"id,structure\na,{quoted(RES)}\nb,{quoted(XYZ)}\n".encode(),
    "d.json": json.dumps({"1": ASE_ROW, "2": ASE_ROW, "ids": [1, 2], "nextid": 3}).encode(),
    "a.tar": tar_of(a_cif=P1, POSCAR=POSCAR, b_res=RES),
}
WORDS = (
    b"? . ' \" ; # nan inf - 1e999 0 99999999999999999999 Xx D loop_ data_ { ] null , \\n PK\x01\x02 \x00 \xff \xf0\x9f"
)
PIECES = st.sampled_from([*WORDS.split(), b"\r", b"\n", b"\r\n", b"\t"])
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "replace", "delete", "double line", "delete line", "swap"]),
        st.integers(0, 2**16),
        st.integers(1, 40),
        PIECES | st.binary(min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=5,
)


def mutated(data, mutations):
    for kind, place, length, piece in mutations:
        at = place % (len(data) + 1)
        if kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << length % 8]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at]
        elif kind in ("insert", "replace", "delete"):
            data = data[:at] + piece * (kind != "delete") + data[at + length * (kind != "insert") :]
        elif kind in ("double line", "delete line", "swap"):
            lines = data.split(b"\n")
            row, other = at % len(lines), length % len(lines)
            if kind == "swap":
                lines[row], lines[other] = lines[other], lines[row]
            else:
                lines[row : row + 1] = lines[row : row + 1] * 2 * (kind == "double line")
            data = b"\n".join(lines)
    return data


def outcome(path):
    """What becomes of a file: ids to number of atoms or reason; or what the user is told."""
    try:
        records = list(records_of(path, Columns(properties=() if path.suffix == ".csv" else ("gap", "enthalpy"))))
    except UserError as error:
        return str(error)
    found = {}
    for record in records:
        assert isinstance(record.material_id, str)
        try:
            found[record.material_id] = len(crystal_of(record).atomic_numbers)
        except CrystalRejected as error:
            found[record.material_id] = error.reason
    assert {each for each in found.values() if isinstance(each, str)} <= set(REJECTION_REASONS)
    return found


@pytest.mark.parametrize("name", FILES)
def test_files_are_read_before_they_are_damaged(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name])
    assert all(isinstance(each, int) for each in outcome(tmp_path / name).values())


@settings(
    max_examples=1200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(name=st.sampled_from(sorted(FILES)), mutations=MUTATIONS)
def test_damaged_files_are_read_or_rejected_or_told(tmp_path, name, mutations):
    path = tmp_path / name
    path.write_bytes(mutated(FILES[name], mutations))
    found = outcome(path)
    assert isinstance(found, dict) or "\n" not in found


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.csv", b'"material_id\nx",ci\n', "no structure column among material_id x, ci"),  # a line end in a name
        ("a.json", b'{"a": 1.5e', "not readable as JSON"),
        ("b.cif", P1.replace("x, y, z", "x, y, z+1/0").encode(), "{'b': 'unreadable'}"),
        ("a.json", b"[" * 100_000, "not readable as JSON"),
        ("a.json", b"[" + b"9" * 10_000 + b"]", "not readable as JSON"),  # more digits than Python makes a number of
    ],
)
def test_what_fuzzing_found(tmp_path, name, data, expected):
    (tmp_path / name).write_bytes(data)
    assert expected in str(outcome(tmp_path / name))
