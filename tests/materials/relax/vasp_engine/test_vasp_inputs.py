"""Crystals, folders and settings that VASP cannot start from: a row or a line with the reason, and the rest goes on."""

import json

import pytest
from pymatgen.core import SETTINGS, Lattice, Structure

from tests.materials.relax.vasp_engine.vasp_helpers import ALUMINIUM, IRON_OXIDE, SILICON, VALENCES, bottom, fake_potcar
from unimat.crystal_table import from_crystals
from unimat.errors import UserError
from unimat.materials.crystals.structures import from_structure
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.relax.shard import relax_shard
from unimat.materials.relax.vasp import inputs as vasp_inputs
from unimat.settings import load_settings


def test_a_missing_potential_is_named_and_tried_again_later(stand_in, potentials):
    """Without a file for silicon its crystal is a row with the reason; with it, the next run computes it alone."""
    file = potentials / "POT_GGA_PAW_PBE" / "POTCAR.Si"
    file.unlink()
    table = stand_in.relax(SILICON, ALUMINIUM)
    reason = table[0].properties["failure"]
    assert reason.startswith(f"not relaxed, no POTCAR file for Si: {file} (or .gz, or Si/POTCAR) does not exist")
    assert "PMG_VASP_PSP_DIR" in reason
    assert "relax.vasp.potcars" in reason
    assert table.column("converged").tolist() == [False, True]
    file.write_text(fake_potcar("Si", VALENCES["Si"]))
    vasp_inputs._trouble.cache_clear()
    assert stand_in.relax(SILICON, ALUMINIUM).column("converged").tolist() == [True, True]
    assert [call["formula"] for call in stand_in.calls].count("Al1") == 5  # three, and two that custodian repeated


def test_no_potentials_at_all(stand_in, monkeypatch):
    monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_DIR", "/nowhere")
    with pytest.raises(UserError, match="PMG_VASP_PSP_DIR is '/nowhere', which is no folder; set it"):
        stand_in.relax(SILICON)
    monkeypatch.delitem(SETTINGS, "PMG_VASP_PSP_DIR")
    with pytest.raises(UserError, match="PMG_VASP_PSP_DIR is not set"):
        stand_in.relax(SILICON)


def test_no_vasp(stand_in):
    stand_in.command = "vasp_of_somebody_else --mpi"
    with pytest.raises(UserError, match=r"no program 'vasp_of_somebody_else' is found; set relax\.vasp\.command"):
        stand_in.relax(SILICON)


def test_elements_without_a_potential_and_crystals_that_are_none(stand_in):
    """Polonium has no potential at the Materials Project; two atoms 0.3 Å apart and a cell that evaporates."""
    polonium = Structure(Lattice.cubic(3.3), ["Po"], [[0, 0, 0]])
    close = Structure(Lattice.cubic(4.0), ["Si", "Si"], [[0, 0, 0], [0, 0, 0.075]])
    squeezed = ALUMINIUM.copy()
    squeezed.scale_lattice(2.2)
    table = stand_in.relax(polonium, close, squeezed, IRON_OXIDE)
    reasons = table.column("failure").tolist()
    assert reasons[0].startswith("not relaxed, no potential for Po: the Materials Project names none; name one in")
    assert reasons[1].startswith("not relaxed, overlapping_atoms: 0.300 Å between two atoms")
    assert reasons[2].startswith("the cell expanded beyond bonding: ")
    assert reasons[3] is None
    assert table[3].properties["energy_per_atom"] < bottom(IRON_OXIDE)
    assert len((stand_in.work / "results-all.jsonl").read_text().splitlines()) == 4  # none of these is worth a retry


def test_a_u_that_the_corrections_do_not_know(stand_in):
    """Energies with another U cannot carry MP2020 corrections: a failure with its reason, not an uncorrected energy."""
    table = stand_in.relax(IRON_OXIDE, user_incar_settings={"LDAU": False})
    reason = table[0].properties["failure"]
    assert reason.startswith("the MP2020 corrections refuse this calculation: ")
    assert table[0].properties["energy_per_atom"] is None


def test_incar_tags_keep_their_types(stand_in):
    """VASP reads no 4.0 where it wants a whole number, and no 1 where it wants a logical."""
    given = {"NCORE": 4, "LASPH": False, "ALGO": "Normal", "POTIM": 0.25}
    vasp = {"command": stand_in.command, "user_incar_settings": given, "poll_interval": 0.1, "raw_outputs": "keep"}
    settings = load_settings(RelaxSettings, json.dumps({"engine": "vasp", "vasp": vasp}), "relax")
    relax_shard(from_crystals([from_structure(SILICON, "c")]), settings, stand_in.work)
    lines = stand_in.text("relax_1", "INCAR").splitlines()
    assert {"NCORE = 4", "LASPH = False", "ALGO = Normal", "POTIM = 0.25"} <= set(lines)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"raw_outputs": "burn"}, "'burn' is not one of 'keep', 'compress', 'slim', 'remove'"),
        ({"potcars": {"Mg": "Mg_new"}}, "but not of Li, Na, Ge, Ga"),
        ({"poll_interval": 0}, "poll_interval must be above 0, found 0.0"),
        ({"max_errors": 0}, "max_errors must be at least 1, found 0"),
    ],
)
def test_settings_of_no_use(given, message):
    with pytest.raises(UserError, match=message):
        load_settings(RelaxSettings, json.dumps({"engine": "vasp", "vasp": given}), "relax")
