"""What a machine lacks for the jobs of a run is told before the first of them, and nothing is asked for in vain."""
# ruff: noqa: E501  (a table reads by its rows)

from pathlib import Path
from typing import Any

import pytest

from unimat.configuration.checks import machine
from unimat.configuration.reading import read
from unimat.materials.relax.settings import NEWER_POTENTIALS

DATA = {"run": "r", "dataset": {"name": "silicon_carbon"}, "sets": {"a": {"from": "split", "split": "test"}}}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, nothing installed but what a test names, and no settings of other programs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (machine.VARIABLE, machine.POTENTIALS, "ATOMATE2_VASP_CMD", "UNIMAT_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine, "installed", lambda name: name in ("torch", "ase", *machine.ATOMATE, "custodian"))
    return tmp_path


def lacking(targets: tuple[str, ...] = ("relax",), submitted: bool = False, **relax: Any) -> list[str]:
    values = {**DATA, "relax": {"sets": ["a"], **relax}}
    reading = read(values, ["mine.yaml"])
    assert reading.mistakes == ()
    return list(machine.mistakes(reading.configuration, targets, submitted))


@pytest.mark.parametrize(
    ("relax", "said"),
    [
        (
            {"engine": "chgnet"},
            "relax.engine 'chgnet' needs the package chgnet, which is not installed: pip install 'uni",
        ),
        (
            {"engine": "gpaw"},
            "relax.engine 'gpaw' needs the package gpaw, which is not installed: pip install 'unimat[gp",
        ),
        ({"engine": "mace_mp_0"}, "relax.engine 'mace_mp_0' needs the package mace-torch, which is not installed: pip"),
        (
            {"engine": "sevennet"},
            "relax.engine 'sevennet' needs the package sevenn, which is not installed: pip install",
        ),
        (
            {"by_set": {"a": {"engine": "orb"}}},
            "relax.by_set.a.engine 'orb' needs the package orb-models, which is not installed: pip install 'orb-models'",
        ),
    ],
)
def test_an_engine_that_is_not_installed_is_named_with_its_remedy(relax: dict[str, Any], said: str):
    (line,) = lacking(**relax)
    assert line.startswith(said)
    assert line.endswith("(or UNIMAT_ELSEWHERE=1 where the jobs run elsewhere)")


def test_a_folder_of_the_name_of_an_engine_is_no_engine(here: Path, monkeypatch: pytest.MonkeyPatch):
    from unimat.distributions import installed

    (here / "gpaw").mkdir()
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setattr(
        machine, "installed", lambda name: name in machine.ATOMATE or (name != "gpaw" and installed(name))
    )
    assert lacking(engine="gpaw")[0].startswith("relax.engine 'gpaw' needs the package gpaw")


def test_nothing_is_asked_for_where_it_is_not_needed(here: Path, monkeypatch: pytest.MonkeyPatch):
    assert lacking(targets=("dataset", "train"), engine="gpaw") == []
    (here / "results/r/sets/a").mkdir(parents=True)
    (here / "results/r/sets/a/relaxed.parquet").touch()  # relaxed already, on a cluster, say
    assert lacking(engine="gpaw") == []
    monkeypatch.setenv(machine.VARIABLE, "1")
    (here / "results/r/sets/a/relaxed.parquet").unlink()
    assert lacking(engine="gpaw") == []


def test_vasp_needs_its_program_and_its_potentials(here: Path, monkeypatch: pytest.MonkeyPatch):
    own = {"engine": "vasp", "vasp": {"command": "no_such_vasp -x"}}
    program, potentials = lacking(**own)
    assert program.startswith(
        "relax.engine 'vasp' is called by 'no_such_vasp -x', and no program 'no_such_vasp' is found"
    )
    assert potentials.startswith("relax.engine 'vasp' needs VASP's potentials: PMG_VASP_PSP_DIR is not set")
    assert lacking(submitted=True, **own) == []  # the nodes may have what this one has not
    (here / ".config").mkdir()
    (here / "potentials").mkdir()
    (here / ".config/.pmgrc.yaml").write_text(f"PMG_VASP_PSP_DIR: {here / 'potentials'}\n", encoding="utf-8")
    assert lacking(engine="vasp", vasp={"command": "sh -c vasp"}) == []
    monkeypatch.setenv("ATOMATE2_VASP_CMD", "sh")
    assert lacking(engine="vasp", vasp={"potcars": {name: f"{name}_new" for name in NEWER_POTENTIALS}}) == []
    monkeypatch.setenv(machine.POTENTIALS, "nowhere")
    assert "PMG_VASP_PSP_DIR is 'nowhere', which is no folder" in lacking(engine="vasp")[0]


def test_a_model_that_is_a_file_must_be_there(here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "installed", lambda name: True)
    known = {"functional": "PBE", "corrections": "none"}
    (line,) = lacking(engine="nep", force_field={"model": "nep.txt", **known})
    assert line.startswith("relax.force_field.model names 'nep.txt', and there is no such file")
    (line,) = lacking(engine="mace_mp_0", force_field={"model": "models/my.model", **known})
    assert "names 'models/my.model', and there is no such file" in line
    assert lacking(engine="mace_mp_0", force_field={"model": "large", **known}) == []  # a name, which its package knows
    (here / "nep.txt").touch()
    assert lacking(engine="nep", force_field={"model": "nep.txt", **known}) == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("ase.calculators.emt.EMT", None),
        ("own.calculator", None),
        ("own.made", None),
        ("own.renamed", None),
        ("own.nothing", "and 'own' defines no 'nothing'; check the name"),
        ("nowhere.calculator", "and there is no module 'nowhere'; install it, or put its folder into PYTHONPATH"),
        ("ase.calculators.emtt.EMT", "and there is no module 'ase.calculators.emtt'"),
        ("ase.calculators.emt.EMTT", "and 'ase.calculators.emt' defines no 'EMTT'"),
        ("empty.x", "and there is no module 'empty'; 'empty' is a folder without one"),
        ("EMT", "give the import path of a function or a class"),
        ("os; rm -rf.x", "give the import path of a function or a class"),
    ],
)
def test_a_calculator_of_ones_own_is_looked_for_and_not_run(here: Path, monkeypatch: pytest.MonkeyPatch, path, said):
    text = "open('was_imported', 'w')\nfrom math import sqrt as renamed\nmade = 1\ndef calculator(): pass\n"
    (here / "own.py").write_text(text, encoding="utf-8")
    (here / "empty").mkdir()
    monkeypatch.syspath_prepend(str(here))
    force_field = {"calculator": path, "functional": "PBE", "corrections": "none"}
    found = lacking(engine="ase", force_field=force_field)
    if said is None:
        assert found == []
    else:
        assert said in found[0]
    assert not (here / "was_imported").exists()


