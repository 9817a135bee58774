"""Relaxation by CHGNet through atomate2 and jobflow, and its bookkeeping."""

import itertools
import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from unimat.crystal_table import Crystal, from_crystals
from unimat.errors import UserError
from unimat.materials.crystals.structures import from_structure, to_structure
from unimat.materials.relax import shard
from unimat.materials.relax.engine import Relaxation
from unimat.materials.relax.jobs.run import JobFailed, run
from unimat.materials.relax.settings import NEWER_POTENTIALS, RelaxSettings, VaspSettings

DIAMOND = Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.7), ["C"], [[0, 0, 0]]).get_primitive_structure()


class FakeEngine:
    """Counts calls; crystals of one atom fail."""

    energy_type = {"calculator": "fake"}  # noqa: RUF012
    calls = 0

    def relax(self, structure, folder=None):
        FakeEngine.calls += 1
        if len(structure) == 1:
            return Relaxation(None, failure="too lonely")
        bigger = structure.copy()
        bigger.scale_lattice(structure.volume * 1.1)
        return Relaxation(bigger, -1.5, -1.0, 0.01, 3, True)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(shard, "make_engine", lambda settings: FakeEngine())
    monkeypatch.setattr(FakeEngine, "calls", 0)
    return FakeEngine


def crystals(n: int) -> list[Crystal]:
    rng = np.random.default_rng(0)
    return [
        Crystal(f"c-{index}", np.eye(3) * (4 + index), np.full(1 + index % 3, 14), rng.random((1 + index % 3, 3)))
        for index in range(n)
    ]


def test_failed_crystals_stay_as_rows(fake, tmp_path):
    table = from_crystals(crystals(4), n_requested=7)
    relaxed = shard.relax_shard(table, RelaxSettings(), tmp_path)
    assert relaxed.material_ids == table.material_ids
    assert relaxed.column("failure").tolist() == ["too lonely", None, None, "too lonely"]
    assert relaxed.column("converged").tolist() == [False, True, True, False]
    np.testing.assert_array_equal(relaxed[0].lattice, table[0].lattice)
    assert np.linalg.det(relaxed[1].lattice) == pytest.approx(1.1 * np.linalg.det(table[1].lattice))
    assert relaxed.metadata["n_requested"] == 7
    assert relaxed.unit("energy_per_atom") == "eV/atom"


def test_nothing_is_computed_twice_and_a_torn_line_is_dropped(fake, tmp_path):
    table = from_crystals(crystals(4))
    first = shard.relax_shard(table, RelaxSettings(), tmp_path)
    assert fake.calls == 4
    journal = tmp_path / "results-all.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    second = shard.relax_shard(table, RelaxSettings(threads=2), tmp_path)
    assert fake.calls == 5
    assert [json.loads(line)["material_id"] for line in journal.read_text().splitlines()] == table.material_ids
    assert first.arrow.equals(second.arrow)
    shard.relax_shard(table, RelaxSettings(fmax=0.01), tmp_path)
    assert fake.calls == 9


def test_another_number_of_shards_finds_what_is_done(fake, tmp_path):
    table = from_crystals(crystals(4))
    for k in (1, 2):
        shard.relax_shard(shard.shard_of(table, f"{k}/2"), RelaxSettings(), tmp_path, f"{k}of2")
    (tmp_path / "results-2of2.jsonl").open("a").write('{"key": "half a line of a shard at work')
    assert fake.calls == 4
    assert len(shard.relax_shard(table, RelaxSettings(), tmp_path)) == 4
    assert fake.calls == 4


def test_empty_shard_has_the_same_columns(fake, tmp_path):
    table = from_crystals(crystals(2))
    full = shard.relax_shard(table, RelaxSettings(), tmp_path)
    empty = shard.relax_shard(table.take([]), RelaxSettings(), tmp_path)
    assert len(empty) == 0
    assert set(empty.property_names) == set(full.property_names)


