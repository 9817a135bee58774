"""Clusters and matches against hand-made copies, against StructureMatcher over all pairs, and under permutation."""

import dataclasses
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice

from unimat import crystal_table
from unimat.crystal_table import Crystal
from unimat.errors import UserError
from unimat.materials.crystals.structures import from_structure, to_structure
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.matching.clusters import clusters, matches_known
from unimat.materials.matching.comparer import Comparer, Problems
from unimat.materials.matching.lattice_filter import Lattices
from unimat.materials.metrics.settings import MATCHERS, MatcherSettings, MetricsSettings, matcher_settings
from unimat.settings import load_settings

FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def crystal(name, lattice, numbers, coords):
    return Crystal(name, np.array(lattice, float), np.array(numbers), np.array(coords, float))


DIAMOND = crystal("diamond", 3.57 * FCC, [6, 6], [[0, 0, 0], [0.25] * 3])
ROCK_SALT = crystal("rock-salt", 5.64 * FCC, [11, 17], [[0, 0, 0], [0.5] * 3])
CAESIUM_CHLORIDE_TYPE = crystal("B2", 3.5 * np.eye(3), [11, 17], [[0, 0, 0], [0.5] * 3])


def renamed(original, name):
    return dataclasses.replace(original, material_id=name)


def supercell(original, name, matrix):
    return from_structure(to_structure(original) * matrix, name)


def disguised(original, name, seed):
    """The same crystal: other origin, other order of atoms, other cell of the same lattice, rotated, 3 % larger."""
    rng = np.random.default_rng(seed)
    shear = np.array([[1, 1, 0], [0, 1, 0], [-1, 0, 1]])
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    order = rng.permutation(len(original.atomic_numbers))
    coords = (original.frac_coords + rng.random(3)) @ np.linalg.inv(shear)
    lattice = 1.03 * shear @ original.lattice @ rotation
    return Crystal(name, lattice, original.atomic_numbers[order], coords[order])


