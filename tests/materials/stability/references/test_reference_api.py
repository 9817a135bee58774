"""The Materials Project's API against a stand-in for its client: what is asked, and that the key is left nowhere."""

import json
import logging
import sys
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
from pymatgen.core import Composition
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility
from pymatgen.entries.computed_entries import ComputedEntry

from unimat import cli
from unimat.materials.stability.references import api

KEY = "TopSecretKey0123456789abcdefABCD"
SETTINGS = json.dumps({"reference": {"kind": "materials_project_api", "chemical_systems": ["Na-Cl"]}})


def entry(formula: str, energy: float, material_id: str, run_type: str = "GGA") -> ComputedEntry:
    made = ComputedEntry(
        Composition(formula),
        energy,
        entry_id=f"{material_id}-{run_type}",
        parameters={"run_type": run_type, "hubbards": {}, "is_hubbard": False},
        data={"material_id": material_id, "last_updated": {"string": "2024-01-02 03:04:05"}},
    )
    return MaterialsProject2020Compatibility(check_potcar=False).process_entry(made) or made


class Client:
    """What of mp-api's MPRester is used."""

    asked: list[Any]
    answer: list[ComputedEntry]
    failure: Exception | None

    def __init__(self, api_key: str):
        type(self).asked.append(api_key)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None: ...

    def get_database_version(self) -> str:
        return "2026.01.15"

    def get_entries_in_chemsys(self, elements: list[str], additional_criteria: dict[str, Any]) -> list[ComputedEntry]:
        type(self).asked.append((elements, additional_criteria))
        if self.failure:
            raise self.failure
        return self.answer


@pytest.fixture
def client(monkeypatch) -> type[Client]:
    Client.asked, Client.failure = [], None
    Client.answer = [entry("Na2", -2.6, "mp-1"), entry("Cl4", -7.2, "mp-2"), entry("NaCl", -6.0, "mp-3")]
    package, module = ModuleType("mp_api"), ModuleType("mp_api.client")
    module.MPRester = Client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mp_api", package)
    monkeypatch.setitem(sys.modules, "mp_api.client", module)
    monkeypatch.setenv("MP_API_KEY", KEY)
    return Client


def command(tmp_path, *flags: str) -> int:
    return cli.main(["reference", "--settings", SETTINGS, "--out", str(tmp_path / "hull"), *flags]) or 0


def test_entries_of_the_api_and_no_key_in_any_file(client, tmp_path, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    assert command(tmp_path) == 0
    assert client.asked == [KEY, (["Na", "Cl"], {"thermo_types": ["GGA_GGA+U"]})]
    about = json.loads((tmp_path / "hull/reference.json").read_text())
    assert about["n_entries"] == 3
    assert about["database_version"] == "2026.01.15"
    assert about["energy_type"]["corrections"] == "MP2020"
    assert about["energy_type"]["pseudopotentials"] == "Materials Project"
    table = pq.read_table(tmp_path / "hull/reference.parquet")
    kept = [str(table.to_pylist()), str(table.schema.metadata), (tmp_path / "hull/reference.json").read_text()]
    assert KEY not in "".join(kept)
    assert sorted(path.name for path in (tmp_path / "hull").iterdir()) == ["reference.json", "reference.parquet"]
    assert KEY not in "".join([*capsys.readouterr(), caplog.text])


@pytest.mark.parametrize("flags", [(), ("--debug",)])
def test_a_failure_is_one_line_without_the_key(client, tmp_path, capsys, flags):
    client.failure = RuntimeError(f"GET https://api.example/?key={KEY}\nX-API-KEY: {KEY} 403")
    try:
        code = command(tmp_path, *flags)
    except Exception as error:  # --debug lets it through
        import traceback

        code, text = 2, "".join(traceback.format_exception(error))
    else:
        text = capsys.readouterr().err
    assert code == 2
    assert "the Materials Project API failed: RuntimeError" in text
    assert KEY not in text
    assert not (tmp_path / "hull").exists()


def test_entries_by_another_functional_are_refused(client, tmp_path, capsys):
    client.answer = [*client.answer, entry("Na2", -2.7, "mp-9", "R2SCAN")]
    assert command(tmp_path) == 2
    assert "1 of 4 entries by R2SCAN, such as mp-9" in capsys.readouterr().err


def test_a_missing_client_is_told_with_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mp_api.client", None)
    monkeypatch.setenv("MP_API_KEY", KEY)
    assert command(tmp_path) == 2
    text = capsys.readouterr().err
    assert "pip install mp-api" in text
    assert "MP_API_KEY" in text
    assert KEY not in text


def test_a_missing_key_is_told_with_where_to_get_one(client, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("MP_API_KEY")
    monkeypatch.delenv("PMG_MAPI_KEY", raising=False)
    monkeypatch.setattr(api, "SETTINGS", {})
    assert command(tmp_path) == 2
    assert "next-gen.materialsproject.org/api" in capsys.readouterr().err
    monkeypatch.setattr(api, "SETTINGS", {"PMG_MAPI_KEY": KEY})
    assert command(tmp_path) == 0


def test_systems_that_overlap_give_each_entry_once(client, tmp_path):
    settings = json.dumps({"reference": {"kind": "materials_project_api", "chemical_systems": ["Na-Cl", "Na"]}})
    cli.main(["reference", "--settings", settings, "--out", str(tmp_path / "hull")])
    assert json.loads((tmp_path / "hull/reference.json").read_text())["n_entries"] == 3
