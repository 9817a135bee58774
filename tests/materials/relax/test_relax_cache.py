"""Finished crystals: found again by content, in another set, shard or run, and never taken for something else."""

import dataclasses
import fcntl
import json
import logging
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from unimat.checked_lines import line_of, values_of
from unimat.crystal_table import Crystal, from_crystals, write
from unimat.materials.crystals.structures import to_structure
from unimat.materials.relax import shard
from unimat.materials.relax.engine import Relaxation
from unimat.materials.relax.force_fields import known as force_fields
from unimat.materials.relax.force_fields import settings as force_field_settings
from unimat.materials.relax.force_fields.settings import ForceFieldSettings
from unimat.materials.relax.gpaw.settings import GpawSettings
from unimat.materials.relax.journal import Cache, Journal, read_lines
from unimat.materials.relax.relaxation_key import content_key, settings_text
from unimat.materials.relax.settings import RelaxSettings, VaspSettings

CRYSTAL = Crystal("a", np.diag([4.0, 4.1, 4.2]), np.array([14, 6]), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


class CountingEngine:
    energy_type = {"calculator": "fake"}  # noqa: RUF012
    calls = 0

    def relax(self, structure, folder=None):
        CountingEngine.calls += 1
        return Relaxation(structure, -1.5, -1.0, 0.01, 3, True)


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr(shard, "make_engine", lambda settings: CountingEngine())
    monkeypatch.setattr(CountingEngine, "calls", 0)
    return CountingEngine


def key(crystal=CRYSTAL, **changes) -> str:
    return content_key(crystal, settings_text(RelaxSettings(**changes)))


def crystals(n: int, prefix: str = "c") -> list[Crystal]:
    rng = np.random.default_rng(0)
    return [Crystal(f"{prefix}-{row}", np.eye(3) * (4 + row), np.array([14]), rng.random((1, 3))) for row in range(n)]


def test_a_key_depends_on_what_bears_on_the_result_and_on_nothing_else():
    named = dataclasses.replace(CRYSTAL, material_id="b", properties={"e": 1.0})
    moved = dataclasses.replace(CRYSTAL, frac_coords=CRYSTAL.frac_coords + 1e-9)
    other = dataclasses.replace(CRYSTAL, atomic_numbers=np.array([14, 32]))
    assert key(named) == key()
    same = [
        {"threads": 2}, {"store": "embedded"}, {"vasp": VaspSettings(command="x")},
        {"gpaw": GpawSettings(cutoff=400.0)},
        {"force_field": ForceFieldSettings(device="cpu")},
    ]  # fmt: skip
    assert {key(**changes) for changes in same} == {key()}
    different = [
        {"fmax": 0.01}, {"max_steps": 100}, {"optimizer": "FIRE"}, {"min_distance": 0.6}, {"max_seconds": 60.0},
        {"engine": "vasp"}, {"force_field": ForceFieldSettings(calculator_kwargs={"stress_weight": 1.0})},
    ]  # fmt: skip
    keys = [key(), key(moved), key(other), *(key(**changes) for changes in different)]
    assert len(set(keys)) == len(keys)


def test_a_newer_force_field_does_not_take_the_results_of_an_older_one(monkeypatch):
    before = key()
    monkeypatch.setattr(force_field_settings, "version_of", lambda engine, calculator: "chgnet 9.9")
    assert key() != before


def test_the_key_of_vasp_is_that_of_its_own_settings():
    """A change of it would compute everything again."""
    relevant = json.loads(settings_text(RelaxSettings(engine="vasp", fmax=0.01, max_steps=3, max_seconds=1.0)))
    assert relevant.keys() == {"engine", "min_distance", "min_volume_per_atom", "vasp"}
    assert relevant["vasp"].keys() == {"user_incar_settings", "potcars", "max_errors"}


def test_a_crystal_of_two_sets_is_computed_once(engine, tmp_path):
    """Sets of a run share a folder; the second set names its crystals otherwise."""
    shard.relax_shard(from_crystals(crystals(4)), RelaxSettings(), tmp_path, "generated-1of1")
    table = shard.relax_shard(from_crystals(crystals(6, "other")), RelaxSettings(), tmp_path, "test-1of1")
    assert engine.calls == 6
    assert table.material_ids == [f"other-{row}" for row in range(6)]
    assert len((tmp_path / "results-test-1of1.jsonl").read_text().splitlines()) == 2


def test_runs_share_a_cache(engine, tmp_path):
    cache = tmp_path / "cache"
    first = shard.relax_shard(from_crystals(crystals(4)), RelaxSettings(), tmp_path / "one", cache=cache)
    second = shard.relax_shard(from_crystals(crystals(5)), RelaxSettings(), tmp_path / "two", cache=cache)
    third = shard.relax_shard(from_crystals(crystals(5)), RelaxSettings(), tmp_path / "three", cache=cache)
    assert engine.calls == 5
    assert second.take(np.arange(4)).arrow.equals(first.arrow)
    assert third.arrow.equals(second.arrow)
    assert [len(path.read_text().splitlines()) for path in cache.glob("*")] in ([4, 1], [1, 4])
    assert len(read_lines(cache)) == 5


def test_a_killed_shard_brings_its_results_to_the_cache_later(engine, tmp_path):
    shard.relax_shard(from_crystals(crystals(3)), RelaxSettings(), tmp_path / "work")
    shard.relax_shard(from_crystals(crystals(4)), RelaxSettings(), tmp_path / "work", cache=tmp_path / "cache")
    assert engine.calls == 4
    assert len(read_lines(tmp_path / "cache")) == 4


def test_only_what_is_wanted_is_read(engine, tmp_path):
    shard.relax_shard(from_crystals(crystals(4)), RelaxSettings(), tmp_path)
    keys = [key(crystal) for crystal in crystals(4)]
    assert Journal(tmp_path, "all", keys[1:2]).results.keys() == {keys[1]}
    assert Cache(tmp_path, keys[2:]).results.keys() == set(keys[2:])
    assert Journal(tmp_path).results.keys() == set(keys)


def test_lines_that_are_none_are_passed_over(engine, tmp_path):
    shard.relax_shard(from_crystals(crystals(2)), RelaxSettings(), tmp_path, "a")
    whole = (tmp_path / "results-a.jsonl").read_bytes()
    (tmp_path / "results-b.jsonl").write_bytes(b"\x00\xff\n" + whole[: len(whole) // 2] + b"\n{}\n" + whole[:50])
    (tmp_path / "results-c.jsonl").touch()
    assert len(read_lines(tmp_path)) == 2
    Journal(tmp_path, "b")
    assert set((tmp_path / "results-b.jsonl").read_bytes().splitlines(True)) <= set(whole.splitlines(True))


def edited(path: Path, change) -> None:
    path.write_text("".join(change(line) for line in path.read_text().splitlines(keepends=True)))


WITHOUT_END = lambda line: line.replace("\n", " ")  # noqa: E731


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace('"energy_per_atom": -', '"energy_per_atom": -1'),
        lambda line: line[:20] + ("a" if line[20] != "a" else "b") + line[21:],
        lambda line: line_of({**values_of(line.encode()), "relaxation": {"a later version's": 1}}),
        lambda line: line_of({**values_of(line.encode()), "structure": {"a later version's": 1}}),
        lambda line: line_of({"key": values_of(line.encode())["key"], "result": None}),
        WITHOUT_END,
    ],
)
@pytest.mark.parametrize("place", ["own", "others", "cache"])
def test_a_changed_line_or_one_of_another_version_is_relaxed_again(engine, tmp_path, caplog, change, place):
    table, folders = from_crystals(crystals(3)), {"work": tmp_path / "work", "cache": tmp_path / "cache"}
    first = shard.relax_shard(table, RelaxSettings(), **folders)
    work, cache = (sorted(folders[name].glob("results-*.jsonl"))[0] for name in ("work", "cache"))
    edited(cache if place == "cache" else work, change)
    (work if place == "cache" else cache).unlink()
    if place == "others":
        work.rename(folders["work"] / "results-another.jsonl")
    with caplog.at_level(logging.WARNING):
        second = shard.relax_shard(table, RelaxSettings(), **folders)
    assert engine.calls == 6
    assert second.arrow.equals(first.arrow)
    told = ("broken lines dropped", "their crystals are relaxed again")
    assert change is WITHOUT_END or any(each in caplog.text for each in told)


def test_lines_of_the_version_before_checksums_are_taken(engine, tmp_path):
    table = from_crystals(crystals(3))
    first = shard.relax_shard(table, RelaxSettings(), tmp_path)
    edited(tmp_path / "results-all.jsonl", lambda line: json.dumps(values_of(line.encode())) + "\n")
    assert shard.relax_shard(table, RelaxSettings(), tmp_path).arrow.equals(first.arrow)
    assert engine.calls == 3


def hold(folder: Path, seconds: float) -> None:
    with (folder / "raw" / f"{key(engine='vasp')[:16]}.lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        (folder / "held").touch()
        time.sleep(seconds)
        Journal(folder, "other").append(key(engine="vasp"), Relaxation(to_structure(CRYSTAL), -1.0), "a")


def test_two_processes_do_not_share_the_raw_files_of_a_crystal(engine, tmp_path):
    """Another set's shard is at the same crystal with VASP; this one waits, and takes what came out."""
    (tmp_path / "raw").mkdir()
    other = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path, 0.5))
    other.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    table = shard.relax_shard(from_crystals([CRYSTAL]), RelaxSettings(engine="vasp"), tmp_path)
    other.join()
    assert other.exitcode == 0
    assert engine.calls == 0
    assert table[0].properties["energy_per_atom"] == -1.0
    assert not list((tmp_path / "raw").glob("*.lock"))