def polymorphs(n, seed=0, n_atoms=4):
    """Random crystals of one composition, every third a disturbed copy of the one before."""
    rng = np.random.default_rng(seed)
    made = []
    for index in range(n):
        if index % 3 == 2:
            last = made[-1]
            coords = last.frac_coords + rng.normal(0, 0.04, last.frac_coords.shape)
            made.append(crystal(f"p{index}", last.lattice, last.atomic_numbers, coords))
        else:
            lattice = np.diag(rng.uniform(3.2, 4.5, 3)) + rng.normal(0, 0.4, (3, 3))
            made.append(crystal(f"p{index}", lattice, [6, 14] * (n_atoms // 2), rng.random((n_atoms, 3))))
    return made


def test_disguised_copies_are_one_cluster():
    crystals = [ROCK_SALT, DIAMOND, disguised(ROCK_SALT, "a", 0), CAESIUM_CHLORIDE_TYPE, disguised(DIAMOND, "b", 1)]
    assert clusters(crystals) == [0, 1, 0, 2, 1]


def test_supercells_are_reduced_to_their_primitive_cell():
    assert clusters([DIAMOND, supercell(DIAMOND, "8 atoms", [2, 2, 1])]) == [0, 0]


def test_same_frame_of_other_elements_is_another_crystal():
    silicon = dataclasses.replace(DIAMOND, material_id="Si", atomic_numbers=np.array([14, 14]))
    assert clusters([DIAMOND, silicon]) == [0, 1]


def test_first_match_in_the_order_of_the_known_is_named():
    known = [CAESIUM_CHLORIDE_TYPE, disguised(ROCK_SALT, "known-2", 3), renamed(ROCK_SALT, "known-3")]
    assert matches_known([ROCK_SALT, DIAMOND], known) == ["known-2", None]
    assert matches_known([ROCK_SALT, DIAMOND], []) == [None, None]
    assert matches_known([], known) == []


def test_tolerances_are_settings():
    stretched = dataclasses.replace(DIAMOND, material_id="stretched", lattice=DIAMOND.lattice @ np.diag([1, 1, 1.12]))
    assert clusters([DIAMOND, stretched], MatcherSettings(angle_tol=10)) == [0, 0]
    assert clusters([DIAMOND, stretched], MatcherSettings(ltol=0.02, angle_tol=1)) == [0, 1]


def same_partition(labels, others):
    return len(set(zip(labels, others, strict=True))) == len(set(labels)) == len(set(others))


def test_clusters_do_not_depend_on_the_order_of_rows():
    crystals = polymorphs(18)
    labels = np.array(clusters(crystals))
    assert 8 < len(set(labels)) < 18
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(18)
        permuted = clusters([crystals[i] for i in order])
        assert same_partition(labels[order].tolist(), permuted)
        assert list(dict.fromkeys(permuted)) == list(range(len(set(permuted))))  # numbered by first appearance


def test_matches_are_those_of_the_plain_matcher():
    """Reduction once, prefilters and early stops change no answer of StructureMatcher.fit asked both ways."""
    crystals, known = polymorphs(14, seed=5), polymorphs(14, seed=5)[::-1] + polymorphs(6, seed=9)
    known = [disguised(each, f"k{shift}", shift) for shift, each in enumerate(known)]
    plain = StructureMatcher()
    expected = []
    for ours in map(to_structure, crystals):
        found = (
            each.material_id
            for each in known
            if plain.fit(ours, to_structure(each)) or plain.fit(to_structure(each), ours)
        )
        expected.append(next(found, None))
    assert any(expected)
    assert matches_known(crystals, known) == expected


def plain_clusters(crystals, **tolerances):
    """Connected components of StructureMatcher.fit, asked both ways of every pair of one composition."""
    plain = StructureMatcher(**tolerances)
    cells = [plain._get_reduced_structure(to_structure(each), plain._primitive_cell) for each in crystals]
    labels = list(range(len(crystals)))
    for i, one in enumerate(cells):
        for j, other in enumerate(cells[:i]):
            fit = lambda *pair: plain.fit(*pair, skip_structure_reduction=True)  # noqa: E731
            if one.composition.reduced_composition != other.composition.reduced_composition:
                continue
            if labels[i] != labels[j] and (fit(one, other) or fit(other, one)):
                old, new = labels[i], labels[j]
                labels = [new if label == old else label for label in labels]
    return labels


@pytest.mark.parametrize("name", MATCHERS)
def test_clusters_are_those_of_the_plain_matcher(name):
    """Polymorphs of three compositions; with every preset, since each needs filters of its own."""
    folder = Path(str(resources.files("unimat.materials.datasets") / "embedded/silicon_carbon"))
    table = crystal_table.read(folder / "crystals.parquet")
    crystals = list(table.take(np.random.default_rng(2).choice(len(table), 60, replace=False)))
    found = clusters(crystals, name)
    assert 10 < len(set(found)) < 60
    assert same_partition(found, plain_clusters(crystals, **dataclasses.asdict(MATCHERS[name])))


@pytest.mark.published
def test_clusters_of_generated_and_of_carbon_are_those_of_the_plain_matcher(published_data):
    generated = read_crystals(published_data / "generated/diffcsp_mp_20/DiffCSP_mp_20.pt")[0].take(range(2500))
    carbon = read_crystals(published_data / "carbon_24/val.csv")[0].take(range(90))
    names = [tuple(sorted(set(each.atomic_numbers.tolist()))) for each in generated]
    repeated = [each for each, name in zip(generated, names, strict=True) if names.count(name) > 2]
    for crystals in (repeated, list(carbon)):
        found = clusters(crystals)
        assert len(set(found)) < len(crystals)
        assert same_partition(found, plain_clusters(crystals))


def test_answers_depend_neither_on_blocks_nor_on_processes(monkeypatch):
    crystals = polymorphs(40, seed=3)
    labels, matches = clusters(crystals), matches_known(crystals[:20], crystals[20:])
    assert len(set(labels)) < 40
    assert any(matches)
    monkeypatch.setattr("unimat.materials.matching.clusters._BLOCK", 7)
    monkeypatch.setattr("unimat.materials.matching.blocks._AT_A_TIME", 3)
    monkeypatch.setattr("unimat.materials.crystals.processes.WORTH_A_PROCESS", 1)
    assert clusters(crystals) == labels
    assert clusters(crystals, processes=2) == labels
    assert matches_known(crystals[:20], crystals[20:], processes=2) == matches


def test_answers_are_kept_by_content(tmp_path, monkeypatch):
    crystals, known = polymorphs(12), polymorphs(12)[::-1]
    labels, matches = clusters(crystals, cache=tmp_path), matches_known(crystals, known, cache=tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Comparer, "fits", lambda *_: pytest.fail("compared again"))
        patched.setattr(Comparer, "reduce", lambda *_: pytest.fail("reduced again"))
        assert clusters(crystals, cache=tmp_path) == labels
        assert matches_known(crystals, known, cache=tmp_path) == matches
    assert len(list(tmp_path.iterdir())) == 2
    assert clusters(crystals, "cdvae", cache=tmp_path) != labels  # other settings are another question
    moved = [dataclasses.replace(crystals[0], frac_coords=crystals[0].frac_coords * 0.5), *crystals[1:]]
    clusters(moved, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    for path in tmp_path.iterdir():
        path.write_text("{")
    assert clusters(crystals, cache=tmp_path) == labels


def test_flat_and_broken_cells_are_named_and_harm_no_other():
    flat = dataclasses.replace(DIAMOND, material_id="flat", lattice=DIAMOND.lattice * [1, 1, 0])
    broken = dataclasses.replace(DIAMOND, material_id="broken", lattice=np.full((3, 3), np.nan))
    problems = Problems()
    assert clusters([flat, DIAMOND, broken, disguised(DIAMOND, "copy", 5)], problems=problems) == [0, 1, 2, 1]
    assert problems.unreduced == ["flat", "broken"]


def test_a_comparison_that_takes_too_long_is_named(monkeypatch, caplog):
    def forever(*_, **__):
        while True:
            time.sleep(0.01)

    monkeypatch.setattr(StructureMatcher, "fit", forever)
    problems = Problems()
    assert clusters([ROCK_SALT, renamed(ROCK_SALT, "copy")], max_seconds=0.05, problems=problems) == [0, 1]
    assert set(map(frozenset, problems.timed_out)) == {frozenset({"rock-salt", "copy"})}
    assert "2 took too long" in caplog.text


def test_presets_by_name():
    """As each code sets them."""
    assert matcher_settings("cdvae") == MatcherSettings(ltol=0.3, stol=0.5, angle_tol=10)
    assert matcher_settings(None) == matcher_settings("pymatgen") == MatcherSettings(0.2, 0.3, 5)
    assert matcher_settings("mattergen") == MatcherSettings(attempt_supercell=True, allow_subset=True)
    named = load_settings(MetricsSettings, {"matcher": "mattergen"})
    assert matcher_settings(named.matcher) == MATCHERS["mattergen"]
    assert load_settings(MetricsSettings, {"matcher": {"stol": 0.1}}).matcher == MatcherSettings(stol=0.1)
    with pytest.raises(UserError, match="'loose' is not one of 'pymatgen', 'mattergen', 'cdvae'"):
        load_settings(MetricsSettings, {"matcher": "loose"})
    with pytest.raises(ValueError, match="stol must be positive, found nan"):
        MatcherSettings(stol=float("nan"))


def test_unscaled_crystals_differ_by_volume():
    larger = dataclasses.replace(DIAMOND, material_id="larger", lattice=1.3 * DIAMOND.lattice)
    assert clusters([DIAMOND, larger]) == [0, 0]
    assert clusters([DIAMOND, larger], MatcherSettings(scale=False)) == [0, 1]
    same = supercell(DIAMOND, "8 atoms", [2, 2, 1])
    assert clusters([DIAMOND, same], MatcherSettings(primitive_cell=False)) == [0, 1]
    assert clusters([DIAMOND, same], MatcherSettings(primitive_cell=False, attempt_supercell=True)) == [0, 0]


@pytest.mark.parametrize("seed", range(4))
def test_lattice_filter_rules_out_no_mapping_of_the_matcher(seed):
    """Against Lattice.find_all_mappings, whose result the matcher searches."""
    rng = np.random.default_rng(seed)
    lattices = [Lattice(np.eye(3) + rng.normal(0, 0.25, (3, 3))).get_niggli_reduced_lattice() for _ in range(25)]
    unit = [Lattice(each.matrix / each.volume ** (1 / 3)) for each in lattices]
    matrices = np.array([each.matrix for each in unit])
    lists = Lattices(matrices)
    n_mapped = n_kept = 0
    for other in unit:
        kept = lists.have_basis_like(np.array(other.lengths), np.array(other.angles), 0.2, 5)
        for one, may in zip(unit, kept, strict=True):
            mapped = any(
                abs(abs(np.linalg.det(scale)) - 1) < 0.5
                for _, _, scale in one.find_all_mappings(other, ltol=0.2, atol=5, skip_rotation_matrix=True)
            )
            assert may or not mapped
            n_mapped, n_kept = n_mapped + mapped, n_kept + may
    assert n_mapped <= n_kept < 0.6 * 25 * 25


def test_lattice_filter_does_not_list_the_vectors_of_very_long_cells():
    long = np.diag([0.05, 0.05, 400.0])
    lists = Lattices(np.array([np.eye(3), long]))
    assert lists.have_basis_like(np.array([1.0, 1.0, 400.0]), np.full(3, 90.0), 0.2, 5).all()
    assert lists.have_basis_like(np.ones(3), np.full(3, 90.0), 0.2, 5).tolist() == [True, False]


def test_cell_that_cannot_be_reduced_is_compared_as_it_is(monkeypatch, caplog):
    def refuse(*_):
        raise ValueError("no Niggli cell")

    monkeypatch.setattr(StructureMatcher, "_get_reduced_structure", refuse)
    assert clusters([ROCK_SALT, renamed(ROCK_SALT, "copy")]) == [0, 0]
    assert "2 crystals could not be reduced" in caplog.text


@pytest.mark.slow
def test_four_hundred_against_twelve_hundred_known_in_a_minute():
    """Thirty compositions with forty known polymorphs each, on one core; CPU time."""
    elements = [(a, b) for a in (3, 11, 19, 12, 20) for b in (8, 16, 9, 17, 7, 15)]

    def of(pair, index):
        made = polymorphs(1, seed=index, n_atoms=8)[0]
        return dataclasses.replace(made, material_id=str(index), atomic_numbers=np.array(pair * 4))

    known = [of(pair, 100 * at + k) for at, pair in enumerate(elements) for k in range(40)]
    generated = [of(elements[k % 30], 10_000 + k) for k in range(400)]
    start = time.process_time()
    assert len(matches_known(generated, known)) == 400
    assert time.process_time() - start < 60