def test_hopeless_crystals_are_not_handed_to_the_engine(fake, tmp_path):
    """0.3 Å between periodic images; 1.5 Å^3 per atom."""
    two = np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
    flat = Crystal("flat", np.diag([9.0, 9.0, 0.3]), np.array([6, 6]), two)
    dense = Crystal("dense", np.eye(3) * 3.0 ** (1 / 3), np.array([6, 6]), two)
    relaxed = shard.relax_shard(from_crystals([flat, dense]), RelaxSettings(), tmp_path)
    assert fake.calls == 0
    reasons = relaxed.column("failure").tolist()
    assert reasons[0] == "not relaxed, overlapping_atoms: 0.300 Å between two atoms, the limit is 0.5 Å"
    assert reasons[1] == "not relaxed, degenerate_lattice: 1.5 Å^3 per atom, the limit is 2.0"


def test_shards_partition_the_table():
    table = from_crystals(crystals(7))
    ids = [shard.shard_of(table, f"{k}/3").material_ids for k in (1, 2, 3)]
    assert sorted(itertools.chain(*ids)) == table.material_ids
    with pytest.raises(UserError, match="k/n"):
        shard.shard_of(table, "4/3")


def test_chgnet_diamond_lattice_constant(tmp_path):
    """PBE diamond has a = 3.57 Å (Materials Project mp-66); CHGNet must come within 0.02 Å from 3.7 Å."""
    table = from_crystals([from_structure(DIAMOND, "diamond")])
    relaxed = shard.relax_shard(table, RelaxSettings(fmax=0.01), tmp_path)
    assert relaxed[0].properties["converged"]
    edge = to_structure(relaxed[0]).get_primitive_structure().lattice.abc[0] * np.sqrt(2)
    assert edge == pytest.approx(3.57, abs=0.02)
    assert relaxed[0].properties["energy_per_atom"] < relaxed[0].properties["initial_energy_per_atom"]


def test_strained_crystal_without_forces_is_not_converged(tmp_path):
    """One atom has no forces by symmetry; after two steps the cell is still strained, so not converged."""
    simple_cubic = Structure(Lattice.cubic(2.0), ["Si"], [[0, 0, 0]])
    relaxed = shard.relax_shard(
        from_crystals([from_structure(simple_cubic, "sc")]), RelaxSettings(max_steps=2), tmp_path
    )
    assert relaxed[0].properties["fmax"] == pytest.approx(0, abs=1e-3)
    assert not relaxed[0].properties["converged"]


def test_failing_job_tells_why():
    from jobflow import job

    @job
    def fails():
        raise ValueError("the moon is full")

    with pytest.raises(JobFailed, match="the moon is full"):
        run(fails())


def test_vasp_flow_is_the_papers_protocol():
    """Appendix 7: two relaxations and a static run; 520 eV, +U, ferromagnetic start, gamma-centred k-points."""
    from unimat.materials.relax.vasp.engine import VaspEngine

    newer = {symbol: f"{symbol}_new" for symbol in NEWER_POTENTIALS}
    vasp = VaspSettings(command="srun vasp_std", user_incar_settings={"NCORE": 4}, potcars=newer)
    settings = RelaxSettings(engine="vasp", vasp=vasp)
    wurtzite = Structure(
        Lattice.hexagonal(3.2, 5.2), ["Fe", "Fe", "O", "O"],
        [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.38], [2 / 3, 1 / 3, 0.88]],
    )  # fmt: skip
    jobs = [job for job, _ in VaspEngine(settings).flow(wurtzite).iterflow()]
    assert [job.name for job in jobs] == ["MP GGA relax 1", "MP GGA relax 2", "MP GGA static"]
    for each in jobs:
        maker = each.function.__self__
        assert maker.run_vasp_kwargs["vasp_cmd"] == "srun vasp_std"
        inputs = maker.input_set_generator.get_input_set(wurtzite, potcar_spec=True)
        assert inputs["INCAR"]["ENCUT"] == 520
        assert inputs["INCAR"]["LDAUU"] == [5.3, 0]
        assert inputs["INCAR"]["ISPIN"] == 2
        assert min(inputs["INCAR"]["MAGMOM"]) > 0
        assert inputs["INCAR"]["NCORE"] == 4
        assert inputs["KPOINTS"].style.name == "Gamma"
        lithium = Structure(Lattice.cubic(3.4), ["Li"], [[0, 0, 0]])
        assert str(maker.input_set_generator.get_input_set(lithium, potcar_spec=True)["POTCAR.spec"]) == "Li_new"