def test_a_failure_of_the_machine_is_not_remembered(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "relax", lambda *_: Relaxation(None, failure="no potential", transient=True))
    first = shard.relax_shard(from_crystals(crystals(1)), RelaxSettings(), tmp_path, cache=tmp_path / "cache")
    assert first.column("failure").tolist() == ["no potential"]
    assert not read_lines(tmp_path)
    assert not list((tmp_path / "cache").glob("*"))


def test_a_shard_with_nothing_to_do_imports_no_torch(tmp_path):
    """A rerun of a set that is finished must not cost the seconds that a force field takes to load."""
    write(from_crystals(crystals(2)), tmp_path / "crystals.parquet")
    journal = Journal(tmp_path, "mine")
    for crystal in crystals(2):
        journal.append(key(crystal), Relaxation(to_structure(crystal), -1.0), crystal.material_id)
    code = (
        "import sys; from unimat.cli import main; code = main(sys.argv[1:]); "
        "print(code, [name for name in ('torch', 'atomate2', 'jobflow') if name in sys.modules])"
    )
    flags = ["--crystals", "crystals.parquet", "--work", ".", "--out-file", "relaxed.parquet"]
    done = subprocess.run(
        [sys.executable, "-c", code, "relax", *flags], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0 []", done.stderr
    assert "2 of 2 crystals are already relaxed" in done.stderr


def test_versions_are_those_of_the_packages():
    assert force_fields.version_of("chgnet").startswith("chgnet 0.")