def test_a_reference_that_is_read_from_a_file_must_be_there(here: Path, monkeypatch: pytest.MonkeyPatch):
    hull = {"sets": ["a"], "reference": {"kind": "materials_project", "path": "hull/mp_materials_summary.csv"}}
    configuration = read({**DATA, "relax": {"sets": ["a"]}, "hull": hull}, []).configuration
    monkeypatch.setattr(machine, "installed", lambda name: True)
    (line,) = machine.mistakes(configuration, ["hull"])
    assert line.startswith(
        "hull.reference.path names 'hull/mp_materials_summary.csv', and there is no such file here or"
    )
    assert "it is published as data/mp_materials_summary.csv in the history of" in line
    assert list(machine.mistakes(configuration, ["relax"])) == []
    (here / "data/hull").mkdir(parents=True)
    (here / "data/hull/mp_materials_summary.csv").touch()
    monkeypatch.setenv("UNIMAT_DATA_DIR", str(here / "data"))
    assert list(machine.mistakes(configuration, ["hull"])) == []


def test_a_job_store_and_a_key_are_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "installed", lambda name: name != "mp-api")
    monkeypatch.delenv("UNIMAT_JOB_STORE", raising=False)
    for name in machine.API_KEYS:
        monkeypatch.delenv(name, raising=False)
    assert lacking(store="store.yaml")[0].startswith("relax.store names the file 'store.yaml', and there is none")
    assert lacking(store="embedded") == []
    hull = {"sets": ["a"], "reference": {"kind": "materials_project_api", "chemical_systems": ["Si-C"]}}
    configuration = read({**DATA, "relax": {"sets": ["a"]}, "hull": hull}, []).configuration
    client, key = machine.mistakes(configuration, ["hull"])
    assert client.startswith("hull.reference of kind materials_project_api needs mp-api, which is not installed")
    assert key == "hull.reference of kind materials_project_api needs a key: set MP_API_KEY in the environment"


def test_an_energy_predictor_of_ones_own_is_looked_for():
    values = {**DATA, "metrics": {"sets": ["a"], "energy_predictor": "nowhere:energies"}}
    configuration = read(values, []).configuration
    (line,) = machine.mistakes(configuration, ["metrics"])
    assert line.startswith("metrics.energy_predictor is 'nowhere:energies', and there is no module 'nowhere'")
